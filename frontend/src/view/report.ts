/** What is printed, or saved as PDF by the browser: every image with its answer and heatmap. */
import { extent, type Item, tally } from "../items";
import { headline, reasonOf, sequenceWords } from "../summary";
import { classesOf, displayName, shownClasses } from "../classes";
import { isFailure, isVolume, NOTICE, type Result, type StudyPrediction } from "../types";
import { h, percent } from "./dom";
import { drawSides } from "./edges";
import { paint } from "./render";
import type { Viewer } from "./viewer";

/** A slice as the viewer shows it: the item that is open may be cut another way. */
type Viewing = Pick<Viewer, "shownOf">;

export function report(items: Item[], studies: StudyPrediction[], viewing: Viewing): HTMLElement[] {
  const time = new Date().toLocaleString();
  return [
    h("h1", {}, "tumorlens report"),
    h("p", { class: "report-notice" }, NOTICE),
    h("p", {}, `Printed ${time}. ${items.length} ${items.length === 1 ? "entry" : "entries"}.`),
    ...studies.map(together),
    ...items.map((item) => entry(item, viewing)),
  ];
}

/** What the series of a study say together. */
function together(study: StudyPrediction): HTMLElement {
  const lines = [
    h("h2", {}, `Study of ${study.members.length} series: ${study.path}`),
    h("p", { class: "report-answer" }, headline(study)), ...said(study),
  ];
  return h("article", { class: "report-entry" }, h("div", {}, ...lines));
}

function entry(item: Item, viewing: Viewing): HTMLElement {
  const result = item.results[item.slice];
  const volume = item.results.length > 1;
  const where = volume ? `Slice ${item.slice + 1} of ${item.results.length}: ` : "";
  const lines = [
    h("h2", {}, item.name),
    ...(item.whole ? [h("p", { class: "report-answer" }, `As a whole: ${headline(item.whole)}`), ...said(item.whole)] : []),
    ...(volume ? [h("p", {}, `Slices, classified separately: ${tally(item).map(([word, count]) => `${count} ${word}`).join(", ")}.`)] : []),
    h("p", { class: "report-answer" }, `${where}${headline(result)}`), ...said(result),
  ];
  if (result && !isFailure(result)) {
    const { name, version, sha256 } = result.model;
    lines.push(h("p", { class: "report-model" }, `Model ${name} ${version}, sha256 ${sha256}`));
  }
  return h("article", { class: "report-entry" }, images(item, viewing), h("div", {}, ...lines));
}

/** The lines below an answer's headline. */
function said(result: Result | null): HTMLElement[] {
  if (result === null) return [];
  if (isFailure(result)) return [h("p", {}, result.error.message)];
  const open = result.prediction_set ?? [];
  const probabilities = result.probabilities;
  const name = (label: string) => displayName(classesOf(result), label);
  const lines = [
    result.summary,
    reasonOf(result),
    probabilities && shownClasses(classesOf(result), [probabilities]).map((label) => `${name(label)} ${percent(probabilities[label] ?? 0)}`).join(" · "),
    open.length > 0 && `Not excluded: ${open.map(name).join(", ")}`,
    sequenceWords(result),
    isVolume(result) && result.finding && `${extent(result.finding)}.`,
    ...result.notes,
  ];
  return lines.filter((line): line is string => Boolean(line)).map((line) => h("p", {}, line));
}

function images(item: Item, viewing: Viewing): HTMLElement {
  if (!item.image) return h("div", { class: "report-images" });
  const { image, slice, heatmap, where } = viewing.shownOf(item);
  const canvases = (heatmap ? [0, 0.5] : [0]).map((opacity) => {
    const canvas = h("canvas", { width: image.width, height: Math.round(image.height * image.aspect) });
    const { context, box } = paint(canvas, image, slice, item.displayRange, heatmap, opacity);
    if (image.sides) drawSides(context, image.sides, box, Math.max(10, Math.min(box.width, box.height) / 18));
    return canvas;
  });
  return h("div", { class: "report-images" }, ...canvases, ...(where ? [h("p", {}, where)] : []));
}
