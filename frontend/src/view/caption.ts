/** An image that leaves the page carries its answer, the model and the notice. */
import { headline } from "../summary";
import { isFailure, NOTICE, type Result } from "../types";

export function captioned(image: HTMLCanvasElement, result: Result | null): HTMLCanvasElement {
  const size = Math.max(11, image.width / 42);
  const [margin, step] = [size / 2, size * 1.35];
  const font = `${size}px system-ui, sans-serif`;
  const page = document.createElement("canvas");
  const measure = page.getContext("2d")!;
  measure.font = font;
  const lines = words(result).flatMap((text) => wrapped(text, measure, image.width - 2 * margin));
  page.width = image.width;
  page.height = image.height + Math.ceil(step * lines.length + margin);
  const context = page.getContext("2d")!;
  context.fillStyle = "#000";
  context.fillRect(0, 0, page.width, page.height);
  context.drawImage(image, 0, 0);
  context.font = font;
  context.fillStyle = "#ebebeb";
  context.textBaseline = "top";
  lines.forEach((line, number) => context.fillText(line, margin, image.height + margin / 2 + number * step));
  return page;
}

/** What is written below, a paragraph each. */
export function words(result: Result | null): string[] {
  if (result === null || isFailure(result)) return [`${headline(result)}.`, NOTICE];
  const { name, version } = result.model;
  return [result.summary, `tumorlens ${name} ${version}. ${NOTICE}`];
}

function wrapped(text: string, context: CanvasRenderingContext2D, room: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line ? `${line} ${word}` : word;
    if (line && context.measureText(longer).width > room) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}
