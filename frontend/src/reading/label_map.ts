/** Label maps, masks, maps of probabilities and distances: `tumorlens/imaging/samples/label_map.py`. */
import { median, type Plane } from "../preprocessing";
import { InputError, type MedicalImage } from "../types";

type Voxels = Pick<MedicalImage, "pixels" | "depth" | "height" | "width">;

const MOST_LABELS = 7;
/** Slices that are looked at for areas of one value each, and fewest pixels a side of larger ones. */
const LOOKED_AT = 8;
const SIDE = 200;
/** Part of the neighbours inside areas that have the same value; of MR it is up to 0.7. */
const EVEN = 0.8;
/** From as many values, no MR is as even. */
const MANY = 12;
const MOST_NAMES = 1024;
/** Part of the steps between areas that lead beyond the next value, of few values and of many. */
const [FAR_OF_FEW, FAR_OF_MANY] = [0.5, 0.1];
/** Voxels that are looked at, about, for one value that most of what is bright has. */
const SAMPLED = 1 << 20;
const BINS = 20;
/** Bins that are not bright, and the first that the inside of a mask may be in. */
const DARK = 6;
const HIGHEST = 12;
/** Part of what is bright in one bin of these; of MR volumes it is up to 0.2, of resampled masks 0.6 and more. */
const ONE_VALUE = 0.55;
/** Part of a volume that is bright; fewer voxels may be text or damage far above all others. */
const FEWEST_BRIGHT = 0.05;
/** Part of the faces of a volume that is bright where it is inverted, or has bright padding. */
const AT_BORDER = 0.25;
/** Probabilities that are counted, and how many of them are near 1: of MR that is scaled to 0..1 up to 0.25. */
const LIKELY = 0.3;
const CERTAIN = 0.95;
const MOST_CERTAIN = 0.3;
/** Part of a volume that has some probability in maps of lesions; of MR without skull it is 0.1. */
const POSSIBLE = 0.01;
const FEWEST_POSSIBLE = 0.03;
/** Part of the inside that is as steep, to a tenth, as its median: of MR up to 0.12, of distances 0.45 and more. */
const SAME_STEEPNESS = 0.1;
const MOST_EVEN = 0.3;
/** Part of a volume of distances that is outside. */
const OUTSIDE = 0.25;

/**
 * Refuse a volume of 2 to 7 distinct values; or areas of one value each, as parcellations have; or one value in most
 * of what is bright, as masks have that were resampled. One of a single value is blank, which is found later.
 */
export function checkNoLabelMap(volume: Voxels): void {
  const labels = distinct(volume.pixels);
  if (labels.size < 2) return;
  if (labels.size <= MOST_LABELS) {
    const values = [...labels].sort((a, b) => a - b).map((value) => Number(value.toPrecision(6))).join(", ");
    throw new InputError("unsupported_format", `a label map or mask, not an image (its only values are ${values})`);
  }
  if (hasAreas(someSlices(volume))) {
    throw new InputError("unsupported_format", "a label map, not an image (it has areas of one value each)");
  }
  if (isSoftMask(volume)) {
    throw new InputError("unsupported_format", "a mask, not an image (most of what is bright has one value)");
  }
}

/** Refuse a volume of probabilities or distances; its values must be those of the file, as a window clips images. */
export function checkNoComputedMap(volume: Voxels): void {
  if (areProbabilities(sampled(volume).values)) {
    throw new InputError("unsupported_format", (
      "a probability map, not an image (its values are 0 to 1, and most of them are near one of the two)"
    ));
  }
  if (areDistances(volume)) {
    throw new InputError("unsupported_format", "a distance map, not an image (its values grow evenly from a border)");
  }
}

/** Whether values are 0 to 1, and many of them near 1, or nearly all 0. */
function areProbabilities(values: number[]): boolean {
  const [low, high] = ends(values);
  if (low < 0 || high <= 0.5 || high > 1) return false;
  const [possible, counted, certain] = [POSSIBLE, LIKELY, CERTAIN].map((least) => values.filter((value) => value >= least).length);
  const isRare = possible < FEWEST_POSSIBLE * values.length;
  return isRare || (counted >= POSSIBLE * values.length && certain >= MOST_CERTAIN * counted);
}

/** Whether what is not outside is equally steep nearly everywhere. */
function areDistances({ pixels, depth, height, width }: Voxels): boolean {
  const step = Math.max(1, Math.round(Math.cbrt(pixels.length / SAMPLED)));
  const [strides, sides] = [[height * width, width, 1], [depth, height, width]];
  const [onwards, lasts] = [strides.map((stride, axis) => (sides[axis] > 1 ? stride : 0)), sides.map((side) => Math.max(1, side - 1))];
  const found: [value: number, steepness: number][] = [];
  for (let z = 0; z < lasts[0]; z += step) {
    for (let y = 0; y < lasts[1]; y += step) {
      for (let x = 0; x < lasts[2]; x += step) {
        const at = z * strides[0] + y * strides[1] + x;
        found.push([pixels[at], Math.hypot(...onwards.map((onward) => pixels[at + onward] - pixels[at]))]);
      }
    }
  }
  const [low] = ends(found.map(([value]) => value));
  const inside = found.filter(([value]) => value > low).map(([, steepness]) => steepness);
  const usual = inside.length <= (1 - OUTSIDE) * found.length ? median(inside) : 0;
  return usual > 0 && inside.filter((one) => Math.abs(one / usual - 1) <= SAME_STEEPNESS).length >= MOST_EVEN * inside.length;
}

function ends(values: number[]): [number, number] {
  return values.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity]);
}

/** The distinct values, or more than `MOST_LABELS` of them. */
function distinct(pixels: Float32Array): Set<number> {
  const values = new Set<number>();
  for (const value of pixels) {
    values.add(value);
    if (values.size > MOST_LABELS) break;
  }
  return values;
}

/** A few slices along the shortest axis, of large ones not each pixel. */
function someSlices({ pixels, depth, height, width }: Voxels): Plane[] {
  const sides = [depth, height, width];
  const strides = [height * width, width, 1];
  const axis = sides.indexOf(Math.min(...sides));
  const [down, across] = [0, 1, 2].filter((other) => other !== axis);
  const step = Math.max(1, Math.floor(Math.min(sides[down], sides[across]) / SIDE));
  const [rows, columns] = [down, across].map((other) => Math.ceil(sides[other] / step));
  const count = Math.min(LOOKED_AT, sides[axis]);
  return Array.from({ length: count }, (_, slice) => {
    const start = strides[axis] * Math.floor((slice * (sides[axis] - 1)) / Math.max(1, count - 1));
    const taken = Float32Array.from({ length: rows * columns }, (_value, at) => (
      pixels[start + step * (strides[down] * Math.floor(at / columns) + strides[across] * (at % columns))]
    ));
    return { pixels: taken, height: rows, width: columns };
  });
}

/** Whether neighbours that are no background nearly all have the same value, and the other values have no order. */
function hasAreas(slices: Plane[]): boolean {
  const counts = new Map<number, number>();
  for (const { pixels } of slices) {
    for (const value of pixels) counts.set(value, (counts.get(value) ?? 0) + 1);
    if (counts.size > MOST_NAMES || !pixels.every(Number.isInteger)) return false;
  }
  const values = [...counts.keys()].sort((a, b) => a - b);
  const background = values.reduce((most, value) => (counts.get(value)! > counts.get(most)! ? value : most));
  const ranks = new Map(values.map((value, rank) => [value, rank]));
  const across = stepsInside(slices, background, ranks, 0);
  const down = stepsInside(slices, background, ranks, 1);
  if ([across, down].some((steps) => steps.filter((step) => step === 0).length < EVEN * Math.max(1, steps.length))) return false;
  const between = [...across, ...down].filter((step) => step > 0);
  const far = between.filter((step) => step > 1).length;
  return between.length > 0 && far >= (values.length >= MANY ? FAR_OF_MANY : FAR_OF_FEW) * between.length;
}

/** How many values lie between neighbours that are neither background nor the lowest value of their slice. */
function stepsInside(slices: Plane[], background: number, ranks: Map<number, number>, axis: 0 | 1): number[] {
  const steps: number[] = [];
  for (const { pixels, width } of slices) {
    const lowest = pixels.reduce((least, value) => Math.min(least, value), Infinity);
    const isInside = (value: number) => value !== background && value !== lowest;
    const offset = axis ? width : 1;
    for (let at = offset; at < pixels.length; at++) {
      if (!axis && at % width === 0) continue;
      const [before, after] = [pixels[at - offset], pixels[at]];
      if (isInside(before) && isInside(after)) steps.push(Math.abs(ranks.get(before)! - ranks.get(after)!));
    }
  }
  return steps;
}

/** Whether most of what is bright has one value, the border being dark. */
function isSoftMask(volume: Voxels): boolean {
  const { values, faces } = sampled(volume);
  const [low, high] = ends(values);
  const counts = new Array<number>(BINS).fill(0);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor((BINS * (value - low)) / (high - low)))]++;
  const bright = counts.slice(DARK).reduce((sum, count) => sum + count, 0);
  if (bright < FEWEST_BRIGHT * values.length || Math.max(...counts.slice(HIGHEST)) < ONE_VALUE * bright) return false;
  return faces.filter((value) => value > (low + high) / 2).length < AT_BORDER * faces.length;
}

/** About `SAMPLED` voxels, evenly spread, and those of them on the faces of the volume, once for each face. */
function sampled({ pixels, depth, height, width }: Voxels): { values: number[]; faces: number[] } {
  const step = Math.max(1, Math.round(Math.cbrt(pixels.length / SAMPLED)));
  const [values, faces]: [number[], number[]] = [[], []];
  const last = [depth, height, width].map((side) => side - 1 - ((side - 1) % step));
  for (let z = 0; z < depth; z += step) {
    for (let y = 0; y < height; y += step) {
      for (let x = 0; x < width; x += step) {
        const value = pixels[(z * height + y) * width + x];
        values.push(value);
        [z, y, x].forEach((coordinate, axis) => {
          if (coordinate === 0) faces.push(value);
          if (coordinate === last[axis]) faces.push(value);
        });
      }
    }
  }
  return { values, faces };
}
