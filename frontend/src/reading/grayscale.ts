/**
 * From a DICOM file's rescaled values to gray: window, polarity, padding. PS3.3 C.11.2, C.7.5.1.1.2.
 * The part of `tumorlens/imaging/dicom/grayscale.py` that files without look-up tables need.
 */
import { quantile } from "../preprocessing";
import { InputError } from "../types";
import { LARGEST } from "./gray";

export interface Window {
  center: number;
  width: number;
  function: string;
}

export interface GrayscaleTransform {
  window: Window | null;
  /** MONOCHROME1, or PresentationLUTShape INVERSE: the smallest value is shown white. */
  inverted: boolean;
  /** Sum of the smallest and largest value that can be stored, rescaled. */
  ends: number;
  /** One where the stored value stands for no measurement. */
  empty: Uint8Array | null;
  /** Whether it is a range of values that stands for none. */
  isRange?: boolean;
}

const FUNCTIONS = ["LINEAR", "LINEAR_EXACT", "SIGMOID"];

/** Null where there is none that makes sense. */
export function windowOf(center: number | null, width: number | null, name: string): Window | null {
  const known = name || "LINEAR";
  if (center === null || width === null || !FUNCTIONS.includes(known)) return null;
  const enough = known === "LINEAR" ? width >= 1 : width > 0;
  const usable = enough && width < LARGEST && Math.abs(center) < LARGEST;
  return usable ? { center, width, function: known } : null;
}

/** A copy: windowed to 0 to 1, or in the file's unit; larger is brighter. */
export function apply(values: Float32Array, levels: GrayscaleTransform, windowed: boolean): Float32Array {
  const { window, inverted, ends, empty } = levels;
  const displayed = windowed && window ? values.map((value) => through(window, value)) : values.slice();
  const white = windowed && window ? 1 : ends;
  if (inverted) for (let i = 0; i < displayed.length; i++) displayed[i] = white - displayed[i];
  if (empty) fill(displayed, empty);
  return displayed;
}

function through({ center, width, function: name }: Window, value: number): number {
  if (name === "SIGMOID") return 1 / (1 + Math.exp((-4 * (value - center)) / width));
  if (name === "LINEAR_EXACT") return clip((value - center) / width + 0.5);
  if (width > 1) return clip((value - (center - 0.5)) / (width - 1) + 0.5);
  return value > center - 0.5 ? 1 : 0;
}

function clip(share: number): number {
  return Math.min(1, Math.max(0, share));
}

/** Give empty pixels the darkest of the others. */
function fill(values: Float32Array, empty: Uint8Array): void {
  let low = Infinity;
  values.forEach((value, i) => {
    if (!empty[i] && value < low) low = value;
  });
  if (low === Infinity) throw new InputError("blank", "every pixel is padding");
  values.forEach((_, i) => {
    if (empty[i]) values[i] = low;
  });
}

/** Part of the range of values at either end that does not count as head. */
const MARGIN = 0.1;
/** A window that clips more of the head than this shows something else than the head. */
const HIDDEN = 0.4;
/** Windowed values that differ by less, of 1, show nothing. */
const FLAT = 0.005;
const LOOKED_AT = 65_536;
/** A range of padding that takes more of the head, and as many values of it, is no padding. */
const PADDED = 0.02;
const FEWEST_LEVELS = 8;

/** What a window does not show of the values before it: `_Reading.hidden_by_window`; empty where it shows the head. */
export function hiddenByWindow(before: Float32Array, after: Float32Array): string {
  let [darkest, brightest] = [Infinity, -Infinity];
  for (const value of after) [darkest, brightest] = [Math.min(darkest, value), Math.max(brightest, value)];
  if (brightest - darkest < FLAT) return "everything";
  const head = headOf(before);
  const clipped = head.filter((index) => after[index] <= 0.002 || after[index] >= 0.998);
  return head.length > 0 && clipped.length > HIDDEN * head.length ? "most of the head" : "";
}

/** Whether `empty` takes pixels that are neither air nor the brightest, of many values. `covers_the_head`. */
export function coversTheHead(values: Float32Array, empty: Uint8Array): boolean {
  const lowest = values.reduce((least, value) => Math.min(least, value), Infinity);
  const head = headOf(values, lowest);
  const taken = head.filter((index) => empty[index]).map((index) => values[index]);
  return taken.length > PADDED * head.length && new Set(taken).size >= FEWEST_LEVELS;
}

/** Some places whose values are neither air nor the brightest, by the range of those above `lowest`. */
function headOf(values: Float32Array, lowest = -Infinity): number[] {
  const step = Math.max(1, Math.floor(values.length / LOOKED_AT));
  const indices = Array.from({ length: Math.ceil(values.length / step) }, (_, index) => index * step);
  const measured = Float32Array.from(indices.filter((index) => values[index] > lowest), (index) => values[index]).sort();
  const [low, high] = [0.01, 0.99].map((share) => quantile(measured, share));
  const margin = MARGIN * (high - low);
  return indices.filter((index) => values[index] > low + margin && values[index] < high - margin);
}
