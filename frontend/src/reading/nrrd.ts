/** NRRD volumes with their data in the same file: `tumorlens/imaging/volumes/nrrd.py`. */
import { InputError, type MedicalImage } from "../types";
import { inMillimetres, type Placed, plausibleSizes, sensible, usual } from "./affine";
import { type Color, colorOf, luma } from "./gray";
import { gunzip } from "./gunzip";
import { type Axes, damaged, decimal, type Direction, Header, MOST_LINES } from "./nrrd_header";
import { bytesOf, numbers, type SampleType, storageOf } from "./samples";
import { slicesOf, checkVolume, firstOf, MOST_HEADER_BYTES, surplus } from "./volume";
import { cross, unit, type Vector } from "./vectors";

const MOST_BYTES = 512 * 1024 * 1024;
/** Signs of the patient's axes, by the name of the space; others are no patient's. */
const TO_RAS: Record<string, number[]> = {
  "right-anterior-superior": [1, 1, 1], ras: [1, 1, 1],
  "left-anterior-superior": [-1, 1, 1], las: [-1, 1, 1],
  "left-posterior-superior": [-1, -1, 1], lps: [-1, -1, 1],
};
const MILLIMETRES: Record<string, number> = { m: 1000, cm: 10, um: 0.001, "μm": 0.001, "µm": 0.001 };

export function readNrrd(name: string, data: Uint8Array): MedicalImage {
  const header = new Header(data);
  const { type, isLittle } = header.type();
  header.checkEncoding();
  const axes = header.axes(type);
  checkVolume(axes.shape);
  const read = samples(data, header, axes, type, isLittle);
  return slicesOf({
    name, format: "NRRD", bits: 8 * bytesOf(type), color: voxelColor(read.values, axes), values: firstVolume(read.values, axes), shape: axes.shape,
    placed: placedBy(header, axes), notes: firstOf(axes.volumes), surplus: read.surplus,
  });
}

function productOf(sizes: readonly number[]): number {
  return sizes.reduce((product, size) => product * size, 1);
}

/** Of the axes up to the last one that is needed: what lies behind the first volume is not read. */
function sizesRead({ sizes, spatial, color }: Axes): number[] {
  return sizes.slice(0, Math.max(...spatial, color ?? 0) + 1);
}

function samples(
  data: Uint8Array, header: Header, axes: Axes, type: SampleType, isLittle: boolean,
): { values: Float32Array; surplus: string[] } {
  const count = productOf(sizesRead(axes));
  const [begin, skip] = [beginOf(data, header), skipOf(header)];
  if (count * bytesOf(type) > MOST_BYTES) {
    throw new InputError("limit", `${count * bytesOf(type)} bytes of voxels are more than the limit of ${MOST_BYTES}`);
  }
  if (header.isText) {
    const values = decimals(data.subarray(begin + skip), count);
    return { values: axes.color === null ? values : values.map(asByte), surplus: [] };
  }
  const file = header.isZipped ? new Uint8Array(gunzip(data.subarray(begin))) : data;
  // A skip of -1: the voxels are the last bytes of the file.
  const fromEnd = data.length - productOf(axes.sizes) * bytesOf(type);
  const at = Math.min(file.length, header.isZipped ? skip : skip === -1 ? Math.max(begin, fromEnd) : begin + skip);
  const view = new DataView(file.buffer, file.byteOffset + at, file.length - at);
  const storage = storageOf(view, type, isLittle, count);
  const values = numbers(view, storage.type, storage.little, count);
  const voxelBytes = (count * bytesOf(type)) / productOf(axes.shape);
  const more = axes.volumes > 1 ? [] : surplus(axes.shape, voxelBytes, view.byteLength);
  return { values, surplus: [...storage.notes, ...more] };
}

function asByte(value: number): number {
  return Number.isNaN(value) ? 0 : Math.trunc(Math.min(255, Math.max(0, value)));
}

/** The byte behind the header and the lines to skip. */
function beginOf(data: Uint8Array, header: Header): number {
  const lines = header.whole("lineskip");
  if (lines < 0 || lines > MOST_LINES) throw damaged(`line skip ${lines}`);
  let begin = header.end;
  for (let line = 0; line < lines; line++) {
    const end = data.indexOf(10, begin);
    if (end < 0 || end >= header.end + MOST_HEADER_BYTES) throw damaged(`line skip ${lines}`);
    begin = end + 1;
  }
  return begin;
}

/** Bytes between that and the voxels, once they are unzipped. */
function skipOf(header: Header): number {
  const skip = header.whole("byteskip");
  const isFromEnd = skip === -1 && !header.isZipped && !header.isText;
  if (!isFromEnd && !(skip >= 0 && skip <= MOST_HEADER_BYTES)) throw damaged(`byte skip ${skip}`);
  return skip;
}

/** Decimal numbers with spaces between them; of a digit and a space each, at least. */
function decimals(data: Uint8Array, count: number): Float32Array {
  if (2 * count - 1 > data.length) {
    throw new InputError("corrupt", `damaged or cut off (${data.length} bytes are too few for ${count} numbers)`);
  }
  const out = new Float32Array(count);
  let filled = 0;
  for (let at = 0; at < data.length && filled < count; ) {
    while (at < data.length && isSpace(data[at])) at++;
    const start = at;
    while (at < data.length && !isSpace(data[at])) at++;
    if (at > start) out[filled++] = decimal(String.fromCharCode(...data.subarray(start, Math.min(at, start + 64))));
  }
  if (filled < count) throw new InputError("corrupt", `damaged or cut off (${filled} of ${count} numbers are there)`);
  return out;
}

/** Space, tab, line feed, vertical tab, form feed, carriage return. */
function isSpace(byte: number): boolean {
  return byte === 32 || (byte >= 9 && byte <= 13);
}

/** The voxels of the first volume in file order; colours as their luma. */
function firstVolume(values: Float32Array, axes: Axes): Float32Array {
  const { spatial, color, shape: [x, y, z] } = axes;
  const sizes = sizesRead(axes);
  const strides = sizes.map((_, axis) => productOf(sizes.slice(0, axis)));
  const [along, up, deep] = [...spatial.map((axis) => strides[axis]), 0];
  if (color === null && along === 1 && up === x && (z === 1 || deep === x * y)) return values.subarray(0, x * y * z);
  const channel = color === null ? 0 : strides[color];
  const out = new Float32Array(x * y * z);
  let index = 0;
  for (let slice = 0; slice < z; slice++) {
    for (let row = 0; row < y; row++) {
      let at = slice * deep + row * up;
      for (let column = 0; column < x; column++, at += along) {
        out[index++] = color === null ? values[at] : luma(values[at], values[at + channel], values[at + 2 * channel]);
      }
    }
  }
  return out;
}

/** Of the first volume. */
function voxelColor(values: Float32Array, axes: Axes): Color {
  const { spatial, color, shape: [x, y, z] } = axes;
  if (color === null) return "gray";
  const sizes = sizesRead(axes);
  const [channel, along, up, deep = 0] = [color, ...spatial].map((axis) => productOf(sizes.slice(0, axis)));
  const startOf = (at: number) => (at % x) * along + (Math.floor(at / x) % y) * up + Math.floor(at / (x * y)) * deep;
  return colorOf(x * y * z, (at) => [0, 1, 2].map((component) => values[startOf(at) + component * channel]));
}

/** From space, directions and origin; the usual orientation where they are missing or odd. */
function placedBy(header: Header, axes: Axes): Placed {
  const notes: string[] = [];
  const all = header.directions(axes.sizes.length);
  const steps = all && axes.spatial.map((axis) => all[axis] ?? []);
  const oriented = steps && stated(header, steps, notes);
  const affine = oriented ?? usual(plausibleSizes(sizesOf(header, axes, steps), notes), axes.shape, notes);
  return { affine: inMillimetres(affine, unitOf(header), axes.shape, notes), isOriented: oriented !== null, notes };
}

/** Three rows of four, RAS; null where the file does not say what its space has to do with a patient. */
function stated(header: Header, steps: number[][], notes: string[]): number[][] | null {
  const name = header.text("space").toLowerCase();
  const signs = TO_RAS[name.replace(/-time$/, "")] ?? TO_RAS[name.replace(/t$/, "")];
  if (!signs || steps.some((step) => step.length < 3)) return null;
  const inRas = (step: number[]) => signs.map((sign, axis) => sign * step[axis]) as Vector;
  const columns = steps.map(inRas);
  if (columns.length === 2) columns.push(unit(cross(columns[0], columns[1])));
  columns.push(inRas(originOf(header.origin(), notes)));
  return sensible([0, 1, 2].map((row) => columns.map((column) => column[row])), "direction matrix", notes);
}

function originOf(origin: Direction, notes: string[]): number[] {
  if (origin && origin.length >= 3 && origin.every(Number.isFinite)) return origin;
  notes.push("the file's space origin is missing or not plausible; 0 is used");
  return [0, 0, 0];
}

/** Voxel sizes, from the lengths of the steps or from the spacings. */
function sizesOf(header: Header, axes: Axes, steps: number[][] | null): number[] {
  const spacings = steps ? [] : header.spacings(axes.sizes.length);
  const sizes = steps ? steps.map((step) => Math.hypot(...step)) : axes.spatial.map((axis) => spacings[axis]);
  return [...sizes, 1].slice(0, 3);
}

function unitOf(header: Header): number {
  const units = new Set([...header.text("spaceunits").matchAll(/"([^"]*)"/g)].slice(0, 3).map(([, name]) => name.trim().toLowerCase()));
  const [first] = units;
  return units.size === 1 ? (MILLIMETRES[first] ?? 1) : 1;
}
