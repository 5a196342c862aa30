/**
 * From any image to what the network sees: `tumorlens/preprocessing.py`, line by line.
 *
 * Python works in float32 where numpy does; `Math.fround` marks each place. Test vectors made by
 * Python (scripts/vectors.py) hold the two together.
 */
import { type Box, insideMargin } from "./margin";
import type { Color } from "./reading/gray";
import { InputError, type Square } from "./types";

export interface PreprocessConfig {
  image_size: number;
  window_percentiles: [number, number];
  crop: boolean;
  crop_level: number;
  crop_occupancy: number;
  crop_margin: number;
  mean: number;
  std: number;
}

export interface Plane {
  height: number;
  width: number;
  pixels: Float32Array;
  /** How much of it was in colours; none if it is not stated. */
  color?: Color;
}

export interface Prepared {
  /** (S, S), 0 to 255. */
  pixels: Uint8Array;
  square: Square;
}

const QUANTILE_SAMPLES = 65_536;
const f32 = Math.fround;

/** Throws `InputError` where every pixel has the same value. */
export function preprocess(image: Plane, config: PreprocessConfig): Prepared {
  const whole: Box = { top: 0, left: 0, bottom: image.height, right: image.width };
  const inside = insideMargin(image);
  let windowed = window(cut(image, inside), config);
  let box: Box = { ...whole, bottom: windowed.height, right: windowed.width };
  if (config.crop) {
    box = headBox(windowed, config);
    windowed = cut(windowed, box);
  }
  const resized = resize(padSquare(windowed), config.image_size);
  const pixels = new Uint8Array(resized.length);
  for (let i = 0; i < resized.length; i++) {
    pixels[i] = roundHalfEven(f32(Math.min(1, Math.max(0, resized[i])) * 255));
  }
  const { top, left, side } = squareAround(box);
  return { pixels, square: { top: top + inside.top, left: left + inside.left, side } };
}

/** To the network's input, float32. */
export function normalize(pixels: Uint8Array, config: PreprocessConfig): Float32Array {
  const mean = f32(config.mean);
  const std = f32(config.std);
  return Float32Array.from(pixels, (value) => f32(f32(f32(value / 255) - mean) / std));
}

/** Map the intensity quantiles to 0 and 1 and clip. */
export function window(image: Plane, config: PreprocessConfig): Plane {
  const { pixels, height, width } = image;
  const step = Math.max(1, Math.floor(Math.sqrt(pixels.length / QUANTILE_SAMPLES)));
  const sample = subgrid(image, step).sort();
  let [low, high] = config.window_percentiles.map((share) => quantile(sample, share));
  if (!(high > low)) [low, high] = extremes(pixels);
  if (!(high > low)) throw new InputError("blank", "every pixel has the same value");
  const start = f32(low);
  const range = f32(high - low);
  const out = new Float32Array(pixels.length);
  for (let i = 0; i < pixels.length; i++) {
    out[i] = Math.min(1, Math.max(0, f32(f32(pixels[i] - start) / range)));
  }
  return { height, width, pixels: out };
}

function subgrid({ pixels, height, width }: Plane, step: number): Float32Array {
  const rows = Math.ceil(height / step);
  const columns = Math.ceil(width / step);
  const sample = new Float32Array(rows * columns);
  let index = 0;
  for (let row = 0; row < height; row += step) {
    for (let column = 0; column < width; column += step) {
      sample[index++] = pixels[row * width + column];
    }
  }
  return sample;
}

/** `numpy.quantile`, method "linear", of sorted float32 values. */
export function quantile(sorted: Float32Array, share: number): number {
  const position = share * (sorted.length - 1);
  const before = Math.floor(position);
  const a = sorted[before];
  const b = sorted[Math.min(before + 1, sorted.length - 1)];
  const t = position - before;
  const difference = f32(b - a);
  return t >= 0.5 ? b - difference * (1 - t) : a + difference * t;
}

export function extremes(pixels: Float32Array): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const value of pixels) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** The rectangle around the rows and columns that hold tissue, with a margin. */
export function headBox({ pixels, height, width }: Plane, config: PreprocessConfig): Box {
  const level = f32(config.crop_level);
  const rows = new Uint32Array(height);
  const columns = new Uint32Array(width);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      if (pixels[row * width + column] > level) {
        rows[row]++;
        columns[column]++;
      }
    }
  }
  const vertical = span(rows, width, config.crop_occupancy);
  const horizontal = span(columns, height, config.crop_occupancy);
  if (!vertical || !horizontal) return { top: 0, left: 0, bottom: height, right: width };
  const [top, bottom] = vertical;
  const [left, right] = horizontal;
  const margin = roundHalfEven(config.crop_margin * Math.max(bottom - top, right - left));
  return {
    top: Math.max(0, top - margin),
    left: Math.max(0, left - margin),
    bottom: Math.min(height, bottom + margin),
    right: Math.min(width, right + margin),
  };
}

function span(counts: Uint32Array, across: number, occupancy: number): [number, number] | null {
  const counted = (count: number) => count / across >= occupancy;
  const first = counts.findIndex(counted);
  return first < 0 ? null : [first, counts.findLastIndex(counted) + 1];
}

/** The pixels of a box. */
export function cut(plane: Plane, box: Box): Plane {
  const { pixels, width } = plane;
  if (box.bottom - box.top === plane.height && box.right - box.left === width) return plane;
  const height = box.bottom - box.top;
  const across = box.right - box.left;
  const out = new Float32Array(height * across);
  for (let row = 0; row < height; row++) {
    const start = (box.top + row) * width + box.left;
    out.set(pixels.subarray(start, start + across), row * across);
  }
  return { height, width: across, pixels: out };
}

/** Centre in a black square of the longer side. */
export function padSquare(plane: Plane): Plane {
  const { pixels, height, width } = plane;
  if (height === width) return plane;
  const side = Math.max(height, width);
  const top = Math.floor((side - height) / 2);
  const left = Math.floor((side - width) / 2);
  const out = new Float32Array(side * side);
  for (let row = 0; row < height; row++) {
    out.set(pixels.subarray(row * width, (row + 1) * width), (top + row) * side + left);
  }
  return { height: side, width: side, pixels: out };
}

/** Where `padSquare` puts the rectangle `box` of an image. */
export function squareAround(box: Box): Square {
  const height = box.bottom - box.top;
  const width = box.right - box.left;
  const side = Math.max(height, width);
  return {
    top: box.top - Math.floor((side - height) / 2),
    left: box.left - Math.floor((side - width) / 2),
    side,
  };
}

/**
 * Resize to (size, size) with an antialiased triangle filter, rows then columns.
 *
 * Sums are rounded to float32 at each step, as a processor's fused multiply-add does: where a
 * value lies just between two levels, the same one is chosen.
 */
export function resize({ pixels, height, width }: Plane, size: number): Float32Array {
  const rows = triangleWeights(height, size);
  const columns = triangleWeights(width, size);
  const middle = new Float32Array(size * width);
  const sums = new Float32Array(width);
  for (let row = 0; row < size; row++) {
    sums.fill(0);
    const { first, weights } = rows[row];
    for (let tap = 0; tap < weights.length; tap++) {
      const start = (first + tap) * width;
      const weight = weights[tap];
      for (let column = 0; column < width; column++) sums[column] += weight * pixels[start + column];
    }
    middle.set(sums, row * width);
  }
  const out = new Float32Array(size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const { first, weights } = columns[column];
      let sum = 0;
      for (let tap = 0; tap < weights.length; tap++) sum = f32(sum + weights[tap] * middle[row * width + first + tap]);
      out[row * size + column] = sum;
    }
  }
  return out;
}

interface Taps {
  first: number;
  weights: Float32Array;
}

/** For each target pixel, the source pixels it is made of: their weights sum to 1. */
function triangleWeights(source: number, target: number): Taps[] {
  const ratio = source / target;
  const support = Math.max(ratio, 1);
  return Array.from({ length: target }, (_, index) => {
    const centre = (index + 0.5) * ratio - 0.5;
    const first = Math.max(0, Math.ceil(centre - support));
    const last = Math.min(source - 1, Math.floor(centre + support));
    const raw: number[] = [];
    for (let at = first; at <= last; at++) raw.push(Math.max(0, 1 - Math.abs(at - centre) / support));
    const total = raw.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: Float32Array.from(raw, (weight) => weight / total) };
  });
}

/** `numpy.rint` and Python's `round`: halves go to the even neighbour. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** `numpy.median`, but 0 of nothing. */
export function median(values: number[]): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.floor(half)] + sorted[Math.ceil(half) - 1]) / 2;
}
