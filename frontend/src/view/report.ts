/** What is printed, or saved as PDF by the browser: every picture with its answer and heatmap. */
import { headline, heatmapOf, type Item, tally } from "../items";
import { CLASSES, decisionOf, DISPLAY_NAMES, isFailure } from "../types";
import { h, percent } from "./dom";
import { render } from "./render";

const NOTICE = "Research software, not a medical device: not for diagnosis or treatment decisions.";

export function report(items: Item[]): HTMLElement[] {
  const time = new Date().toLocaleString();
  return [
    h("h1", {}, "tumorlens report"),
    h("p", { class: "report-notice" }, NOTICE),
    h("p", {}, `Printed ${time}. ${items.length} ${items.length === 1 ? "entry" : "entries"}.`),
    ...items.map(entry),
  ];
}

function entry(item: Item): HTMLElement {
  const result = item.results[item.slice];
  const volume = item.results.length > 1;
  const lines: (HTMLElement | null)[] = [
    h("h2", {}, item.name),
    item.whole ? h("p", { class: "report-answer" }, `As a whole: ${headline(item.whole)}`) : null,
    volume ? h("p", {}, `Slice ${item.slice + 1} of ${item.results.length}. All slices: ${tally(item).map(([word, count]) => `${count} ${word}`).join(", ")}.`) : null,
    h("p", { class: "report-answer" }, headline(result)),
  ];
  if (result && isFailure(result)) lines.push(h("p", {}, result.error.message));
  if (result && !isFailure(result)) {
    if (result.reason) lines.push(h("p", {}, result.reason));
    const shares = decisionOf(result) === "rejected" ? null : result.probabilities;
    if (shares) {
      lines.push(h("p", {}, CLASSES.map((name) => `${DISPLAY_NAMES[name]} ${percent(shares[name] ?? 0)}`).join(" · ")));
    }
    if (result.prediction_set?.length && shares) {
      lines.push(h("p", {}, `Not excluded: ${result.prediction_set.map((name) => DISPLAY_NAMES[name] ?? name).join(", ")}`));
    }
    const { name, version, sha256 } = result.model;
    lines.push(h("p", { class: "report-model" }, `Model ${name} ${version}, sha256 ${sha256}`));
  }
  return h("article", { class: "report-entry" }, pictures(item), h("div", {}, ...lines));
}

function pictures(item: Item): HTMLElement {
  if (!item.picture) return h("div", { class: "report-pictures" });
  const heatmap = heatmapOf(item.results[item.slice]);
  const canvases = (heatmap ? [0, 0.5] : [0]).map((opacity) => {
    const canvas = h("canvas", { width: item.picture!.width, height: item.picture!.height });
    canvas.getContext("2d")!.putImageData(render(item.picture!, item.slice, item.shown, heatmap, opacity), 0, 0);
    return canvas;
  });
  return h("div", { class: "report-pictures" }, ...canvases);
}
