/**
 * Where the voxels of a NIfTI file lie, `tumorlens/imaging/volumes/nifti_affine.py`:
 * the sform, else the qform, else the usual orientation (LAS). nifti1.h, methods 1 to 3.
 */
import * as nifti from "nifti-reader-js";
import { inMillimetres, lengthsOf, orientation, type Placed, plausibleSizes, sensible, usual } from "./affine";

type Header = nifti.NIFTI1 | nifti.NIFTI2;

/** Units of length that are not the millimetre, by their code; where none is stated it is meant. */
const MILLIMETRES: Record<number, number> = { 1: 1000, 3: 0.001 };

/** Ratio of voxel sizes from which two statements of them disagree. */
const OTHER_SIZE = 1.5;

/** `placement` there. */
export function placedBy(header: Header, data: ArrayBuffer): Placed {
  const notes: string[] = [];
  const bySform = header.sform_code > 0 ? sensible(sform(header, new DataView(data)), "sform", notes) : null;
  const byQform = header.qform_code > 0 ? sensible(qform(header, notes), "qform", notes) : null;
  let isOriented = bySform !== null || byQform !== null;
  if (bySform && byQform) isOriented = agree(bySform, byQform, notes);
  const shape = [1, 2, 3].map((axis) => Math.max(1, header.dims[axis]));
  const affine = bySform ?? byQform ?? usual(sizes(header, notes), shape, notes);
  const unit = MILLIMETRES[header.xyzt_units & 7] ?? 1;
  return { affine: inMillimetres(affine, unit, shape, notes), isOriented, notes };
}

/** Whether both say which side is which alike; a note where not, or where sizes differ. */
function agree(bySform: number[][], byQform: number[][], notes: string[]): boolean {
  const [axes, others] = [bySform, byQform].map(orientation);
  if (axes.some(({ axis, flip }, index) => axis !== others[index].axis || flip !== others[index].flip)) {
    notes.push("sform and qform of the file disagree about the orientation; the sform is used");
    return false;
  }
  const sizesOfOther = lengthsOf(byQform);
  const ratios = lengthsOf(bySform).map((length, axis) => length / sizesOfOther[axis]);
  if (ratios.some((ratio) => Math.max(ratio, 1 / ratio) > OTHER_SIZE)) {
    notes.push("sform and qform of the file disagree about voxel sizes; the sform is used");
  }
  return true;
}

function sizes(header: Header, notes: string[]): number[] {
  return plausibleSizes(header.pixDims.slice(1, 4), notes);
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
    ? (index: number) => view.getFloat64(400 + 8 * index, little)
    : (index: number) => view.getFloat32(280 + 4 * index, little);
  return [0, 1, 2].map((row) => [0, 1, 2, 3].map((column) => read(4 * row + column)));
}
