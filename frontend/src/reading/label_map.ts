/** Label maps and masks, whose voxels name regions: `tumorlens/imaging/label_map.py`. */
import { type Failure, failureOf, InputError, type Picture } from "../types";

const MOST_LABELS = 7;

/** Refuse a volume of 2 to 7 distinct values; one of a single value is blank, which is found later. */
export function checkNoLabelMap(pixels: Float32Array): void {
  const found = new Set<number>();
  for (const value of pixels) {
    found.add(value);
    if (found.size > MOST_LABELS) return;
  }
  if (found.size < 2) return;
  const values = [...found].sort((one, other) => one - other).map((value) => Number(value.toPrecision(6))).join(", ");
  throw new InputError("unsupported_format", `a label map or mask, not an image (its only values are ${values})`);
}

/** The volumes that are images; each of the others is a failure of its own. */
export function withoutLabelMaps(found: Picture[]): { pictures: Picture[]; failures: Failure[] } {
  const pictures: Picture[] = [];
  const failures: Failure[] = [];
  for (const picture of found) {
    try {
      if (picture.depth > 1) checkNoLabelMap(picture.pixels);
      pictures.push(picture);
    } catch (error) {
      failures.push(failureOf(picture.name, error));
    }
  }
  return { pictures, failures };
}
