/** NIfTI volumes as axial slices in radiological display: right is left, front is up. */
import * as nifti from "nifti-reader-js";
import { InputError, type Picture, type Place } from "../types";
import { type Axis, orientation, placedBy } from "./affine";
import { checkSides, finite, luma, withoutValue } from "./gray";
import { gunzip } from "./gunzip";
import { mend } from "./intensities";
import { checkNoLabelMap } from "./label_map";
import { lyingOf } from "./sides";
import { squarePixels } from "./square";
import { cross, dot, rounded, unit, type Vector } from "./vectors";

type Header = nifti.NIFTI1 | nifti.NIFTI2;

const RGBA32 = 2304;
const MOST_HEADER_BYTES = 16 * 1024 * 1024;

export function readNifti(name: string, data: Uint8Array): Picture {
  let buffer = data.slice().buffer as ArrayBuffer;
  if (nifti.isCompressed(buffer)) buffer = gunzip(new Uint8Array(buffer));
  const header = nifti.isNIFTI(buffer) ? nifti.readHeader(buffer) : null;
  if (!header) throw new InputError("corrupt", "a damaged NIfTI file");
  const [rank, ...sides] = header.dims;
  if (rank < 2 || rank > 7 || Math.min(sides[0], sides[1]) < 1) throw new InputError("corrupt", "damaged NIfTI (its dimensions)");
  const shape = [sides[0], sides[1], Math.max(1, sides[2] ?? 1)] as const;
  const count = shape[0] * shape[1] * shape[2];
  const voxelsAt = startOf(header);
  const values = samples(header, new DataView(buffer, Math.min(voxelsAt, buffer.byteLength)), count);
  const { affine, isOriented, notes } = placedBy(header, buffer);
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
  const about = [...notesOf(header), ...withoutValue(values), ...surplus(header, buffer.byteLength - voxelsAt), ...notes];
  // Before pixels are made square, which may interpolate between labels.
  checkNoLabelMap(finite(pixels));
  const square = squarePixels({ depth: z, height: y, width: x, pixels }, rowMm, columnMm);
  checkSides(square.width, square.height);
  const isStretched = square.width !== x || square.height !== y;
  const finest = Math.min(rowMm, columnMm);
  const mended = mend(square, header.numBitsPerVoxel);
  return {
    name, ...square, format: `NIfTI, ${header.numBitsPerVoxel} bits`, aspect: 1, facts: ["axial"],
    ...lyingOn(affine, isOriented ? axes : null), sources: [name],
    pixelMm: isStretched ? [finest, finest] : [rowMm, columnMm],
    places: placesOn(affine, axes, shape, name), notes: [...about, ...mended],
  };
}

/** Intents of statistics and of labels (nifti1.h), by code from 2 on. */
const STATISTICS = [
  "correlation", "t test", "f test", "z score", "chi2", "beta", "binomial", "gamma", "poisson", "normal", "non central f test",
  "non central chi2", "logistic", "laplace", "uniform", "non central t test", "weibull", "chi", "inverse gaussian",
  "extreme value 1", "p value", "log p value", "log10 p value",
];
const LABELS = 1002;
const LARGEST = 1e30;

function notesOf(header: Header): string[] {
  const volumes = volumesOf(header);
  const intent = header.intent_code === LABELS ? "label" : STATISTICS[header.intent_code - 2];
  return [
    ...(volumes > 1 ? [`the first of ${volumes} volumes is read`] : []),
    ...(intent ? [`the file says that its values are no intensities (${intent})`] : []),
    ...(isSlope(header.scl_slope) ? [] : ["scl_slope is not plausible; 1 is used"]),
    ...(slopeOf(header) !== null && !Number.isFinite(header.scl_inter) ? ["scl_inter is no finite number; 0 is taken"] : []),
  ];
}

function volumesOf(header: Header): number {
  return header.dims.slice(4, header.dims[0] + 1).reduce((product, side) => product * Math.max(1, side), 1);
}

/** Whether the slope is one that any picture can have; 0 and NaN say that there is none. */
function isSlope(slope: number): boolean {
  const size = Math.abs(slope);
  return size === 0 || Number.isNaN(size) || (size > 1 / LARGEST && size < LARGEST);
}

/** Null where there is none (nifti1.h: a slope of 0). */
function slopeOf({ scl_slope: slope }: Header): number | null {
  return slope !== 0 && Number.isFinite(slope) && isSlope(slope) ? slope : null;
}

/** A note where as much again as one slice follows voxels that are said to be all. */
function surplus(header: Header, bytes: number): string[] {
  const [x, y, z] = header.dims.slice(1, 4).map((side) => Math.max(1, side));
  const sliceBytes = (x * y * header.numBitsPerVoxel) / 8;
  if (volumesOf(header) > 1 || bytes < (z + 1) * sliceBytes) return [];
  return ["the file holds more voxels than it states; the others are not read"];
}

/** The byte of the first voxel; right behind the header where none is stated. */
function startOf(header: Header): number {
  const end = header instanceof nifti.NIFTI2 ? 540 : 348;
  if (header.vox_offset === 0) return end + 4;
  if (!(header.vox_offset >= end && header.vox_offset <= MOST_HEADER_BYTES)) {
    throw new InputError("corrupt", `damaged NIfTI (voxels at byte ${header.vox_offset})`);
  }
  return Math.trunc(header.vox_offset);
}

/** The step in the patient from one voxel to the next of the file's `axis`; 3 is the first voxel. */
function along(affine: number[][], axis: number): Vector {
  return affine.map((row) => row[axis]) as Vector;
}

/** World axes point right, anterior, superior; those that letters are read off left, posterior, superior. */
function lyingOn(affine: number[][], axes: Axis[] | null): ReturnType<typeof lyingOf> {
  if (!axes) return lyingOf(null);
  const [row, column] = axes.map((axis) => {
    const [x, y, z] = unit(stepAlong(affine, axis));
    return [-x, -y, z] as Vector;
  });
  // The slices are those that are nearest to axial ones, however oblique.
  return { ...lyingOf({ row, column }), headward: Math.sign(cross(row, column)[2]) };
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
function samples(header: Header, view: DataView, count: number): Float32Array {
  const little = header.littleEndian;
  const color = (at: number) => luma(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2));
  /** Bytes of a sample, and how it is read. */
  const readers: Record<number, [number, (at: number) => number]> = {
    [nifti.NIFTI1.TYPE_UINT8]: [1, (at) => view.getUint8(at)],
    [nifti.NIFTI1.TYPE_INT8]: [1, (at) => view.getInt8(at)],
    [nifti.NIFTI1.TYPE_INT16]: [2, (at) => view.getInt16(at, little)],
    [nifti.NIFTI1.TYPE_UINT16]: [2, (at) => view.getUint16(at, little)],
    [nifti.NIFTI1.TYPE_INT32]: [4, (at) => view.getInt32(at, little)],
    [nifti.NIFTI1.TYPE_UINT32]: [4, (at) => view.getUint32(at, little)],
    [nifti.NIFTI1.TYPE_INT64]: [8, (at) => Number(view.getBigInt64(at, little))],
    [nifti.NIFTI1.TYPE_UINT64]: [8, (at) => Number(view.getBigUint64(at, little))],
    [nifti.NIFTI1.TYPE_RGB24]: [3, color],
    [RGBA32]: [4, color],
    [nifti.NIFTI1.TYPE_FLOAT32]: [4, (at) => view.getFloat32(at, little)],
    [nifti.NIFTI1.TYPE_FLOAT64]: [8, (at) => view.getFloat64(at, little)],
  };
  const reader = readers[header.datatypeCode];
  if (!reader) throw new InputError("unsupported_format", `NIfTI samples of type ${header.datatypeCode}`);
  const [bytes, get] = reader;
  if (view.byteLength < count * bytes) throw new InputError("corrupt", "a truncated NIfTI file");
  const slope = slopeOf(header);
  const colour = [nifti.NIFTI1.TYPE_RGB24, RGBA32].includes(header.datatypeCode);
  const intercept = Number.isFinite(header.scl_inter) ? header.scl_inter : 0;
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const value = get(i * bytes);
    out[i] = slope !== null && !colour ? value * slope + intercept : value;
  }
  return out;
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
