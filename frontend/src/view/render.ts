/** A slice and its heatmap as pixels of the screen. */
import { upsample } from "../heatmap";
import type { Range } from "../items";
import type { Heatmap, MedicalImage } from "../types";
import { HEAT } from "./colors";

/** `opacity` is the heatmap's where it is strongest, 0 to 1; where it is nothing, the image is as it is. */
function render(
  image: MedicalImage, slice: number, range: Range, heatmap: Heatmap | Float32Array | null, opacity: number,
): ImageData {
  const { height, width, pixels } = image;
  const imageData = new ImageData(width, height);
  const out = imageData.data;
  const start = slice * height * width;
  const scale = 255 / (range.high - range.low);
  const drawn = opacity > 0 ? heatmap : null;
  const heat = drawn && "grid" in drawn ? upsample(drawn.grid, drawn.square, height, width) : drawn;
  for (let i = 0; i < height * width; i++) {
    const gray = Math.min(255, Math.max(0, (pixels[start + i] - range.low) * scale));
    const strength = heat ? heat[i] : 0;
    const share = opacity * strength;
    const color = Math.round(strength * 255) * 3;
    out[4 * i] = gray * (1 - share) + HEAT[color] * share;
    out[4 * i + 1] = gray * (1 - share) + HEAT[color + 1] * share;
    out[4 * i + 2] = gray * (1 - share) + HEAT[color + 2] * share;
    out[4 * i + 3] = 255;
  }
  return imageData;
}

/** Where an image lies on a canvas. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** How close one looks: 1 shows all. `x` and `y` move the image, in shares of the canvas. */
export interface View {
  zoom: number;
  x: number;
  y: number;
}

/** Draw a slice as large as fits into the middle of `canvas`, its pixels as high as they are in the patient. */
export function paint(
  canvas: HTMLCanvasElement, image: MedicalImage, slice: number, range: Range, heatmap: Heatmap | Float32Array | null,
  opacity: number, view: View = { zoom: 1, x: 0, y: 0 },
): { context: CanvasRenderingContext2D; box: Box } {
  const full = new OffscreenCanvas(image.width, image.height);
  full.getContext("2d")!.putImageData(render(image, slice, range, heatmap, opacity), 0, 0);
  const high = image.height * image.aspect;
  const scale = view.zoom * Math.min(canvas.width / image.width, canvas.height / high);
  const [width, height] = [image.width * scale, high * scale];
  const left = (canvas.width - width) / 2 + view.x * canvas.width;
  const top = (canvas.height - height) / 2 + view.y * canvas.height;
  const box = { left, top, width, height };
  const context = canvas.getContext("2d")!;
  context.imageSmoothingQuality = "high";
  context.drawImage(full, box.left, box.top, width, height);
  return { context, box };
}

/** A thumbnail of a slice in a square, from as many pixels as it needs. */
export function thumbnail(image: MedicalImage, slice: number, range: Range, side: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const step = Math.max(1, Math.floor(Math.min(image.height, image.width) / (2 * side)));
  paint(canvas, every(step, image, slice), 0, range, null, 0);
  return canvas;
}

/** A slice of every `step`-th pixel. */
function every(step: number, image: MedicalImage, slice: number): MedicalImage {
  const [height, width] = [Math.ceil(image.height / step), Math.ceil(image.width / step)];
  const start = slice * image.height * image.width;
  const pixels = Float32Array.from({ length: height * width }, (_, at) => (
    image.pixels[start + Math.floor(at / width) * step * image.width + (at % width) * step]
  ));
  return { ...image, depth: 1, height, width, pixels };
}
