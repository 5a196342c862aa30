/** The patient's sides at the edges of an image, as overlays of `tumorlens heatmaps` have them. */
import type { Sides } from "../types";
import type { Box } from "./render";

/** Letters of `size` pixels in the middle of each edge: white, rimmed in black to be read on any ground. */
export function drawSides(context: CanvasRenderingContext2D, sides: Sides, box: Box, size: number): void {
  const { left, top, width, height } = box;
  const margin = size / 3;
  const [right, bottom] = [left + width - margin, top + height - margin];
  const [across, down] = [left + width / 2, top + height / 2];
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.lineJoin = "round";
  context.lineWidth = size / 5;
  context.strokeStyle = "#000";
  context.fillStyle = "#fff";
  const draw = (text: string, x: number, y: number, align: CanvasTextAlign, baseline: CanvasTextBaseline) => {
    context.textAlign = align;
    context.textBaseline = baseline;
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  };
  draw(sides.left, left + margin, down, "left", "middle");
  draw(sides.right, right, down, "right", "middle");
  draw(sides.top, across, top + margin, "center", "top");
  draw(sides.bottom, across, bottom, "center", "bottom");
}

/** For those who hear the page. */
export function sidesInWords({ left, right, top, bottom }: Sides): string {
  return `Left is ${left}, right ${right}, top ${top}, bottom ${bottom}.`;
}
