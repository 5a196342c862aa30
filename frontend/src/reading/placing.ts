/** Slices of a series that do not say where they lie, among others that do. `tumorlens/imaging/placing.py`. */
import { median } from "../preprocessing";
import { type DicomPart, isPlaced, middle, type PlacedPart } from "./dicom";
import { lyingOf } from "./sides";
import { groupBy } from "./groups";
import type { Placement } from "./slice_ordering";
import { turnedBy } from "./turn";
import type { Vector } from "./vectors";

const FEWEST = 3;
const OFF = 0.1;
const SAME = 0.01;
const ALONE = "the file does not say where in its series the slice lies; it is answered by itself";
const GUIDES = [
  ["SliceLocation", (part: DicomPart) => part.locationMm],
  ["InstanceNumber", (part: DicomPart) => part.instance],
] as const;

/** Where slices are along what they are numbered by. */
interface Line {
  name: string;
  guide: (part: DicomPart) => number | null;
  slope: Vector;
  offset: Vector;
}

/** The files, those without a position placed among the others, with a note. */
export function withPlaces(files: DicomPart[]): DicomPart[] {
  const placed = files.filter(isPlaced);
  if (placed.length < FEWEST || placed.length === files.length) return files;
  const { row } = placed[0].placement;
  const parallel = placed.filter(({ placement }) => placement.row.every((part, axis) => Math.abs(part - row[axis]) <= SAME));
  const shapeOf = ({ height, width }: DicomPart) => `${height} ${width}`;
  const alike = groupBy(parallel, shapeOf);
  const lines = new Map([...alike].map(([shape, group]) => [shape, linesOf(group)]));
  return files.map((file) => {
    const shape = shapeOf(file);
    return file.placement ? file : guided(file, alike.get(shape) ?? [], lines.get(shape) ?? []);
  });
}

function guided(file: DicomPart, alike: PlacedPart[], lines: Line[]): DicomPart {
  for (const { name, guide, slope, offset } of lines) {
    const at = guide(file);
    if (at === null) continue;
    const position = slope.map((step, axis) => step * at + offset[axis]) as Vector;
    const note = `the slice's position is not stated; it is taken from ${name}`;
    return { ...placedAt(file, { ...alike[0].placement, position }, alike[0]), notes: [...file.notes, note] };
  }
  return { ...file, notes: [...file.notes, ALONE] };
}

/** The file with everything that follows from its place. */
function placedAt(read: DicomPart, placement: Placement, like: PlacedPart): DicomPart {
  const file = read.turn ? read : turnedBy(read, like.turn ?? null);
  const pixelMm = file.pixelMm ?? like.pixelMm;
  const centerMm = middle(placement, pixelMm, file.height, file.width);
  const locations = file.locations.map((location) => ({ ...location, centerMm }));
  return { ...file, ...lyingOf(placement), placement, pixelMm, locations };
}

/** One for each number that all of the slices have and that their positions follow. */
function linesOf(alike: PlacedPart[]): Line[] {
  const positions = alike.map(({ placement }) => placement.position);
  return GUIDES.flatMap(([name, guide]) => {
    const values = alike.map(guide).filter((value) => value !== null);
    const line = values.length === alike.length ? fitted(values, positions) : null;
    return line ? [{ name, guide, ...line }] : [];
  });
}

/** Slope and offset; null where positions do not follow `values` evenly. */
function fitted(values: number[], positions: Vector[]): Pick<Line, "slope" | "offset"> | null {
  if (new Set(values).size < FEWEST) return null;
  const mean = (numbers: number[]) => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  const center = mean(values);
  const spread = mean(values.map((value) => (value - center) ** 2));
  const centers = [0, 1, 2].map((axis) => mean(positions.map((position) => position[axis])));
  const slope = centers.map((at, axis) => (
    mean(positions.map((position, i) => (position[axis] - at) * (values[i] - center))) / spread
  )) as Vector;
  const offset = centers.map((at, axis) => at - slope[axis] * center) as Vector;
  const off = Math.max(...positions.flatMap((position, i) => position.map((at, axis) => Math.abs(at - slope[axis] * values[i] - offset[axis]))));
  const sorted = [...values].sort((a, b) => a - b);
  const step = Math.hypot(...slope) * median(sorted.slice(1).map((value, i) => value - sorted[i]));
  return off <= OFF * step ? { slope, offset } : null;
}
