/** Whether samples are stored as the file states: `dicom/stored_values.py`, `row_length.py`. */
import { quantile } from "../preprocessing";
import { InputError } from "../types";

export const SWAPPED = "the byte order of the pixel data is not the one that the file states; the bytes are swapped";
export const OTHER_SIGN = "the sign of the pixel data is not the one that the file states; it is read as the steps between neighbours say";
export const WIDER = "values take more bits than the file states (BitsStored); all bits are used";

const SMOOTHER = 0.5;
const JUMP = 15;
const TORN = 0.001;
const WRAPPED = 0.25;
const PLANES = 4;
const SHOWN = 0.001;
const CARRIED = 0.1;
const ROWS = 32;
const EVERY = 3;
const ALIKE = 0.7;
const BESIDE = 3;

/** Whether `swapped`, the `words` of two bytes in the other order, are smoother than those and than their `values`. */
export function isSwapped(words: Float32Array, values: Float32Array, swapped: Float32Array, width: number, most = ROWS): boolean {
  const roughnessOf = (samples: Float32Array) => roughness(samples, width, most);
  return roughnessOf(swapped) < SMOOTHER * Math.min(roughnessOf(words), roughnessOf(values));
}

/** Whether `bytes`, stated to be samples of one, are samples of two. `are_words` in `imaging/samples/sample_storage.py`. */
export function areWords(bytes: Uint8Array, width: number): boolean {
  const roughnessOf = (samples: Float32Array) => roughness(samples, width, Infinity);
  const words = [0, 1].map((low) => Float32Array.from({ length: bytes.length / 2 }, (_, at) => bytes[2 * at + low] + 256 * bytes[2 * at + 1 - low]));
  return Math.min(...words.map(roughnessOf)) < SMOOTHER * roughnessOf(Float32Array.from(bytes));
}

/** Values of so many bits, read with the other sign. */
export function ofOtherSign(values: Float32Array, bits: number, isSigned: boolean): Float32Array {
  const [half, whole] = [2 ** (bits - 1), 2 ** bits];
  return values.map((value) => (isSigned ? (value < 0 ? value + whole : value) : value >= half ? value - whole : value));
}

/** Whether `values` must have the sign of `other`, by neighbours in rows, and in columns too where they are an image. `imaging/samples/sample_storage.py`. */
export function hasOtherSign(values: Float32Array, other: Float32Array, width: number, isImage = true): boolean {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const isInner = (value: number) => value > low && value < high;
  let [torn, joined] = [0, 0];
  const compare = (at: number, next: number) => {
    if (!isInner(values[at]) || !isInner(values[next])) return;
    const [step, meant] = [Math.abs(values[next] - values[at]), Math.abs(other[next] - other[at])];
    if (step > JUMP * meant) torn++;
    if (meant > JUMP * step) joined++;
  };
  for (let at = 0; at < values.length; at++) {
    if (isImage && at + width < values.length) compare(at, at + width);
    if ((at + 1) % width) compare(at, at + 1);
  }
  return torn > Math.max(TORN * values.length, 10 * joined);
}

/** Mean difference of neighbours in some rows, as part of what values differ by at all. */
function roughness(samples: Float32Array, width: number, most: number): number {
  const rows = someRows(samples.length / width, most);
  const sampled = rows.flatMap((row) => everyOf(width, 4).map((column) => samples[row * width + column]));
  const { low, high, clipped } = range(sampled);
  if (!(high > low)) return 1;
  let sum = 0;
  for (const row of rows) {
    for (let at = row * width + 1; at < (row + 1) * width; at++) sum += Math.abs(clipped(samples[at]) - clipped(samples[at - 1]));
  }
  return sum / (rows.length * (width - 1)) / (high - low);
}

/** Whether the `words` go on where their `values`, of `stored` bits, wrap around or are noise. */
export function isWider(words: Float32Array, values: Float32Array, width: number, stored: number): boolean {
  if (words.every((word, at) => word === values[at])) return false;
  const counts = new Map<number, number>();
  for (const word of words) counts.set(Math.floor(word / 2 ** stored), (counts.get(Math.floor(word / 2 ** stored)) ?? 0) + 1);
  const frequent = [...counts.values()].filter((count) => count >= SHOWN * words.length);
  if (frequent.length > PLANES) {
    const isSmoother = roughness(words, width, Infinity) < SMOOTHER * roughness(values, width, Infinity);
    return isSmoother && areDigits(words.map((word) => Math.floor(word / 2 ** stored)), values, width, stored);
  }
  let [smoother, rougher] = [0, 0];
  const compare = (at: number, next: number) => {
    const [step, wrapped] = [Math.abs(words[next] - words[at]), Math.abs(values[next] - values[at])];
    if (step < wrapped) smoother++;
    else if (step > wrapped) rougher++;
  };
  for (let at = 0; at < words.length; at++) {
    if (at + width < words.length) compare(at, at + width);
    if ((at + 1) % width) compare(at, at + 1);
  }
  return smoother > WRAPPED * rougher;
}

/** Whether `values` wrap around where the upper bits, `beside`, grow by 1. `_are_digits` in `dicom/stored_values.py`. */
function areDigits(beside: Float32Array, values: Float32Array, width: number, stored: number): boolean {
  let [changed, against] = [0, 0];
  for (let at = 0; at + 1 < values.length; at++) {
    const change = (at + 1) % width ? beside[at + 1] - beside[at] : 0;
    if (Math.abs(change) !== 1) continue;
    changed++;
    if (change * (values[at + 1] - values[at]) < -(2 ** (stored - 1))) against++;
  }
  return against > CARRIED * changed;
}

/** Refuse planes that, by some in the middle, hold rows of `height` samples. */
export function checkRows(pixels: Float32Array, height: number, width: number): void {
  const [size, depth] = [height * width, pixels.length / (height * width)];
  const planes = [depth / 4, depth / 2, (3 * depth) / 4].map(Math.floor);
  if (height === width || !planes.every((plane) => areExchanged(pixels.subarray(plane * size, (plane + 1) * size), height, width))) return;
  throw new InputError("corrupt", `damaged (the pixels form rows of ${height}, not of ${width} as the file states: its rows and columns are exchanged)`);
}

function areExchanged(samples: Float32Array, height: number, width: number): boolean {
  const last = samples.length - 2 * Math.max(height, width);
  const indices = someRows(height)
    .flatMap((row) => everyOf(width, EVERY).map((column) => row * width + column))
    .filter((index) => index < last);
  if (indices.length === 0) return false;
  const { clipped } = range(indices.map((index) => samples[index]));
  const difference = (lag: number) => (
    indices.reduce((sum, index) => sum + Math.abs(clipped(samples[index + lag]) - clipped(samples[index])), 0)
  );
  const below = difference(height);
  const others = [width, Math.floor(height / 2), Math.floor((3 * height) / 2)].map(difference);
  return below < ALIKE * Math.min(...others) && difference(1) < BESIDE * below;
}

function someRows(height: number, most = ROWS): number[] {
  return everyOf(height, Math.max(1, Math.floor(height / most)));
}

function everyOf(count: number, step: number): number[] {
  return Array.from({ length: Math.ceil(count / step) }, (_, index) => index * step);
}

function range(samples: number[]) {
  const sorted = Float32Array.from(samples).sort();
  const [low, high] = [quantile(sorted, 0.01), quantile(sorted, 0.99)];
  return { low, high, clipped: (value: number) => Math.min(high, Math.max(low, value)) };
}
