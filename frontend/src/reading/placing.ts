/** Slices of a series that do not say where they lie, among others that do. `tumorlens/imaging/placing.py`. */
import { median } from "../preprocessing";
import type { DicomPart } from "./dicom";
import type { Placement } from "./slice_ordering";
import type { Vector } from "./vectors";

const FEWEST = 3;
const OFF = 0.1;
const SAME = 0.01;
const ALONE = "the file does not say where in its series the slice lies; it is answered by itself";
const GUIDES = [
  ["SliceLocation", (part: DicomPart) => part.locationMm],
  ["InstanceNumber", (part: DicomPart) => part.instance],
] as const;

/** The files, those without a position placed among the others, with a note. */
export function withPlaces(files: DicomPart[]): DicomPart[] {
  const placed = files.filter(({ placement }) => placement !== null);
  if (placed.length < FEWEST || placed.length === files.length) return files;
  return files.map((file) => (file.placement ? file : guided(file, placed)));
}

function guided(file: DicomPart, placed: DicomPart[]): DicomPart {
  const { row } = placed[0].placement!;
  const alike = placed.filter(({ height, width, placement }) =>
    height === file.height && width === file.width && placement!.row.every((part, axis) => Math.abs(part - row[axis]) <= SAME));
  for (const [name, guide] of GUIDES) {
    const at = guide(file);
    const known = alike.map(guide).filter((value) => value !== null);
    if (at === null || known.length < FEWEST || known.length < alike.length) continue;
    const position = onLine(at, known, alike.map(({ placement }) => placement!.position));
    if (!position) continue;
    const placement: Placement = { row: alike[0].placement!.row, column: alike[0].placement!.column, position };
    return { ...file, placement, notes: [...file.notes, `the slice's position is not stated; ${name} tells it`] };
  }
  return { ...file, notes: [...file.notes, ALONE] };
}

/** The position for `at`; null where positions do not follow `values` evenly. */
function onLine(at: number, values: number[], positions: Vector[]): Vector | null {
  if (new Set(values).size < FEWEST) return null;
  const mean = (numbers: number[]) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
  const middle = mean(values);
  const spread = mean(values.map((value) => (value - middle) ** 2));
  const axes = [0, 1, 2].map((axis) => {
    const center = mean(positions.map((position) => position[axis]));
    const slope = mean(positions.map((position, i) => (position[axis] - center) * (values[i] - middle))) / spread;
    return { slope, start: center - slope * middle };
  });
  const off = Math.max(...positions.flatMap((position, i) => axes.map(({ slope, start }, axis) => Math.abs(position[axis] - slope * values[i] - start))));
  const sorted = [...values].sort((one, other) => one - other);
  const step = Math.hypot(...axes.map(({ slope }) => slope)) * median(sorted.slice(1).map((value, i) => value - sorted[i]));
  return off <= OFF * step ? (axes.map(({ slope, start }) => slope * at + start) as Vector) : null;
}
