/**
 * From voxel indices to millimetres in the patient (right, front, head), as NIfTI files say it:
 * the sform, else the qform, else the usual orientation (LAS). nifti1.h, methods 1 to 3.
 */
import * as nifti from "nifti-reader-js";
import { canBeAHead } from "./gray";

type Header = nifti.NIFTI1 | nifti.NIFTI2;

/** Units of length that are not the millimetre, by their code; where none is stated it is meant. */
const MILLIMETRES: Record<number, number> = { 1: 1000, 3: 0.001 };

/** Volume that three unit steps must span, for them to be three directions. */
const FLAT = 1e-3;
/** Ratio of voxel sizes from which two statements of them disagree. */
const OTHER_SIZE = 1.5;

export interface Placed {
  /** Three rows of four, in millimetres. */
  affine: number[][];
  /** Whether the file says, without contradicting itself, which side is which. */
  isOriented: boolean;
  notes: string[];
}

/** `placement` in `tumorlens/imaging/affine.py`. */
export function placedBy(header: Header, data: ArrayBuffer): Placed {
  const notes: string[] = [];
  const bySform = header.sform_code > 0 ? sensible(sform(header, new DataView(data)), "sform", notes) : null;
  const byQform = header.qform_code > 0 ? sensible(qform(header, notes), "qform", notes) : null;
  let isOriented = bySform !== null || byQform !== null;
  if (bySform && byQform) isOriented = agree(bySform, byQform, notes);
  const found = bySform ?? byQform ?? usual(header, notes);
  return { affine: inMillimetres(found, header, notes), isOriented, notes };
}

/** The usual orientation, from the middle of the volume. */
function usual(header: Header, notes: string[]): number[][] {
  const [x, y, z] = sizes(header, notes);
  const start = (size: number, axis: number) => (-size * (Math.max(1, header.dims[axis]) - 1)) / 2;
  notes.push("the file does not state its orientation; the usual one (LAS) is assumed");
  return [[-x, 0, 0, start(-x, 1)], [0, y, 0, start(y, 2)], [0, 0, z, start(z, 3)]];
}

/** The length of each of the three steps. */
function lengthsOf(rows: number[][]): number[] {
  return [0, 1, 2].map((axis) => Math.hypot(...rows.map((row) => row[axis])));
}

function sensible(rows: number[][], name: string, notes: string[]): number[][] | null {
  const lengths = lengthsOf(rows);
  const usable = rows.flat().every(Number.isFinite) && Math.min(...lengths) > 0;
  if (usable && Math.abs(determinant(rows.map((row) => row.slice(0, 3).map((part, axis) => part / lengths[axis])))) > FLAT) return rows;
  notes.push(`the file's ${name} is not plausible and is not used`);
  return null;
}

/** Whether both say which side is which alike; a note where not, or where sizes differ. */
function agree(one: number[][], other: number[][], notes: string[]): boolean {
  const [axes, others] = [one, other].map(orientation);
  if (axes.some(({ axis, flip }, place) => axis !== others[place].axis || flip !== others[place].flip)) {
    notes.push("sform and qform of the file disagree about the orientation; the sform is used");
    return false;
  }
  const sizesOfOther = lengthsOf(other);
  const ratios = lengthsOf(one).map((length, axis) => length / sizesOfOther[axis]);
  if (ratios.some((ratio) => Math.max(ratio, 1 / ratio) > OTHER_SIZE)) {
    notes.push("sform and qform of the file disagree about voxel sizes; the sform is used");
  }
  return true;
}

function inMillimetres(rows: number[][], header: Header, notes: string[]): number[][] {
  const sides = lengthsOf(rows).map((length, axis) => length * Math.max(1, header.dims[axis + 1]));
  const largest = Math.max(...sides);
  let unit = MILLIMETRES[header.xyzt_units & 7] ?? 1;
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
function sizes(header: Header, notes: string[]): number[] {
  const stated = header.pixDims.slice(1, 4).map(Math.abs);
  const found = stated.map((size) => (Number.isFinite(size) && size > 0 ? size : 1));
  if (found.some((size, axis) => size !== stated[axis])) notes.push("a voxel size of the file is not plausible; 1 is used");
  return found;
}

/** Method 2 of nifti1.h. Rounding makes quaternions longer than 1; then they turn by half a circle. */
function qform(header: Header, notes: string[]): number[][] {
  const parts = [header.quatern_b, header.quatern_c, header.quatern_d];
  const square = parts.reduce((sum, part) => sum + part * part, 0);
  const [b, c, d] = parts.map((part) => part / (square > 1 ? Math.sqrt(square) : 1));
  const a = Math.sqrt(Math.max(0, 1 - square));
  const [x, y, z] = sizes(header, notes);
  const depth = header.pixDims[0] < 0 ? -z : z;
  return [
    [(a * a + b * b - c * c - d * d) * x, 2 * (b * c - a * d) * y, 2 * (b * d + a * c) * depth, header.qoffset_x],
    [2 * (b * c + a * d) * x, (a * a + c * c - b * b - d * d) * y, 2 * (c * d - a * b) * depth, header.qoffset_y],
    [2 * (b * d - a * c) * x, 2 * (c * d + a * b) * y, (a * a + d * d - c * c - b * b) * depth, header.qoffset_z],
  ];
}

function sform(header: Header, view: DataView): number[][] {
  const little = header.littleEndian;
  const read = header instanceof nifti.NIFTI2
    ? (place: number) => view.getFloat64(400 + 8 * place, little)
    : (place: number) => view.getFloat32(280 + 4 * place, little);
  return [0, 1, 2].map((row) => [0, 1, 2, 3].map((column) => read(4 * row + column)));
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
  strengths.sort((one, other) => other[0] - one[0]);
  const found: (Axis | undefined)[] = [undefined, undefined, undefined];
  const used = new Set<number>();
  for (const [, world, axis] of strengths) {
    if (found[world] || used.has(axis)) continue;
    used.add(axis);
    // World axes point right, anterior, superior; columns run to the left, rows to the back.
    const grows = affine[world][axis] >= 0;
    found[world] = { axis, flip: world === 2 ? !grows : grows };
  }
  return found as [Axis, Axis, Axis];
}
