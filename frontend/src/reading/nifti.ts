/** NIfTI volumes: `tumorlens/imaging/volumes/nifti.py`. */
import * as nifti from "nifti-reader-js";
import { InputError, type MedicalImage } from "../types";
import { type Color, colorOf, LARGEST, luma } from "./gray";
import { gunzip } from "./gunzip";
import { placedBy } from "./nifti_affine";
import { bytesOf, checkLength, numbers, type SampleType, storageOf } from "./samples";
import { checkFirstAxis, checkVolume, firstOf, MOST_HEADER_BYTES, readAsSlices, slicesOf, surplus } from "./volume";

type Header = nifti.NIFTI1 | nifti.NIFTI2;

/** Bytes of a voxel of colours, by the code of its type: RGB and RGBA. */
const COLOR_BYTES: Record<number, number> = { 128: 3, 2304: 4 };
const TYPES: Record<number, SampleType> = {
  2: "u1", 256: "i1", 4: "i2", 512: "u2", 8: "i4", 768: "u4", 1024: "i8", 1280: "u8", 16: "f4", 64: "f8",
};

export function readNifti(name: string, data: Uint8Array): MedicalImage {
  let buffer = data.slice().buffer as ArrayBuffer;
  if (nifti.isCompressed(buffer)) buffer = gunzip(new Uint8Array(buffer));
  const header = headerOf(buffer);
  if (!header) throw new InputError("corrupt", "damaged NIfTI");
  const [rank, ...all] = header.dims;
  const sides = all.slice(0, rank);
  if (rank < 2 || rank > 7 || Math.min(sides[0], sides[1]) < 1 || Math.min(...sides) < 0) throw new InputError("corrupt", "damaged NIfTI (its dimensions)");
  checkFirstAxis(sides);
  const shape = [sides[0], sides[1], areSlices(header) ? sides[3] : Math.max(1, sides[2] ?? 1)] as const;
  checkVolume(shape);
  const voxelsAt = startOf(header);
  const extensionsTo = extensionsEnd(header, buffer, voxelsAt);
  const size = (shape[0] * shape[1] * shape[2] * volumesOf(header) * bitsOf(header)) / 8;
  if (extensionsTo > voxelsAt && buffer.byteLength === extensionsTo + size) {
    throw new InputError("corrupt", `damaged NIfTI (extensions up to byte ${extensionsTo} run past the stated start of the voxels; correct vox_offset)`);
  }
  const notes = [...notesOf(header), ...(extensionsTo > voxelsAt ? [OVERLONG] : [])];
  const bytes = buffer.byteLength - voxelsAt;
  const view = new DataView(buffer, Math.min(voxelsAt, buffer.byteLength));
  const count = shape[0] * shape[1] * shape[2];
  const storage = storageOf(view, TYPES[header.datatypeCode] ?? "u1", header.littleEndian, count);
  notes.push(...storage.notes);
  const values = samples(header, view, storage, count);
  const color = voxelColor(header, view, count);
  const bits = color === null ? bitsOf(header) : 8;
  const more = volumesOf(header) > 1 ? [] : surplus(shape, bitsOf(header) / 8, bytes);
  return slicesOf({
    name, format: "NIfTI", bits, color: color ?? "gray", values, shape, placed: placedBy(header, buffer), notes, surplus: more,
  });
}

/**
 * By the library, which reads neither a header that does not state its own length nor extensions that are damaged: it
 * gets a length, and no extensions.
 */
function headerOf(buffer: ArrayBuffer): Header | null {
  const head = buffer.slice(0, 544);
  const view = new DataView(head);
  if (head.byteLength < 352) return null;
  const isFirst = new TextDecoder().decode(head.slice(344, 347)) === "n+1";
  const rank = isFirst ? view.getInt16(40, true) : Number(view.getBigInt64(16, true));
  view.setInt32(0, isFirst ? 348 : 540, rank >= 1 && rank <= 7);
  const flag = isFirst ? 348 : 540;
  if (flag + 4 <= head.byteLength) view.setUint32(flag, 0);
  return nifti.isNIFTI(head) ? (nifti.readHeader(head) as Header) : null;
}

/** Of a voxel, by its type: what the header states of it besides does not matter. */
function bitsOf(header: Header): number {
  const type = TYPES[header.datatypeCode];
  return 8 * (COLOR_BYTES[header.datatypeCode] ?? (type ? bytesOf(type) : 0));
}

const LEAST_EXTENSION = 8;
const OVERLONG = "an extension of the header runs past the stated start of the voxels; they are read from there";

/** Where the extensions that begin before `start` end; `start` where there are none. */
function extensionsEnd(header: Header, buffer: ArrayBuffer, start: number): number {
  const flag = header instanceof nifti.NIFTI2 ? 540 : 348;
  const view = new DataView(buffer);
  let end = flag + 4;
  if (end > view.byteLength || view.getUint8(flag) === 0) return start;
  while (end < start || end === flag + 4) {
    const stated = end + 4 <= view.byteLength ? view.getInt32(end, header.littleEndian) : 0;
    if (!(stated >= LEAST_EXTENSION && stated <= MOST_HEADER_BYTES)) return start;
    end += stated;
  }
  return end;
}

/** Intents of statistics by code from 2 on, and others that are no intensities (nifti1.h). */
const STATISTICS = [
  "correlation", "t test", "f test", "z score", "chi2", "beta", "binomial", "gamma", "poisson", "normal", "non central f test",
  "non central chi2", "logistic", "laplace", "uniform", "non central t test", "weibull", "chi", "inverse gaussian",
  "extreme value 1", "p value", "log p value", "log10 p value",
];
const OTHERS: Record<number, string> = {
  1002: "label", 1004: "general matrix", 1005: "symmetric matrix", 1006: "displacement vector", 1007: "vector", 1008: "pointset",
  1009: "triangle", 1010: "quaternion",
};

function notesOf(header: Header): string[] {
  const intent = OTHERS[header.intent_code] ?? STATISTICS[header.intent_code - 2];
  return [
    ...(areSlices(header) ? readAsSlices(header.dims[4]) : firstOf(volumesOf(header))),
    ...(intent ? [`the file says that its values are not intensities (${intent})`] : []),
    ...(isSlope(header.scl_slope) ? [] : ["scl_slope is not plausible; 1 is used"]),
    ...(slopeOf(header) !== null && !Number.isFinite(header.scl_inter) ? ["scl_inter is not a finite number; 0 is used"] : []),
  ];
}

/** Whether several volumes of one slice each lie along the fourth dimension. */
function areSlices({ dims }: Header): boolean {
  return dims[0] > 3 && dims[3] === 1 && dims[4] > 1 && dims.slice(5, dims[0] + 1).every((side) => side === 1);
}

function volumesOf(header: Header): number {
  if (areSlices(header)) return 1;
  return header.dims.slice(4, header.dims[0] + 1).reduce((product, side) => product * Math.max(1, side), 1);
}

/** Whether the slope is one that any image can have; 0 and NaN say that there is none. */
function isSlope(slope: number): boolean {
  const size = Math.abs(slope);
  return size === 0 || Number.isNaN(size) || (size > 1 / LARGEST && size < LARGEST);
}

/** Null where there is none (nifti1.h: a slope of 0). */
function slopeOf({ scl_slope: slope }: Header): number | null {
  return slope !== 0 && Number.isFinite(slope) && isSlope(slope) ? slope : null;
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

/** Null where the voxels have no colours. */
function voxelColor(header: Header, view: DataView, count: number): Color | null {
  const bytes = COLOR_BYTES[header.datatypeCode];
  if (!bytes) return null;
  return colorOf(count, (at) => [0, 1, 2].map((channel) => view.getUint8(at * bytes + channel)));
}

/** Voxels in file order as numbers, scaled as the header says; colours as their luma. */
function samples(header: Header, view: DataView, { little, type }: { little: boolean; type: SampleType }, count: number): Float32Array {
  const bytes = COLOR_BYTES[header.datatypeCode];
  if (bytes) {
    checkLength(view, count * bytes);
    return Float32Array.from({ length: count }, (_, i) => luma(view.getUint8(i * bytes), view.getUint8(i * bytes + 1), view.getUint8(i * bytes + 2)));
  }
  if (header.datatypeCode === 32 || header.datatypeCode === 1792) throw new InputError("unsupported_format", "complex voxels; save their magnitude instead");
  if (!TYPES[header.datatypeCode]) throw new InputError("unsupported_format", `NIfTI samples of type ${header.datatypeCode}`);
  const slope = slopeOf(header);
  const intercept = Number.isFinite(header.scl_inter) ? header.scl_inter : 0;
  const scaled = slope === null ? undefined : (value: number) => value * slope + intercept;
  return numbers(view, type, little, count, scaled);
}
