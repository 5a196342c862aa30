/** What the page holds: images and volumes with their answers. */
import { MODEL } from "./engine";
import { extremes, type Plane, quantile } from "./preprocessing";
import type { Member, NamedFile } from "./reading/contents";
import { headline } from "./summary";
import { type Decision, type Failure, type Finding, type Heatmap, isFailure, isVolume, type MedicalImage, type Result } from "./types";

/** Intensities shown as black and as white. */
export interface Range {
  low: number;
  high: number;
}

export interface Item {
  id: number;
  name: string;
  /** Null if only the server can read the file, or nothing can. */
  image: MedicalImage | null;
  /** The files it was read from. */
  files: (NamedFile | Member)[];
  /** One for each slice; null while it is waiting. */
  results: (Result | null)[];
  /** The answer for a volume as a whole; null for a single image, and where the server gives none. */
  whole: Result | null;
  /** Whether that answer is still to come. */
  awaitsWhole: boolean;
  slice: number;
  displayRange: Range;
  fullRange: Range;
  /** Grows with each run, so that answers of an older run are dropped. */
  run: number;
  /** Where it was answered. */
  where: "browser" | "server";
  /** Where the network that answers here lies: that of the page, or the one that examples were drawn for. */
  model: string;
}

let next = 1;

export function itemOf(name: string, image: MedicalImage | null, files: Item["files"]): Item {
  const range = image ? usefulRange(image) : { low: 0, high: 1 };
  const depth = image?.depth ?? 1;
  return {
    id: next++, name, image, files, results: Array<Result | null>(depth).fill(null), whole: null,
    awaitsWhole: false, slice: Math.floor(depth / 2), displayRange: range, fullRange: range, run: 0, where: "server", model: MODEL,
  };
}

export function failedItem(failure: Failure): Item {
  return { ...itemOf(failure.path, null, []), results: [failure] };
}

/** One slice, copied: it may be handed to the worker. */
export function planeOf({ pixels, height, width, color }: MedicalImage, slice: number): Plane {
  const size = height * width;
  return { height, width, color, pixels: pixels.slice(slice * size, (slice + 1) * size) };
}

/** A server's answer for an image by itself, with what its files left out or assumed; a volume's whole has its own. */
export function withNotes(item: Item, result: Result): Result {
  const notes = item.results.length === 1 ? (item.image?.notes ?? []) : [];
  return isFailure(result) || result.notes.length > 0 || notes.length === 0 ? result : { ...result, notes };
}

/** The answer for an image, or for a volume as a whole. */
export function ownAnswer({ results, whole }: Item): Result | null {
  return results.length > 1 ? whole : results[0];
}

/** All but the brightest and darkest half percent. */
export function usefulRange({ pixels }: MedicalImage): Range {
  const step = Math.max(1, Math.floor(pixels.length / 16_384));
  const sample = Float32Array.from({ length: Math.floor(pixels.length / step) }, (_, i) => pixels[i * step]).sort();
  let [low, high] = [quantile(sample, 0.005), quantile(sample, 0.995)];
  if (!(high > low)) [low, high] = extremes(pixels);
  return high > low ? { low, high } : { low, high: low + 1 };
}

export type Tone = "waiting" | "failed" | Decision;

export function toneOf(result: Result | null): Tone {
  if (result === null) return "waiting";
  return isFailure(result) ? "failed" : result.decision;
}

/** Where the network sees tumour; null where there is nothing to point at. */
export function heatmapOf(result: Result | null): Heatmap | null {
  return result !== null && "heatmap" in result ? result.heatmap : null;
}

export function isDone(item: Item): boolean {
  return !item.awaitsWhole && item.results.every((result) => result !== null);
}

/** What the item as a whole got, in a few words. */
export function summary(item: Item): string {
  if (item.results.length === 1) return headline(item.results[0]);
  return item.whole ? headline(item.whole) : `${item.results.length} slices`;
}

/** The slices of a finding in words; people count from 1. */
export function extent({ first, middle, last }: Finding): string {
  return first === last ? `Slice ${first + 1}` : `Slices ${first + 1} to ${last + 1}, middle ${middle + 1}`;
}

/** The slice that decides: the same as in reports. */
export function decisiveSlice(item: Item): number | null {
  return item.whole && !isFailure(item.whole) && isVolume(item.whole) ? item.whole.decisive_slice : null;
}

/** How many slices got which answer, in words. Beyond the head, slices are empty: that is no failure. */
export function tally(item: Item): [string, number][] {
  const counts = new Map<string, number>();
  for (const result of item.results) {
    if (!result) continue;
    const words = isFailure(result) && result.error.kind === "blank" ? "Empty" : headline(result);
    counts.set(words, (counts.get(words) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]);
}
