/** What was found, in words first. */
import { extent, type Item, tally, toneOf } from "../items";
import { headline, reasonOf, sequenceWords } from "../summary";
import { classesOf, displayName, shownClasses } from "../classes";
import { type Answer, type Finding, isFailure, isVolume, type Result, type StudyPrediction } from "../types";
import { h, percent } from "./dom";

/** Of the study first, then of the series, then of the slice. */
export function answerPanel(
  item: Item, together: StudyPrediction | null, actions: HTMLElement, goTo: (slice: number) => void,
): HTMLElement[] {
  const result = item.results[item.slice];
  const volume = item.results.length > 1;
  return [
    together ? fused(together) : null,
    volume ? study(item, goTo, together ? "This series as a whole" : "Volume as a whole") : null,
    card(result, volume ? `Slice ${item.slice + 1}` : "Answer"),
    result && !isFailure(result) ? details(result, item) : null,
    actions,
  ].filter((part): part is HTMLElement => part !== null);
}

/** What the series of a study say together, and what each contributes. */
function fused(together: StudyPrediction): HTMLElement {
  const whole = card(together, `Joint answer for the study, ${together.members.length} series`, "study");
  const { finding } = classesOf(together);
  const rows = together.members.map(({ path, sequence, weight, tumor_probability }) => {
    const share = tumor_probability === null ? "no answer" : `${finding} ${percent(tumor_probability)}`;
    const counts = weight > 0 ? `weight ${weight.toPrecision(2)}` : "not used";
    return h("li", {}, `${path.split("/").pop()}: ${sequence ?? "unknown sequence"}, ${share}, ${counts}`);
  });
  whole.append(h("ul", { class: "study-slices quiet" }, ...rows));
  return whole;
}

/** The volume as a whole, and the answers of its slices. A server may answer slices only. */
function study(item: Item, goTo: (slice: number) => void, title: string): HTMLElement {
  const done = item.results.filter((result) => result !== null).length;
  const words = done === item.results.length ? `${done} slices, classified separately:` : `${done} of ${item.results.length} slices so far`;
  const slices = [
    h("p", { class: "quiet" }, words),
    h("ul", { class: "tally" }, ...tally(item).map(([word, count]) => h("li", {}, h("b", {}, String(count)), ` ${word}`))),
  ];
  if (item.whole) {
    const whole = card(item.whole, title, "whole");
    whole.append(...finding(item.whole, goTo), h("div", { class: "study-slices" }, ...slices));
    return whole;
  }
  const none = item.awaitsWhole
    ? "The volume gets an answer when all of its slices have one."
    : "No answer for the volume as a whole.";
  return h("section", { class: "study" }, h("h2", {}, "Volume"), ...slices, h("p", { class: "quiet" }, none));
}

function finding(whole: Result, goTo: (slice: number) => void): HTMLElement[] {
  if (!isVolume(whole) || !whole.finding) return [];
  const { middle } = whole.finding;
  const go = h("button", { type: "button", id: "go-to-finding", class: "secondary", onclick: () => goTo(middle) }, "Show the middle");
  return [h("div", { class: "finding" }, h("span", {}, [extent(whole.finding), ...locationText(whole.finding)].join("; ")), go)];
}

function card(result: Result | null, title: string, testId = "headline"): HTMLElement {
  const tone = toneOf(result);
  const answer = result && !isFailure(result) ? result : null;
  const children = [
    h("h2", {}, title),
    h("p", { class: "headline", "data-testid": testId }, headline(result)),
    reason(result),
    answer && tone !== "rejected" ? bars(answer) : null,
    answer && predictionSet(answer),
    answer && sequenceWords(answer) ? h("p", { class: "quiet study-note" }, sequenceWords(answer)) : null,
    ...(answer?.notes ?? []).map((note) => h("p", { class: "quiet study-note" }, note)),
  ];
  return h("section", { class: `card card-${tone}` }, ...children);
}

/** The sentence first, then why presence or kind is not stated. */
function reason(result: Result | null): HTMLElement | null {
  if (result === null) return h("p", { class: "quiet" }, "The image is being classified.");
  if (isFailure(result)) return h("p", { class: "reason" }, result.error.message);
  return h("p", { class: "reason" }, h("strong", { class: "summary" }, result.summary), ` ${reasonOf(result)}`);
}

/** Side and size, where the server worked them out. */
function locationText({ side, extent_mm }: Finding): string[] {
  const where = side === null ? [] : [side === "midline" ? "near the midline" : `on the ${side}`];
  return extent_mm ? [...where, `about ${extent_mm.map((size) => size.toFixed(0)).join(" × ")} mm`] : where;
}

function bars(result: Answer): HTMLElement | null {
  const probabilities = result.probabilities;
  if (!probabilities) return null;
  const classes = classesOf(result);
  const names = shownClasses(classes, [probabilities]);
  const rows = names.map((name) => {
    const share = probabilities[name] ?? 0;
    const bar = h("span", { class: "bar-fill" });
    bar.style.setProperty("--share", String(share));
    const chosen = name === result.label;
    return h(
      "li", { class: chosen ? "bar-row chosen" : "bar-row" },
      h("span", { class: "bar-name" }, displayName(classes, name)),
      h("span", { class: "bar-track", "aria-hidden": "true" }, bar),
      h("span", { class: "bar-value" }, percent(share)),
    );
  });
  const others = classes.members.length - names.length;
  if (others > 0) rows.push(h("li", { class: "quiet" }, `${others} less probable classes`));
  return h("ul", { class: "bars", "aria-label": "Probabilities" }, ...rows);
}

/** The classes that cannot be excluded, where the model gives them. */
function predictionSet(result: Answer): HTMLElement | null {
  const set = result.prediction_set;
  if (!set?.length) return null;
  const chips = set.map((name) => h("li", { class: "chip" }, displayName(classesOf(result), name)));
  return h("div", { class: "set" }, h("p", { class: "quiet" }, "Not excluded:"), h("ul", { class: "chips" }, ...chips));
}

function details(result: Answer, item: Item): HTMLElement {
  const where = item.where === "browser" ? "in this browser (the image did not leave it)" : "by the server";
  return h(
    "p", { class: "details quiet" },
    `Answered ${where} by model ${result.model.name} ${result.model.version} `,
    h("code", {}, result.model.sha256.slice(0, 12)), ".",
  );
}
