/**
 * Slices of a series in space: split by orientation and size, sorted along the normal, and what is
 * odd about them. `tumorlens/imaging/slice_ordering.py`, line by line; PS3.3 C.7.6.2.1.1.
 */
import { median, quantile, roundHalfEven } from "../preprocessing";
import { cross, dot, rounded, unit, type Vector } from "./vectors";

/** Largest difference of direction cosines within one stack. */
const SAME_DIRECTION = 0.01;
const SAME_POSITION_MM = 0.01;
const NEAR = 0.1;
const FEWEST_WITHOUT_POSITIONS = 3;
/** Positions make no sense where SliceLocation tells as many times more slices apart. */
const MORE = 1.5;
/** A distance this many times the usual one is a gap. */
const GAP_RATIO = 1.5;
const MAX_GAPS_TOLD = 10;
/** A usual distance this many times the slice thickness looks as if slices were missing. */
const SPARSE_RATIO = 2;

export interface Placement {
  row: Vector;
  column: Vector;
  /** The centre of the first pixel. */
  position: Vector;
}

export interface Frame {
  name: string;
  height: number;
  width: number;
  placement: Placement;
  thicknessMm: number | null;
  /** Which of several at one position comes first. */
  order: number[];
  /** SliceLocation and InstanceNumber. */
  locationMm?: number | null;
  instance?: number | null;
}

export interface Stack<F extends Frame> {
  frames: F[];
  /** Where each frame lies on the normal. */
  alongMm: number[];
  /** At the place of another, and left out. */
  repeats: F[];
  notes: string[];
}

/** The largest stack first. */
export function split<F extends Frame>(frames: F[]): Stack<F>[] {
  const groups: F[][] = [];
  for (const frame of frames) {
    const group = groups.find(([first]) => isAlike(first, frame));
    if (group) group.push(frame);
    else groups.push([frame]);
  }
  return groups.map(sorted).sort((one, other) => other.frames.length - one.frames.length);
}

function isAlike(one: Frame, other: Frame): boolean {
  if (one.height !== other.height || one.width !== other.width) return false;
  const [axes, others] = [one, other].map(({ placement: { row, column } }) => [...row, ...column]);
  return axes.every((part, place) => Math.abs(part - others[place]) < SAME_DIRECTION);
}

function sorted<F extends Frame>(frames: F[]): Stack<F> {
  const { row, column } = frames[0].placement;
  const normal = unit(cross(row, column));
  const along = frames.map((frame) => dot(normal, frame.placement.position));
  const order = substitute(frames, along);
  const placed = frames.map((frame, place) => ({ frame, at: (order?.along ?? along)[place] }));
  placed.sort((one, other) => one.at - other.at);
  const near = samePosition(placed.map(({ at }) => at), frames[0].thicknessMm);
  const clusters: (typeof placed)[] = [];
  for (const one of placed) {
    const last = clusters.at(-1);
    if (last && one.at - last[0].at < near) last.push(one);
    else clusters.push([one]);
  }
  for (const cluster of clusters) cluster.sort((one, other) => byRank(one.frame, other.frame));
  const kept = clusters.map(([first]) => first);
  const repeats = clusters.flatMap((cluster) => cluster.slice(1).map(({ frame }) => frame));
  const alongMm = kept.map(({ at }) => rounded(at));
  const distances = kept.slice(1).map(({ at }, place) => at - kept[place].at);
  const odd = order ? [`positions of the slices make no sense; they are in the order of ${order.name}`] : [];
  const gaps = order?.name === "InstanceNumber" ? [] : spacing(distances, frames[0].thicknessMm);
  const notes = [...odd, ...repeated(repeats.length), ...gaps];
  return { frames: kept.map(({ frame }) => frame), alongMm, repeats, notes };
}

/** What stands in for positions that tell fewer slices apart: `_substitute` in Python. */
function substitute(frames: Frame[], along: number[]): { name: string; along: number[] } | null {
  if (frames.length < FEWEST_WITHOUT_POSITIONS) return null;
  const count = (values: number[]) => new Set(values.map((value) => value.toFixed(3))).size;
  const stated = (values: (number | null | undefined)[]) => values.filter((value) => typeof value === "number");
  const distinct = count(along);
  const locations = stated(frames.map((frame) => frame.locationMm));
  if (locations.length === frames.length && count(locations) > MORE * distinct) return { name: "SliceLocation", along: locations };
  const numbers = stated(frames.map((frame) => frame.instance));
  if (distinct > 1 || numbers.length < frames.length || count(numbers) < frames.length) return null;
  return { name: "InstanceNumber", along: numbers };
}

/** How near to each other two slices are at one position: a hair, a tenth of a slice. `contrasts.same_position`. */
function samePosition(sorted: number[], thickness: number | null): number {
  const distances = Float32Array.from(sorted.slice(1), (at, place) => at - sorted[place]).sort();
  if (distances.length === 0 || thickness === null) return SAME_POSITION_MM;
  return Math.max(SAME_POSITION_MM, NEAR * Math.min(quantile(distances, 0.9), thickness));
}

function byRank(one: Frame, other: Frame): number {
  const differs = one.order.findIndex((number, place) => number !== other.order[place]);
  if (differs >= 0) return one.order[differs] - other.order[differs];
  return one.name < other.name ? -1 : 1;
}

function repeated(count: number): string[] {
  if (count === 0) return [];
  const what = count === 1 ? "1 slice repeats" : `${count} slices repeat`;
  return [`${what} the position of another and ${count === 1 ? "is" : "are"} left out`];
}

/** Gaps, and slices that lie too far apart throughout. */
function spacing(distances: number[], thickness: number | null): string[] {
  const usual = median(distances);
  if (!usual) return [];
  const gaps = distances.flatMap((distance, place) => {
    if (distance <= GAP_RATIO * usual) return [];
    const missing = Math.max(1, roundHalfEven(distance / usual) - 1);
    return [`gap of ${distance.toFixed(1)} mm between slices ${place + 1} and ${place + 2}, counted from 1: about ${missing} missing`];
  });
  const notes = gaps.slice(0, MAX_GAPS_TOLD);
  if (gaps.length > notes.length) notes.push(`${gaps.length - notes.length} more gaps`);
  if (thickness && usual > SPARSE_RATIO * thickness) {
    notes.push(`slices lie ${usual.toFixed(1)} mm apart but are ${thickness.toFixed(1)} mm thick: some may be missing`);
  }
  return notes;
}
