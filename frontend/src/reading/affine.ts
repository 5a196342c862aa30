/**
 * From voxel indices to millimetres in the patient (right, front, head), as NIfTI files say it:
 * the sform, else the qform, else the usual orientation (LAS). nifti1.h, methods 1 to 3.
 */
import * as nifti from "nifti-reader-js";
import { InputError } from "../types";

type Header = nifti.NIFTI1 | nifti.NIFTI2;

/** Units of length that are not the millimetre, by their code; where none is stated it is meant. */
const MILLIMETRES: Record<number, number> = { 1: 1000, 3: 0.001 };

export function isOriented(header: Header): boolean {
  return header.sform_code !== 0 || header.qform_code !== 0;
}

/** Three rows of four. */
export function affineOf(header: Header, data: ArrayBuffer): number[][] {
  const unit = MILLIMETRES[header.xyzt_units & 7] ?? 1;
  const rows = matrix(header, data).map((row) => row.map((value) => value * unit));
  if (!rows.flat().every(Number.isFinite) || !(Math.abs(determinant(rows)) > 1e-9)) {
    throw new InputError("corrupt", "damaged NIfTI (its affine is singular)");
  }
  return rows;
}

function matrix(header: Header, data: ArrayBuffer): number[][] {
  // The reader's own `affine` takes the qform where its code is the larger one; nibabel, which
  // Python reads with, takes the sform wherever there is one.
  const stated = header.sform_code > 0 ? sform(header, new DataView(data)) : null;
  if (stated && isSensible(stated)) return stated;
  const turned = header.qform_code > 0 ? qform(header) : null;
  if (turned && isSensible(turned)) return turned;
  const [x, y, z] = sizes(header);
  // From the middle of the volume.
  const start = (size: number, axis: number) => (-size * (Math.max(1, header.dims[axis]) - 1)) / 2;
  return [[-x, 0, 0, start(-x, 1)], [0, y, 0, start(y, 2)], [0, 0, z, start(z, 3)]];
}

function isSensible(rows: number[][]): boolean {
  return rows.flat().every(Number.isFinite) && Math.abs(determinant(rows)) > 1e-9;
}

/** Voxel sizes; 1 for those that make no sense. */
function sizes(header: Header): number[] {
  return header.pixDims.slice(1, 4).map(Math.abs).map((size) => (Number.isFinite(size) && size > 0 ? size : 1));
}

/** Method 2 of nifti1.h. Rounding makes quaternions longer than 1; then they turn by half a circle. */
function qform(header: Header): number[][] {
  const parts = [header.quatern_b, header.quatern_c, header.quatern_d];
  const square = parts.reduce((sum, part) => sum + part * part, 0);
  const [b, c, d] = parts.map((part) => part / (square > 1 ? Math.sqrt(square) : 1));
  const a = Math.sqrt(Math.max(0, 1 - square));
  const [x, y, z] = sizes(header);
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
