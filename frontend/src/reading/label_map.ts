/** Label maps and masks, whose voxels name regions: `tumorlens/imaging/label_map.py`. */
import { type Failure, failureOf, InputError, type MedicalImage } from "../types";

type Voxels = Pick<MedicalImage, "pixels" | "depth" | "height" | "width">;

const MOST_LABELS = 7;
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

/**
 * Refuse a volume of 2 to 7 distinct values, or one value in most of what is bright, as masks have that were
 * resampled. One of a single value is blank, which is found later.
 */
export function checkNoLabelMap(volume: Voxels): void {
  const found = distinct(volume.pixels);
  if (found.size < 2) return;
  if (found.size <= MOST_LABELS) {
    const values = [...found].sort((one, other) => one - other).map((value) => Number(value.toPrecision(6))).join(", ");
    throw new InputError("unsupported_format", `a label map or mask, not an image (its only values are ${values})`);
  }
  if (isSoftMask(volume)) {
    throw new InputError("unsupported_format", "a mask, not an image (most of what is bright has one value)");
  }
}

/** The distinct values, or more than `MOST_LABELS` of them. */
function distinct(pixels: Float32Array): Set<number> {
  const found = new Set<number>();
  for (const value of pixels) {
    found.add(value);
    if (found.size > MOST_LABELS) break;
  }
  return found;
}

/** Whether most of what is bright has one value, the border being dark. */
function isSoftMask(volume: Voxels): boolean {
  const { values, faces } = sampled(volume);
  const [low, high] = values.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity]);
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
        [z, y, x].forEach((place, axis) => {
          if (place === 0) faces.push(value);
          if (place === last[axis]) faces.push(value);
        });
      }
    }
  }
  return { values, faces };
}

/** The volumes that are images; each of the others is a failure of its own. */
export function withoutLabelMaps(found: MedicalImage[]): { images: MedicalImage[]; failures: Failure[] } {
  const images: MedicalImage[] = [];
  const failures: Failure[] = [];
  for (const image of found) {
    try {
      if (image.depth > 1) checkNoLabelMap(image);
      images.push(image);
    } catch (error) {
      failures.push(failureOf(image.name, error));
    }
  }
  return { images, failures };
}
