/** The bright margin of a screenshot, which is not part of the image: `tumorlens/imaging/samples/margin.py`. */
import { extremes, type Plane } from "./preprocessing";

const BRIGHT = 0.85;
const EDGE = 0.1;
const FEW = 0.05;
const EDGE_LINES = 4;
const WIDE = 0.04;
const SMALLEST = 32;

/** Ends exclusive. */
export interface Box {
  top: number;
  left: number;
  bottom: number;
  right: number;
}

/** The image without its bright margin. */
export function insideMargin({ pixels, height, width }: Plane): Box {
  const whole = { top: 0, left: 0, bottom: height, right: width };
  const [low, high] = extremes(pixels);
  if (!(high > low)) return whole;
  const row = (y: number) => pixels.subarray(y * width, (y + 1) * width);
  const [top, bottom] = ends(height, row, low, high);
  if (bottom - top < SMALLEST) return whole;
  const column = (x: number) => Float32Array.from({ length: bottom - top }, (_, y) => pixels[(top + y) * width + x]);
  const [left, right] = ends(width, column, low, high);
  const widest = Math.max(Math.max(top, height - bottom) / height, Math.max(left, width - right) / width);
  return widest < WIDE || right - left < SMALLEST ? whole : { top, left, bottom, right };
}

/** First line that is no margin, and the end of the last one. */
function ends(count: number, line: (index: number) => Float32Array, low: number, high: number): [number, number] {
  const bright = low + BRIGHT * (high - low);
  const isMargin = (index: number) => line(index).every((value) => value >= bright);
  let [first, last] = [0, count];
  while (first < count && isMargin(first)) first++;
  if (first === count) return [0, count];
  while (isMargin(last - 1)) last--;
  const level = low + EDGE * (high - low);
  const isEdge = (index: number) => {
    const values = line(index);
    return values.filter((value) => value < level).length / values.length <= FEW;
  };
  if (first > 0) for (let step = 0; step < EDGE_LINES && first < last && isEdge(first); step++) first++;
  if (last < count) for (let step = 0; step < EDGE_LINES && last > first && isEdge(last - 1); step++) last--;
  return [first, last];
}
