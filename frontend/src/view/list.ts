/** The images beside each other, with their answers. */
import { isDone, type Item, toneOf } from "../items";
import { headline, wholePercent } from "../summary";
import { classesOf } from "../classes";
import { isFailure, type StudyPrediction } from "../types";
import { h } from "./dom";
import { thumbnail } from "./render";

const SIDE = 96;
const thumbnails = new WeakMap<Item, HTMLCanvasElement>();

export function listEntry(item: Item, selected: boolean, select: () => void): HTMLElement {
  return h(
    "li", {},
    h(
      "button", { type: "button", class: "entry", "aria-current": selected ? "true" : null, onclick: select },
      image(item),
      h(
        "span", { class: "entry-text" },
        h("span", { class: "entry-name", title: item.name }, item.name),
        h("span", { class: `entry-answer tone-${tone(item)}` }, words(item)),
      ),
    ),
  );
}

/** Stands above the series of a study. */
export function studyLine(study: StudyPrediction): HTMLElement {
  return h(
    "li", { class: "study-line" },
    h("span", { class: "entry-name" }, `Study of ${study.members.length} series`),
    h("span", { class: `entry-answer tone-${study.decision}` }, headline(study)),
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
  const result = item.whole ?? item.results[0];
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
