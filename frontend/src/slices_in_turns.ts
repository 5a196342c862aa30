/** Whether the slices of a volume are those of several volumes in turns. `imaging/samples/slices_in_turns.py`. */
import type { MedicalImage } from "./types";

type Pixels = Pick<MedicalImage, "pixels" | "depth" | "height" | "width">;

const SIDE = 64;
const MOST_VOLUMES = 4;
const FEWEST_SLICES = 4;
const UNLIKE = 0.05;
const NEARER = 1.4;

/** A note where they are. */
export function notesOnTurns(image: Pixels): string[] {
  const count = volumesInTurns(image);
  if (count === 1) return [];
  return [`slices are less like their neighbours than like those ${count} further on; ${count} volumes may be mixed`];
}

export function volumesInTurns(image: Pixels): number {
  const most = Math.min(MOST_VOLUMES, Math.floor(image.depth / FEWEST_SLICES));
  if (most < 2) return 1;
  const slices = Array.from({ length: image.depth }, (_, slice) => directionOf(image, slice));
  const apart = Array.from({ length: most }, (_, index) => distance(slices, index + 1));
  const nearest = apart.indexOf(Math.min(...apart.slice(1)), 1);
  return apart[0] > UNLIKE && apart[0] > NEARER * apart[nearest] ? nearest + 1 : 1;
}

/** Some pixels of a slice without its brightness and contrast; null where all are alike. */
function directionOf({ pixels, height, width }: Pixels, slice: number): Float64Array | null {
  const step = Math.max(1, Math.floor(Math.max(height, width) / SIDE));
  const [rows, columns] = [Math.ceil(height / step), Math.ceil(width / step)];
  const start = slice * height * width;
  const some = Float64Array.from({ length: rows * columns }, (_, at) => (
    pixels[start + Math.floor(at / columns) * step * width + (at % columns) * step]
  ));
  const mean = some.reduce((sum, value) => sum + value, 0) / some.length;
  const length = Math.sqrt(some.reduce((sum, value) => sum + (value - mean) ** 2, 0));
  return length > 0 ? some.map((value) => (value - mean) / length) : null;
}

/** The mean of slices so far apart that both show something; 1 where there are none. */
function distance(slices: (Float64Array | null)[], lag: number): number {
  const distances = slices.slice(lag).flatMap((slice, at) => {
    const before = slices[at];
    return slice && before ? [1 - slice.reduce((sum, value, place) => sum + value * before[place], 0)] : [];
  });
  return distances.length > 0 ? distances.reduce((sum, value) => sum + value, 0) / distances.length : 1;
}
