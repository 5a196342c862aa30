/** Values that are no intensities, and would set the window. `tumorlens/imaging/intensities.py`. */
import { quantile } from "../preprocessing";
import type { Slices } from "./square";

const SAMPLES = 262_144;
const MOST_OUTLIERS = 0.1;
const FEWEST_OUTLIERS = 0.003;
const FAR = 3;
const BIN = 0.25;
const EMPTY_BIN = 0.001;
const TEXT = 0.25;
const FEWEST_BELOW = 0.005;
const FEWEST_INSIDE = 0.2;
const BORDER = 0.9;
const DARK = 0.15;
const BETWEEN = [0.02, 0.98];
const SPECK = 0.002;
const NEAR_ZERO = 0.25;
const CLEAR = 0.05;

/** Change `slices.pixels` in place; what was done, in sentences. Of 8 bits only the background is changed. */
export function mend(slices: Slices, bits: number): string[] {
  const notes = [background(slices)];
  if (bits > 8) {
    let sample = sampled(slices);
    for (const step of [padding, negative, outliers, bright]) {
      const note = step(slices, sample);
      if (note !== "") sample = sampled(slices);
      notes.push(note);
    }
  }
  return notes.filter((note) => note !== "");
}

/** Some pixels of all slices, sorted. */
function sampled({ depth, height, width, pixels }: Slices): Float32Array {
  const step = Math.max(1, Math.floor((pixels.length / SAMPLES) ** (depth > 1 ? 1 / 3 : 1 / 2)));
  const samples: number[] = [];
  for (let slice = 0; slice < depth; slice += depth > 1 ? step : 1) {
    for (let row = 0; row < height; row += step) {
      for (let column = 0; column < width; column += step) samples.push(pixels[(slice * height + row) * width + column]);
    }
  }
  return Float32Array.from(samples).sort();
}

/** Darken one constant value that fills the border but lies between those of the head. */
function background(slices: Slices): string {
  const { depth, height, width, pixels } = slices;
  const edges: number[] = [];
  for (let slice = 0; slice < depth; slice++) {
    const at = slice * height * width;
    for (let column = 0; column < width; column++) edges.push(pixels[at + column], pixels[at + (height - 1) * width + column]);
    for (let row = 0; row < height; row++) edges.push(pixels[at + row * width], pixels[at + row * width + width - 1]);
  }
  const border = Float32Array.from(edges).sort();
  const value = border[border.length >> 1];
  if (border.filter((other) => other === value).length < BORDER * border.length) return "";
  const sample = sampled(slices);
  const inside = sample.filter((other) => other !== value);
  const share = inside.length / sample.length;
  if (share < FEWEST_INSIDE || share > 1 - FEWEST_BELOW) return "";
  const below = inside.filter((other) => other < value).length / inside.length;
  const dark = inside[0] + DARK * (quantile(inside, 0.99) - inside[0]);
  if (value < dark || below <= BETWEEN[0] || below >= BETWEEN[1]) return "";
  for (let slice = 0; slice < depth; slice++) {
    darken(pixels.subarray(slice * height * width, (slice + 1) * height * width), height, width, value, inside[0]);
  }
  return `one value (${value}) fills the border but lies between the others; it is treated as dark`;
}

/** Areas of `value`, without specks: a head has each value by chance too. */
function darken(plane: Float32Array, height: number, width: number, value: number, dark: number): void {
  const visited = new Uint8Array(plane.length);
  for (let start = 0; start < plane.length; start++) {
    if (visited[start] || plane[start] !== value) continue;
    const area = [start];
    visited[start] = 1;
    for (let index = 0; index < area.length; index++) {
      const at = area[index];
      const column = at % width;
      const around = [at - width, at + width, ...(column > 0 ? [at - 1] : []), ...(column < width - 1 ? [at + 1] : [])];
      for (const next of around) {
        if (next < 0 || next >= height * width || visited[next] || plane[next] !== value) continue;
        visited[next] = 1;
        area.push(next);
      }
    }
    if (area.length >= SPECK * plane.length) for (const at of area) plane[at] = dark;
  }
}

/** Raise values that lie far below all others: padding of the border, no measurement. */
function padding({ pixels }: Slices, sample: Float32Array): string {
  let at = 0;
  for (let index = 0; index + 1 < sample.length; index++) {
    if (sample[index + 1] - sample[index] > sample[at + 1] - sample[at]) at = index;
  }
  const rest = sample.subarray(at + 1);
  if (rest.length < FEWEST_INSIDE * sample.length || at + 1 < FEWEST_BELOW * sample.length) return "";
  const usual = quantile(rest, 0.99) - rest[0];
  if (usual <= 0 || !(sample[at + 1] - sample[at] > usual) || sample[at] - sample[0] > usual) return "";
  for (let index = 0; index < pixels.length; index++) if (pixels[index] < rest[0]) pixels[index] = rest[0];
  return `values up to ${sample[at]} lie far below all others and are treated as background`;
}

/** Raise one negative value below all others to 0, as magnitudes are not negative. */
function negative({ pixels }: Slices, sample: Float32Array): string {
  const [value] = sample;
  const rest = sample.filter((other) => other > value);
  if (!isPart(rest, sample)) return "";
  const usual = quantile(rest, 0.99) - rest[0];
  if (usual <= 0 || value >= 0 || rest[0] <= NEAR_ZERO * value || rest[0] - value <= CLEAR * usual) return "";
  const level = Math.min(rest[0], 0);
  for (let index = 0; index < pixels.length; index++) if (pixels[index] < level) pixels[index] = level;
  return `one value (${value}) lies below all others and is treated as background`;
}

/** Darken one value that lies farther above all others than these lie apart. */
function bright({ pixels }: Slices, sample: Float32Array): string {
  const value = sample[sample.length - 1];
  const rest = sample.filter((other) => other < value);
  const spread = rest[rest.length - 1] - rest[0];
  if (!isPart(rest, sample) || spread <= 0 || value - rest[rest.length - 1] <= spread) return "";
  for (let index = 0; index < pixels.length; index++) if (pixels[index] >= value) pixels[index] = rest[0];
  return `one value (${value}) lies far above all others and is treated as background`;
}

/** Whether the rest is an image, and what it lacks is more than a few pixels. */
function isPart(rest: Float32Array, sample: Float32Array): boolean {
  const share = rest.length / sample.length;
  return share >= FEWEST_INSIDE && share <= 1 - FEWEST_BELOW;
}

/** Blank a few values that lie far above all others: text, marks, damage. */
function outliers({ pixels }: Slices, sample: Float32Array): string {
  const top = sample[sample.length - 1];
  const [low, body] = [0.01, 1 - MOST_OUTLIERS].map((share) => quantile(sample, share));
  const usual = body - low;
  if (usual <= 0 || top - low <= FAR * usual) return "";
  const limit = endOfBody(sample, body, usual);
  const above = sample.filter((value) => value > limit);
  if (above.length < FEWEST_OUTLIERS * sample.length || top - low <= FAR * (limit - low)) return "";
  if (above.filter((value) => value >= top - usual * BIN).length < TEXT * above.length) return "";
  for (let index = 0; index < pixels.length; index++) if (pixels[index] > limit) pixels[index] = sample[0];
  const share = ((100 * above.length) / sample.length).toFixed(1);
  return `${share}% of the samples lie far above all others (burned-in text?) and are treated as background`;
}

/** The largest of the usual values: beyond, a bin is all but empty. */
function endOfBody(sample: Float32Array, body: number, usual: number): number {
  const upTo = (value: number) => {
    let [low, high] = [0, sample.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sample[middle] <= value) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  for (let start = body; start < sample[sample.length - 1]; start += BIN * usual) {
    const left = upTo(start);
    if (upTo(start + BIN * usual) - left < EMPTY_BIN * sample.length) return sample[left - 1];
  }
  return sample[sample.length - 1];
}
