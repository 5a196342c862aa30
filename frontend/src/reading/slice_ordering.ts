/**
 * Slices of a series in space: split by orientation, size and contrast, sorted along the normal, and what is
 * odd about them. `slice_ordering.py` and `slice_spacing.py` in `tumorlens/imaging/geometry`, line by line; PS3.3 C.7.6.2.1.1.
 */
import { median, quantile, roundHalfEven } from "../preprocessing";
import { FOLDER, samePosition, separate, type Traits, type Volume } from "./contrasts";
import { groupBy } from "./groups";
import { cross, dot, rounded, unit, type Vector } from "./vectors";

/** Largest difference of direction cosines within one stack. */
const SAME_DIRECTION = 0.01;
/** Part of a slice's thickness, and millimetres, within which all positions of a series are not plausible. */
const ONE_PLACE = 0.5;
const ONE_PLACE_MM = 0.5;
const FEWEST_WITHOUT_POSITIONS = 3;
const FEWEST_AMBIGUOUS = 2;
/** Part of the positions at which each of several volumes has a slice. */
const SHARED = 0.5;
/** Positions are not plausible where SliceLocation tells as many times more slices apart. */
const MORE = 1.5;
/** A distance this many times the usual one is a gap. */
const GAP_RATIO = 1.5;
const FEWEST_UNEVEN = 4;
const LARGER = 1.2;
const MAX_GAPS_TOLD = 10;
/** A usual distance this many times the slice thickness looks as if slices were missing. */
const SPARSE_RATIO = 1.9;
export const ROUNDED = "positions of the slices are rounded to whole millimetres; they are placed evenly, in the order of InstanceNumber";
const FEWEST_ROUNDED = 5;
const WHOLE_MM = 0.01;
const MOST_ROUNDED_MM = 0.65;
const SAME_DISTANCE = 0.1;
const UNORDERED = "neither positions nor numbers of the slices are stated; they are in the order of their names, which may be wrong";

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
  /** Null where the file does not say. */
  placement: Placement | null;
  thicknessMm: number | null;
  /** Which of several at one position comes first. */
  order: number[];
  /** SliceLocation and InstanceNumber. */
  locationMm?: number | null;
  instance?: number | null;
  traits?: Traits;
  /** SOPInstanceUID. */
  uid?: string;
  /** Whether another file has its SOPInstanceUID and position but other pixels. */
  isDisputed?: boolean;
}

export interface Stack<F extends Frame> {
  frames: F[];
  /** Where each frame lies on the normal; null where nothing says it. */
  alongMm: (number | null)[];
  /** Whether the frames' positions put them in order; otherwise what stands in for these did. */
  isByPosition: boolean;
  /** At the place of another, and left out. */
  repeats: F[];
  notes: string[];
  /** Where its files lie, if slices of the series in other folders are other volumes. */
  folder: string | null;
}

/** What stands in for the position. */
interface Order {
  name: string;
  along: number[];
  inMm: boolean;
}

/** Frames whose place is known; the largest stack first. */
export function split<F extends Frame>(frames: F[]): Stack<F>[] {
  const groups: F[][] = [];
  for (const frame of frames) {
    const group = groups.find(([first]) => isAlike(first, frame));
    if (group) group.push(frame);
    else groups.push([frame]);
  }
  return largestFirst(groups.flatMap(volumes));
}

/** Frames of one series whose places are not stated, by SliceLocation, number or name. */
export function splitUnplaced<F extends Frame>(frames: F[]): Stack<F>[] {
  const groups = groupBy(frames, ({ height, width }) => `${height} ${width}`);
  return largestFirst([...groups.values()].flatMap(unplacedVolumes));
}

/** Frames of one size, first divided by folder where numbers are repeated in each. */
function unplacedVolumes<F extends Frame>(frames: F[]): Stack<F>[] {
  const traits = foldersOf(frames).map((folder): Traits => new Map([[FOLDER, folder]]));
  return separate(traits, frames.map(({ instance }) => instance ?? 0), null).flatMap(({ indices, notes, folder }) => (
    unplaced(indices.map((i) => frames[i])).map((stack) => ({ ...stack, notes: [...notes, ...stack.notes], folder }))
  ));
}

function unplaced<F extends Frame>(frames: F[]): Stack<F>[] {
  const order = substitute(frames, 1);
  if (order) return bySubstitute(frames, order, `positions of the slices are not stated; they are in the order of ${order.name}`);
  if (frames.length < FEWEST_WITHOUT_POSITIONS || areTimes(frames)) {
    return frames.map((frame) => ({ frames: [frame], alongMm: [null], isByPosition: false, repeats: [], notes: [], folder: null }));
  }
  return bySubstitute(frames, byName(frames), UNORDERED);
}

function largestFirst<F extends Frame>(stacks: Stack<F>[]): Stack<F>[] {
  return stacks.sort((a, b) => b.frames.length - a.frames.length);
}

function isAlike(first: Frame, second: Frame): boolean {
  if (first.height !== second.height || first.width !== second.width) return false;
  const [axes, others] = [first, second].map(({ placement }) => [...placement!.row, ...placement!.column]);
  return axes.every((part, index) => Math.abs(part - others[index]) < SAME_DIRECTION);
}

function volumes<F extends Frame>(frames: F[]): Stack<F>[] {
  const { row, column } = frames[0].placement!;
  const normal = unit(cross(row, column));
  const along = frames.map(({ placement }) => dot(normal, placement!.position));
  const order = substitute(frames, distinct(along, frames[0].thicknessMm));
  if (order) return bySubstitute(frames, order, `positions of the slices are not plausible; they are in the order of ${order.name}`);
  const even = placedEvenly(along, frames.map(({ instance }) => instance), frames[0].thicknessMm);
  if (!even) return stacksByPosition(frames, along);
  return stacksByPosition(frames, even).map((stack) => ({ ...stack, notes: [ROUNDED, ...stack.notes] }));
}

/** Positions before they were rounded to whole millimetres; null where they are not. `slice_spacing.py`. */
function placedEvenly(along: number[], instances: (number | null | undefined)[], thicknessMm: number | null): number[] | null {
  const numbers = instances.filter((instance) => typeof instance === "number");
  if (thicknessMm === null || along.length < FEWEST_ROUNDED || new Set(numbers).size < along.length) return null;
  const isWhole = (value: number) => Math.abs(value - Math.round(value)) <= WHOLE_MM;
  const sorted = [...along].sort((a, b) => a - b);
  const steps = sorted.slice(1).map((position, at) => position - sorted[at]);
  if (isWhole(thicknessMm) || !along.every(isWhole) || Math.max(...steps) - Math.min(...steps) <= WHOLE_MM) return null;
  const inOrder = [...numbers].sort((a, b) => a - b);
  const ranks = numbers.map((number) => inOrder.indexOf(number));
  const [middle, mean] = [(along.length - 1) / 2, along.reduce((sum, position) => sum + position, 0) / along.length];
  const spread = ranks.reduce((sum, rank) => sum + (rank - middle) ** 2, 0);
  const slope = ranks.reduce((sum, rank, at) => sum + (rank - middle) * (along[at] - mean), 0) / spread;
  const even = ranks.map((rank) => mean + slope * (rank - middle));
  const isEven = even.every((position, at) => Math.abs(position - along[at]) <= MOST_ROUNDED_MM);
  return isEven && Math.abs(Math.abs(slope) - thicknessMm) <= SAME_DISTANCE * thicknessMm ? even : null;
}

function bySubstitute<F extends Frame>(frames: F[], order: Order, note: string): Stack<F>[] {
  const noted = (stack: Omit<Stack<F>, "isByPosition">) => ({ ...stack, isByPosition: false, notes: [note, ...stack.notes] });
  if (order.inMm) return stacksByPosition(frames, order.along).map(noted);
  // Numbers go on from one volume to the next, so all that differ are taken for volumes.
  let separated = separate(frames.map(traitsOf), frames.map(() => 0), null);
  if (separated[0].indices.length < FEWEST_WITHOUT_POSITIONS) separated = [{ indices: frames.map((_, i) => i), leftOut: [], notes: [], folder: null }];
  return separated.map(({ indices, leftOut, notes, folder }) => {
    const chosen = [...indices].sort((a, b) => order.along[a] - order.along[b]);
    return noted({ frames: chosen.map((i) => frames[i]), alongMm: chosen.map(() => null), repeats: leftOut.map((i) => frames[i]), notes, folder });
  });
}

function traitsOf(frame: Frame): Traits {
  return frame.traits ?? new Map();
}

/** One stack for each volume, by position. */
function stacksByPosition<F extends Frame>(frames: F[], along: number[]): Stack<F>[] {
  const folders = foldersOf(frames);
  const traits = frames.map((frame, index): Traits => new Map([...traitsOf(frame), [FOLDER, folders[index]]]));
  return separate(traits, along, frames[0].thicknessMm).map((volume) => {
    const stack = sorted(volume, frames, along);
    return { ...stack, repeats: [...stack.repeats, ...volume.leftOut.map((i) => frames[i])] };
  });
}

/** The folder of each; that of the first for copies of it. */
function foldersOf(frames: Frame[]): string[] {
  const first = new Map<string, string>();
  for (const frame of frames) if (!first.has(identity(frame))) first.set(identity(frame), frame.name.split("/").slice(0, -1).join("/"));
  return frames.map((frame) => first.get(identity(frame))!);
}

/** What copies of a slice have alike. */
function identity({ uid, isDisputed, name, placement }: Frame): string {
  return uid && !isDisputed ? `${uid} ${placement?.position.join()}` : name;
}

function sorted<F extends Frame>(volume: Volume, all: F[], along: number[]): Stack<F> {
  const frames = volume.indices.map((i) => all[i]);
  const placed = volume.indices.map((i) => ({ frame: all[i], at: along[i] }));
  placed.sort((a, b) => a.at - b.at);
  const near = samePosition(placed.map(({ at }) => at), frames[0].thicknessMm);
  const clusters: (typeof placed)[] = [];
  for (const slice of placed) {
    const last = clusters.at(-1);
    if (last && slice.at - last[0].at < near) last.push(slice);
    else clusters.push([slice]);
  }
  for (const cluster of clusters) cluster.sort((a, b) => byRank(a.frame, b.frame));
  const chosen = clusters.map(([first]) => first);
  const repeats = clusters.flatMap((cluster) => cluster.slice(1).map(({ frame }) => frame));
  const alongMm = chosen.map(({ at }) => rounded(at));
  const distances = chosen.slice(1).map(({ at }, index) => at - chosen[index].at);
  const ambiguous = ambiguity(clusters.map((cluster) => cluster.map(({ frame }) => frame)));
  const notes = [...volume.notes, ...repeated(repeats.length), ...ambiguous, ...spacing(distances, frames[0].thicknessMm)];
  return { frames: chosen.map(({ frame }) => frame), alongMm, isByPosition: true, repeats, notes, folder: volume.folder };
}

/** What tells more slices apart than their number of `positions` does: `_substitute` in Python. */
function substitute(frames: Frame[], positions: number): Order | null {
  if (frames.length < FEWEST_WITHOUT_POSITIONS) return null;
  const stated = (values: (number | null | undefined)[]) => values.filter((value) => typeof value === "number");
  const locations = stated(frames.map((frame) => frame.locationMm));
  if (locations.length === frames.length && count(locations) > MORE * positions) return { name: "SliceLocation", along: locations, inMm: true };
  if (areTimes(frames)) return null;
  const numbers = stated(frames.map((frame) => frame.instance));
  if (positions > 1 || numbers.length < frames.length || count(numbers) < frames.length) return null;
  return { name: "InstanceNumber", along: numbers, inMm: false };
}

/** Whether each frame is of a time point of its own. */
function areTimes(frames: Frame[]): boolean {
  const times = frames.map((frame) => traitsOf(frame).get("time point")).filter((time) => time !== undefined);
  return new Set(times).size === frames.length;
}

function byName(frames: Frame[]): Order {
  const names = frames.map(({ name }) => name);
  const ranked = [...names.keys()].sort((a, b) => byRank(frames[a], frames[b], true));
  const along = names.map(() => 0);
  ranked.forEach((index, rank) => (along[index] = rank));
  return { name: "their names", along, inMm: false };
}

/** So that slice2 comes before slice10. */
function natural(name: string): [number, string][] {
  return [...name.matchAll(/(\d*)(\D+|$)/g)].map(([, digits, other]) => [Number(digits || -1), other]);
}

function distinct(along: number[], thicknessMm: number | null): number {
  const least = Math.max(ONE_PLACE_MM, ONE_PLACE * (thicknessMm ?? 0));
  return Math.max(...along) - Math.min(...along) < least ? 1 : count(along);
}

function count(values: number[]): number {
  return new Set(values.map((value) => Math.round(value * 1e3))).size;
}

function byRank(first: Frame, second: Frame, byNameOnly = false): number {
  const differs = byNameOnly ? -1 : first.order.findIndex((number, index) => number !== second.order[index]);
  if (differs >= 0) return first.order[differs] - second.order[differs];
  if (!byNameOnly) return first.name < second.name ? -1 : 1;
  const [parts, others] = [natural(first.name), natural(second.name)];
  const at = parts.findIndex(([digits, text], index) => digits !== others[index]?.[0] || text !== others[index]?.[1]);
  if (at < 0 || !others[at]) return parts.length - others.length;
  return parts[at][0] - others[at][0] || (parts[at][1] < others[at][1] ? -1 : 1);
}

/** A note where nothing but their names tells slices at one position apart. */
function ambiguity(clusters: Frame[][]): string[] {
  const several = clusters.filter(([first, second]) => second && identity(first) !== identity(second));
  const alike = several.filter(([first, second]) => first.order.every((part, index) => part === second.order[index]));
  const areVolumes = several.length >= Math.max(FEWEST_WITHOUT_POSITIONS, SHARED * clusters.length);
  if (alike.length < FEWEST_AMBIGUOUS && !areVolumes) return [];
  return ["the files do not state which slices at one position belong together; several volumes may be mixed"];
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
  const gaps = distances.flatMap((distance, index) => {
    if (distance <= GAP_RATIO * usual) return [];
    const missing = Math.max(1, roundHalfEven(distance / usual) - 1);
    return [`gap of ${distance.toFixed(1)} mm between slices ${index + 1} and ${index + 2}, counted from 1: about ${missing} missing`];
  });
  const notes = gaps.slice(0, MAX_GAPS_TOLD);
  if (gaps.length > notes.length) notes.push(`${gaps.length - notes.length} more gaps`);
  const [near, far] = [0.25, 0.75].map((share) => quantile(Float32Array.from(distances).sort(), share));
  if (distances.length >= FEWEST_UNEVEN && near * LARGER < usual && near * GAP_RATIO < far) {
    notes.push(`slices are ${near.toFixed(1)} mm apart here and ${far.toFixed(1)} mm there: some may be missing`);
  }
  if (thickness && usual > SPARSE_RATIO * thickness) {
    notes.push(`slices are ${usual.toFixed(1)} mm apart but ${thickness.toFixed(1)} mm thick: some may be missing`);
  }
  return notes;
}
