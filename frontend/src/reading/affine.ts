/** From voxel indices to millimetres in the patient (right, front, head): `tumorlens/imaging/geometry/affine.py`. */
import { canBeAHead } from "./gray";

/** Volume that three unit steps must span, for them to be three directions. */
const FLAT = 1e-3;
/** The same volume below which the axes are visibly not perpendicular: by 11 degrees. */
const SKEWED = 0.98;

/** A voxel is smaller, in millimetres or microns. */
const LARGEST_STEP = 1e5;
const SMALLEST_STEP = 1e-6;

export interface Placed {
  /** Three rows of four, in millimetres. */
  affine: number[][];
  /** Whether the file says, without contradicting itself, which side is which. */
  isOriented: boolean;
  notes: string[];
}

/** The orientation of a file that states none: LAS, from the middle of the volume. */
export function usual([x, y, z]: number[], shape: readonly number[], notes: string[]): number[][] {
  notes.push("the file does not state its orientation; the usual one (LAS) is assumed");
  return centred([[-x, 0, 0], [0, y, 0], [0, 0, z]], shape);
}

/** Three rows of four of the steps, with the middle of the volume at 0. */
export function centred(steps: number[][], shape: readonly number[]): number[][] {
  return steps.map((row) => [...row, -row.reduce((sum, part, axis) => sum + (part * (shape[axis] - 1)) / 2, 0)]);
}

/** The length of each of the three steps. */
export function lengthsOf(rows: number[][]): number[] {
  return [0, 1, 2].map((axis) => Math.hypot(...rows.map((row) => row[axis])));
}

/** `rows` where they have three directions; else null, with a note that names them. */
export function sensible(rows: number[][], name: string, notes: string[]): number[][] | null {
  const lengths = lengthsOf(rows);
  const usable = rows.flat().every(Number.isFinite) && Math.min(...lengths) > 0;
  const spanned = usable ? Math.abs(determinant(rows.map((row) => row.slice(0, 3).map((part, axis) => part / lengths[axis])))) : 0;
  if (spanned > FLAT) {
    if (spanned < SKEWED) notes.push(`the axes of the file's ${name} are not perpendicular: the head is skewed`);
    return rows;
  }
  notes.push(`the file's ${name} is not plausible and is not used`);
  return null;
}

/** In millimetres, where a head can then be as large. */
export function inMillimetres(rows: number[][], stated: number, shape: readonly number[], notes: string[]): number[][] {
  const sides = lengthsOf(rows).map((length, axis) => length * shape[axis]);
  const largest = Math.max(...sides);
  let unit = stated;
  if (unit !== 1 && !canBeAHead(largest * unit)) {
    notes.push("the file's unit of length is not plausible; millimetres are assumed");
    unit = 1;
  }
  if (!canBeAHead(largest * unit)) {
    const size = sides.map((side) => Number((side * unit).toPrecision(6))).join(", ");
    notes.push(`no head is as large as the file says (${size} mm)`);
  }
  return rows.map((row) => row.map((value) => value * unit));
}

export interface Axis {
  /** Axis of the file, 0 to 2. */
  axis: number;
  /** Whether the file's index grows the other way. */
  flip: boolean;
}

/** Voxel sizes; 1 for those that are not plausible. */
export function plausibleSizes(values: number[], notes: string[]): number[] {
  const stated = values.map(Math.abs);
  const sizes = stated.map((size) => (size > SMALLEST_STEP && size < LARGEST_STEP ? size : 1));
  if (sizes.some((size, axis) => size !== stated[axis])) notes.push("a voxel size of the file is missing or not plausible; 1 is used");
  return sizes;
}

function determinant([[a, b, c], [d, e, f], [g, h, i]]: number[][]): number {
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}

/** For left, posterior and superior: the axis of the file that runs along it. */
export function orientation(affine: number[][]): [Axis, Axis, Axis] {
  const strengths: [number, number, number][] = [];
  for (let world = 0; world < 3; world++) {
    for (let axis = 0; axis < 3; axis++) {
      const norm = Math.hypot(affine[0][axis], affine[1][axis], affine[2][axis]) || 1;
      strengths.push([Math.abs(affine[world][axis]) / norm, world, axis]);
    }
  }
  strengths.sort((a, b) => b[0] - a[0]);
  const axes: (Axis | undefined)[] = [undefined, undefined, undefined];
  const used = new Set<number>();
  for (const [, world, axis] of strengths) {
    if (axes[world] || used.has(axis)) continue;
    used.add(axis);
    // World axes point right, anterior, superior; columns run to the left, rows to the back.
    const grows = affine[world][axis] >= 0;
    axes[world] = { axis, flip: world === 2 ? !grows : grows };
  }
  return axes as [Axis, Axis, Axis];
}
