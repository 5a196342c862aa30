/** The images beside each other, with their answers. */
import { isDone, type Item, toneOf } from "../items";
import { headline, wholePercent } from "../summary";
import { classesOf } from "../classes";
import { isFailure, type Result, type StudyPrediction } from "../types";
import { h, shortened } from "./dom";
import { thumbnail } from "./render";

const SIDE = 96;
const thumbnails = new WeakMap<Item, HTMLCanvasElement>();
/** Entries as they were last made: a list of hundreds is drawn again with each answer. */
const entries = new WeakMap<Item, { state: string; element: HTMLElement }>();

export function listEntry(item: Item, selected: boolean, select: () => void): HTMLElement {
  const [answer, toned] = [words(item), `entry-answer tone-${tone(item)}`];
  const state = [answer, toned, selected, item.image !== null].join();
  const known = entries.get(item);
  if (known?.state === state) return known.element;
  const element = h(
    "li", {},
    h(
      // One stop of the Tab key for all of them; arrow keys lead to the others.
      "button", { type: "button", class: "entry", tabindex: selected ? 0 : -1, "aria-current": selected ? "true" : null, onclick: select },
      image(item),
      h(
        "span", { class: "entry-text" },
        h("span", { class: "entry-name", title: item.name }, shortened(item.name)),
        h("span", { class: toned }, answer),
      ),
    ),
  );
  entries.set(item, { state, element });
  return element;
}

/** Stands above the series of a study. */
export function studyLine(study: StudyPrediction): HTMLElement {
  return h(
    "li", { class: "study-line" },
    h("span", { class: "entry-name" }, `Study of ${study.members.length} series`),
    h("span", { class: `entry-answer tone-${study.decision}` }, answerWords(study)),
  );
}

function tone(item: Item) {
  if (item.whole) return toneOf(item.whole);
  return item.results.length > 1 ? (isDone(item) ? "classified" : "waiting") : toneOf(item.results[0]);
}

function words(item: Item): string {
  const done = item.results.filter((result) => result !== null).length;
  if (item.results.length > 1 && !item.whole) {
    return done === item.results.length ? `${done} slices` : `${done} of ${item.results.length} slices`;
  }
  return answerWords(item.whole ?? item.results[0]);
}

/** The headline, with the probability of what it says. */
function answerWords(result: Result | null): string {
  const share = result && !isFailure(result) && result.decision !== "abstained" ? result.tumor_probability : null;
  if (share === null || !result) return headline(result);
  const { finding, no_finding } = classesOf(result);
  const none = !isFailure(result) && result.label === no_finding;
  return `${headline(result)} (${none ? "" : `${finding} `}${wholePercent(none ? 1 - share : share)})`;
}

function image(item: Item): HTMLElement {
  if (!item.image) return h("span", { class: "entry-blank", "aria-hidden": "true" }, "?");
  let canvas = thumbnails.get(item);
  if (!canvas) {
    canvas = thumbnail(item.image, Math.floor(item.image.depth / 2), item.fullRange, SIDE);
    canvas.className = "entry-image";
    canvas.setAttribute("aria-hidden", "true");
    thumbnails.set(item, canvas);
  }
  return canvas;
}
