/** NIfTI volumes as axial slices in radiological display: right is left, front is up. */
import * as nifti from "nifti-reader-js";
import { InputError, type Picture, type Place, type Sides } from "../types";
import { affineOf, isOriented } from "./affine";
import { checkSides, finite, luma } from "./gray";
import { gunzip } from "./gunzip";
import { mend } from "./intensities";
import { sidesOf } from "./sides";
import { squarePixels } from "./square";
import { cross, dot, rounded, unit, type Vector } from "./vectors";

const RGBA32 = 2304;

export function readNifti(name: string, data: Uint8Array): Picture {
  let buffer = data.slice().buffer as ArrayBuffer;
  if (nifti.isCompressed(buffer)) buffer = gunzip(new Uint8Array(buffer));
  const header = nifti.isNIFTI(buffer) ? nifti.readHeader(buffer) : null;
  if (!header) throw new InputError("corrupt", "a damaged NIfTI file");
  const [rank, ...sides] = header.dims;
  if (rank < 2) throw new InputError("unsupported_format", "a NIfTI file without slices");
  const shape = [sides[0], sides[1], Math.max(1, sides[2] ?? 1)] as const;
  const count = shape[0] * shape[1] * shape[2];
  const values = samples(header, nifti.readImage(header, buffer) as ArrayBuffer, count);
  const affine = affineOf(header, buffer);
  const axes = orientation(affine);
  const [x, y, z] = axes.map(({ axis }) => shape[axis]);
  const strides = [1, shape[0], shape[0] * shape[1]];
  const [start, steps] = walk(axes, shape, strides);
  const pixels = new Float32Array(count);
  let place = 0;
  for (let slice = 0; slice < z; slice++) {
    for (let row = 0; row < y; row++) {
      let at = start + slice * steps[2] + row * steps[1];
      for (let column = 0; column < x; column++, at += steps[0]) pixels[place++] = values[at];
    }
  }
  const [columnMm, rowMm] = axes.map(({ axis }) => Math.hypot(...along(affine, axis)));
  const square = squarePixels({ depth: z, height: y, width: x, pixels: finite(pixels) }, rowMm, columnMm);
  checkSides(square.width, square.height);
  const mended = mend(square, header.numBitsPerVoxel);
  return {
    name, ...square, format: `NIfTI, ${header.numBitsPerVoxel} bits`, aspect: 1, facts: ["axial"],
    sides: isOriented(header) ? sidesOn(affine, axes) : null, sources: [name],
    places: placesOn(affine, axes, shape, name), notes: [...notesOf(header), ...mended],
  };
}

function notesOf(header: nifti.NIFTI1 | nifti.NIFTI2): string[] {
  const volumes = header.dims.slice(4, header.dims[0] + 1).reduce((product, side) => product * side, 1);
  return [
    ...(volumes > 1 ? [`the first of ${volumes} volumes is read`] : []),
    ...(isOriented(header) ? [] : ["the file does not state its orientation; the usual one (LAS) is assumed"]),
  ];
}

/** The step in the patient from one voxel to the next of the file's `axis`; 3 is the first voxel. */
function along(affine: number[][], axis: number): Vector {
  return affine.map((row) => row[axis]) as Vector;
}

/** World axes point right, anterior, superior; those that letters are read off left, posterior, superior. */
function sidesOn(affine: number[][], axes: Axis[]): Sides {
  const [row, column] = axes.map((axis) => {
    const [x, y, z] = unit(stepAlong(affine, axis));
    return [-x, -y, z] as Vector;
  });
  return sidesOf(row, column);
}

/** The step in the patient from one pixel to the next of a row, a column or the slices. */
function stepAlong(affine: number[][], { axis, flip }: Axis): Vector {
  return along(affine, axis).map((part) => (flip ? -part : part)) as Vector;
}

/** Where the slices lie on their normal. */
function placesOn(affine: number[][], axes: Axis[], shape: readonly number[], path: string): Place[] {
  const steps = axes.map((axis) => stepAlong(affine, axis));
  const normal = unit(cross(steps[0], steps[1]));
  const corner = axes.reduce(
    (sum, { axis, flip }) => sum + (flip ? (shape[axis] - 1) * dot(normal, along(affine, axis)) : 0),
    dot(normal, along(affine, 3)),
  );
  const step = dot(normal, steps[2]);
  return Array.from({ length: shape[axes[2].axis] }, (_, slice) => ({ path, alongMm: rounded(corner + slice * step) }));
}

/** Voxels in file order as numbers, scaled as the header says. */
function samples(header: nifti.NIFTI1 | nifti.NIFTI2, image: ArrayBuffer, count: number): Float32Array {
  const bytes = header.numBitsPerVoxel / 8;
  if (image.byteLength < count * bytes) throw new InputError("corrupt", "a truncated NIfTI file");
  const view = new DataView(image);
  const little = header.littleEndian;
  const getters: Record<number, (at: number) => number> = {
    [nifti.NIFTI1.TYPE_UINT8]: (at) => view.getUint8(at),
    [nifti.NIFTI1.TYPE_INT8]: (at) => view.getInt8(at),
    [nifti.NIFTI1.TYPE_INT16]: (at) => view.getInt16(at, little),
    [nifti.NIFTI1.TYPE_UINT16]: (at) => view.getUint16(at, little),
    [nifti.NIFTI1.TYPE_INT32]: (at) => view.getInt32(at, little),
    [nifti.NIFTI1.TYPE_UINT32]: (at) => view.getUint32(at, little),
    [nifti.NIFTI1.TYPE_INT64]: (at) => Number(view.getBigInt64(at, little)),
    [nifti.NIFTI1.TYPE_UINT64]: (at) => Number(view.getBigUint64(at, little)),
    [nifti.NIFTI1.TYPE_RGB24]: (at) => luma(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2)),
    [RGBA32]: (at) => luma(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2)),
    [nifti.NIFTI1.TYPE_FLOAT32]: (at) => view.getFloat32(at, little),
    [nifti.NIFTI1.TYPE_FLOAT64]: (at) => view.getFloat64(at, little),
  };
  const get = getters[header.datatypeCode];
  if (!get) throw new InputError("unsupported_format", `NIfTI samples of type ${header.datatypeCode}`);
  const slope = header.scl_slope;
  const colour = [nifti.NIFTI1.TYPE_RGB24, RGBA32].includes(header.datatypeCode);
  const scaled = Number.isFinite(slope) && slope !== 0 && !colour;
  const intercept = Number.isFinite(header.scl_inter) ? header.scl_inter : 0;
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const value = get(i * bytes);
    out[i] = scaled ? value * slope + intercept : value;
  }
  return out;
}

interface Axis {
  /** Axis of the file, 0 to 2. */
  axis: number;
  /** Whether the file's index grows the other way. */
  flip: boolean;
}

/** For left, posterior and superior: the axis of the file that runs along it. */
function orientation(affine: number[][]): [Axis, Axis, Axis] {
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

/** Where the first pixel lies in the file, and how far it is to the next column, row and slice. */
function walk(axes: Axis[], shape: readonly number[], strides: number[]): [number, number[]] {
  let start = 0;
  const steps = axes.map(({ axis, flip }) => {
    if (flip) start += (shape[axis] - 1) * strides[axis];
    return flip ? -strides[axis] : strides[axis];
  });
  return [start, steps];
}
