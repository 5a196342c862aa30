/**
 * Which slices of a head count: those of the brain, not the vertex, the jaw or the teeth.
 * `tumorlens/inference/brain_slices.py` says why, and how the numbers were chosen.
 */
import { median, quantile, roundHalfEven } from "./preprocessing";
import type { MedicalImage } from "./types";

const HEAD_RADIUS_MM = 85;
const TOP_MM = 15;
const BASE_MM = 95;
/** Distance of slices that do not say where they lie. */
export const UNKNOWN_SPACING_MM = 5;
const FULL = 0.95;
const EMPTY = 0.05;
const NECK = 0.8;
const HEAD_FROM = 0.12;
const TELLING_MM = 20;
const BELIEVED = [0.4, 2.5];
const SAMPLES = 200_000;
const TINY = 1e-12;
const LITTLE_MM = 60;
export const FEWEST_SLICES = 5;

export interface Slices {
  alongMm: number[];
  inBrain: boolean[];
  /** Why the stated spacing is not used; empty where it is. */
  spacingNote: string;
  /** That most of the head was not seen; empty where that is not known. */
  coverageNote: string;
}

export function locateSlices(image: MedicalImage): Slices {
  const stated = image.locations.map(({ alongMm }) => alongMm);
  const along = positions(stated, image.depth);
  return judgeSlices(headProfile(image), along, upDirection(image.headward, stated), !stated.includes(null));
}

/** From the profile and positions; `up` as of `upDirection`. */
export function judgeSlices(profile: number[], alongMm: number[], up: number, isStated: boolean): Slices {
  const relative = up ? profile.map((share) => share / fullestBelowVertex(profile, up)) : profile;
  const estimated = isStated ? corrected(relative, alongMm, up) : null;
  const along = estimated ?? alongMm;
  const extent = Math.max(...alongMm) - Math.min(...alongMm);
  const spacingNote = estimated
    ? `the stated slice distance cannot be correct (a head of ${extent.toFixed(0)} mm), so it is not used`
    : "";
  const shown = along.filter((_, slice) => relative[slice] > 0); // blank slices show nothing
  const notes = { spacingNote, coverageNote: coverageNoteOf(shown.length > 0 ? shown : along, isStated) };
  if (!up) return { alongMm: along, inBrain: relative.map((share) => share >= capShare(TOP_MM)), ...notes };
  const inBrain = depthBelowVertex(relative, along, up).map((depth) => depth >= TOP_MM && depth <= BASE_MM);
  return { alongMm: along, inBrain, ...notes };
}

/** A note where the slices leave most of a head out; an assumed distance tells nothing. */
function coverageNoteOf(alongMm: number[], isStated: boolean): string {
  const count = alongMm.length;
  const steps = alongMm.slice(1).map((along, index) => Math.abs(along - alongMm[index]));
  const extent = count > 1 ? Math.max(...alongMm) - Math.min(...alongMm) + median(steps) : 0;
  if (count >= FEWEST_SLICES && !(isStated && extent < LITTLE_MM)) return "";
  const over = isStated ? ` over ${roundHalfEven(extent)} mm` : "";
  const shown = count === 1 ? "1 slice shows" : `${count} slices${over} show`;
  return `${shown} only part of the head; the answer does not cover the rest`;
}

/** Where each of `depth` slices lies on the normal: as stated, if every slice states it. */
export function positions(statedMm: (number | null)[], depth: number): number[] {
  const known = statedMm.filter((along): along is number => along !== null);
  return known.length === depth ? known : Array.from({ length: depth }, (_, slot) => slot * UNKNOWN_SPACING_MM);
}

/** Cross-section of the head in each slice, as a share of a full one. */
function headProfile({ pixels, depth, height, width }: MedicalImage): number[] {
  const step = Math.max(1, Math.floor((pixels.length / SAMPLES) ** (1 / 3)));
  const sample: number[] = [];
  const each = (slice: number, take: (value: number) => void) => {
    for (let y = 0; y < height; y += step) {
      for (let x = 0; x < width; x += step) take(pixels[(slice * height + y) * width + x]);
    }
  };
  for (let slice = 0; slice < depth; slice += step) each(slice, (value) => sample.push(value));
  const sorted = Float32Array.from(sample).sort();
  const [low, high] = [quantile(sorted, 0.01), quantile(sorted, 0.995)];
  const area = Array.from({ length: depth }, (_, slice) => {
    let [inside, all] = [0, 0];
    each(slice, (value) => {
      all++;
      if (value > low + HEAD_FROM * (high - low)) inside++;
    });
    return inside / all;
  });
  const full = Math.max(quantile(Float32Array.from(area).sort(), 0.95), TINY);
  return area.map((share) => Math.min(1, share / full));
}

/** Whether later slices of an axial stack lie higher (1) or lower (-1) in the head; 0 where it is not known. */
export function upDirection(headward: number | undefined, statedMm: (number | null)[]): number {
  const [first, last] = [statedMm[0], statedMm[statedMm.length - 1]];
  if (!headward || first == null || last == null || first === last) return 0;
  return headward * (last - first) > 0 ? 1 : -1;
}

function capShare(depthMm: number): number {
  return 1 - (1 - Math.min(depthMm, HEAD_RADIUS_MM) / HEAD_RADIUS_MM) ** 2;
}

function capDepth(share: number): number {
  return HEAD_RADIUS_MM * (1 - Math.sqrt(1 - Math.min(share, 1)));
}

/** The largest cross-section above the neck: shoulders may be larger. */
function fullestBelowVertex(profile: number[], up: number): number {
  let fullest = 0;
  for (const share of up > 0 ? [...profile].reverse() : profile) {
    if (Math.max(fullest, share) > 0.5 && share < NECK * fullest) break;
    fullest = Math.max(fullest, share);
  }
  return Math.max(fullest, TINY);
}

function depthBelowVertex(profile: number[], along: number[], up: number): number[] {
  const visible = profile.flatMap((share, index) => (share > EMPTY ? [index] : []));
  if (visible.length === 0) return profile.map(() => 0);
  const top = up > 0 ? visible[visible.length - 1] : visible[0];
  return along.map((here, index) =>
    capDepth(profile[top]) + ((index - top) * up > 0 ? -1 : 1) * Math.abs(here - along[top]));
}

/** Positions by the shape of the head, where the stated ones contradict it; else null. */
function corrected(profile: number[], along: number[], up: number): number[] | null {
  const indicesWhere = (least: (share: number) => boolean) => profile.flatMap((share, index) => (least(share) ? [index] : []));
  const [visible, full] = [indicesWhere((share) => share > EMPTY), indicesWhere((share) => share >= FULL)];
  if (visible.length < 2 || full.length === 0) return null;
  const ends = [[visible[0], full[0]], [visible[visible.length - 1], full[full.length - 1]]];
  const emptier = profile[ends[0][0]] <= profile[ends[1][0]] ? ends[0] : ends[1];
  const [end, firstFull] = up > 0 ? ends[1] : up < 0 ? ends[0] : emptier;
  const expected = capDepth(FULL) - capDepth(profile[end]);
  if (expected < TELLING_MM || end === firstFull) return null;
  const ratio = Math.abs(along[firstFull] - along[end]) / expected;
  if (ratio >= BELIEVED[0] && ratio <= BELIEVED[1]) return null;
  return profile.map((_, index) => index * (expected / Math.abs(firstFull - end)));
}
