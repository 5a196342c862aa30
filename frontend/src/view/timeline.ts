/** All slices of a volume at a glance: one row a class, as bright as it is probable. */
import type { Item } from "../items";
import { classesOf, displayName, shownClasses } from "../classes";
import { isFailure } from "../types";
import { h } from "./dom";

const ROW = 15;

export function drawTimeline(canvas: HTMLCanvasElement, names: HTMLElement, item: Item): void {
  const answers = item.results.flatMap((result) => (result && !isFailure(result) ? [result] : []));
  const classes = classesOf(answers[0] ?? null);
  const shownNames = shownClasses(classes, answers.flatMap(({ probabilities }) => (probabilities ? [probabilities] : [])));
  names.replaceChildren(...shownNames.map((name) => h("li", {}, displayName(classes, name))));
  canvas.style.height = `${shownNames.length * ROW}px`;
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, canvas.clientWidth || 300);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(shownNames.length * ROW * ratio);
  const context = canvas.getContext("2d")!;
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const step = width / item.results.length;
  item.results.forEach((result, index) => {
    const probabilities = result && !isFailure(result) ? result.probabilities : null;
    shownNames.forEach((name, row) => {
      context.globalAlpha = probabilities ? 0.08 + 0.92 * (probabilities[name] ?? 0) : 0.05;
      context.fillStyle = style.getPropertyValue(name === classes.no_finding ? "--quiet-bar" : "--accent");
      context.fillRect(index * step, 1 + row * ROW, Math.max(1, step - 0.5), ROW - 3);
    });
  });
  context.globalAlpha = 1;
  context.strokeStyle = style.getPropertyValue("--ink");
  context.lineWidth = 1.5;
  context.strokeRect(item.slice * step, 0.75, Math.max(3, step), shownNames.length * ROW - 2);
}
