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
  if (header.sform_code !== 0) return sform(header, new DataView(data));
  if (header.qform_code !== 0) return header.getQformMat().slice(0, 3);
  const [, x, y, z] = header.pixDims;
  // From the middle of the volume.
  const start = (size: number, axis: number) => (-size * (Math.max(1, header.dims[axis]) - 1)) / 2;
  return [[-x, 0, 0, start(-x, 1)], [0, y, 0, start(y, 2)], [0, 0, z, start(z, 3)]];
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
