/** One DICOM file, uncompressed or baseline JPEG; series.ts makes volumes of them. */
import dicomParser, { type DataSet } from "dicom-parser";
import { InputError, type Picture, placesOf } from "../types";
import { checkSides, finite, luma } from "./gray";
import { type GrayscaleTransform, windowOf } from "./grayscale";
import { readRaster } from "./raster";
import { sidesOf } from "./sides";
import type { Placement } from "./slice_ordering";
import { dot, unit, type Vector } from "./vectors";

const JPEG_BASELINE = "1.2.840.10008.1.2.4.50";
const UNCOMPRESSED = new Set(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]);
const MAX_FRAMES = 4096;
const STORAGE = "1.2.840.10008.5.1.4.1.1.";
/** Spectra, waveforms, maps, raw data, reports...: `imaging/dicom/kinds.py`. */
const NO_PICTURES = ["4.2", "9", "11", "30", "66", "67", "88", "90", "104", "481.2", "481.3", "481.5"];
/** MR Image and Secondary Capture: what may be MR without saying so. */
const MAY_BE_MR = ["4", "7"];
const COMPONENTS = /^(P|PHASE|PHASE[ _]MAP|VELOCITY MAP|R|REAL|I|IMAG|IMAGINARY|[PRI]_.*)$/;

/** Comprehensive 3D SR, Secondary Capture Image. */
const OWN_CLASSES = new Set(["1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"]);
/** Kinds of the errors of files that are to be passed over. */
export const OWN_ANSWER = "own_answer";
export const NO_PICTURE = "no_picture";

/** One file's frames, and where they belong. */
export interface DicomPart extends Picture {
  series: string;
  /** Null where the file does not say, or has several frames. */
  placement: Placement | null;
  /** Between the middles of neighbouring slices, or else of one slice. */
  thicknessMm: number | null;
  /** Component, acquisition, echo, time, instance number: which of several at one place comes first. */
  order: number[];
  /** SliceLocation and InstanceNumber, for positions that make no sense. */
  locationMm: number | null;
  instance: number | null;
  /** What is still to be done to `pixels`: the files of a series are windowed alike, or not at all. */
  levels: GrayscaleTransform;
}

const TIE_BREAKERS = ["x00200012", "x00180086", "x00200100", "x00200013"];

/** Look-up tables and functional groups (enhanced MR), which only the server reads. */
const SERVER_ONLY = ["x00283000", "x00283010", "x52009229", "x52009230"];

export async function readDicom(name: string, data: Uint8Array): Promise<DicomPart> {
  const set = parse(data);
  if (isOwn(set)) throw new InputError(OWN_ANSWER, "an answer that tumorlens wrote, no picture of the study");
  const doubts = checkKind(set);
  const height = set.uint16("x00280010") ?? 0;
  const width = set.uint16("x00280011") ?? 0;
  const depth = Math.max(1, Math.trunc(number(set, "x00280008") ?? 1));
  if (!set.elements.x7fe00010) throw new InputError("unsupported_format", "DICOM without pixels");
  checkSides(width, height);
  if (depth < 1 || depth > MAX_FRAMES) throw new InputError("limit", `${depth} frames`);
  if (SERVER_ONLY.some((tag) => set.elements[tag])) {
    throw new InputError("server_only", "DICOM with look-up tables or functional groups; let the server read it");
  }
  const { pixels, levels, notes } = await frames(set, depth, height, width);
  const bits = set.uint16("x00280101") ?? 8;
  const spacing = numbers(set, "x00280030");
  const place = placement(set);
  return {
    name, depth, height, width, pixels: finite(pixels), format: `DICOM, ${bits} bits`,
    aspect: spacing.length === 2 && spacing[1] > 0 ? spacing[0] / spacing[1] : 1,
    facts: facts(set), sides: place && sidesOf(place.row, place.column), sources: [name],
    places: placesOf(name, depth), notes: [...doubts, ...notes],
    series: set.string("x0020000e") ?? name, levels, thicknessMm: thickness(set),
    placement: depth === 1 ? place : null,
    order: [isMagnitude(set) ? 0 : 1, ...TIE_BREAKERS.map((tag) => number(set, tag) ?? 0)],
    locationMm: number(set, "x00201041"), instance: number(set, "x00200013"),
  };
}

function parse(data: Uint8Array): DataSet {
  try {
    return dicomParser.parseDicom(data);
  } catch (error) {
    const words = typeof error === "string" ? error : ((error as Error)?.message ?? "");
    throw new InputError("corrupt", `a damaged DICOM file (${words})`);
  }
}

/** A report or an overlay of `tumorlens predict --dicom`: `is_own` in `tumorlens/imaging/dicom/derived.py`. */
function isOwn(set: DataSet): boolean {
  return text(set, "x00080070") === "tumorlens" && OWN_CLASSES.has(text(set, "x00080016"));
}

/** Refuse what is no picture or not MR; what is taken for granted of the rest. `imaging/dicom/kinds.py`. */
function checkKind(set: DataSet): string[] {
  const sopClass = text(set, "x00080016");
  const isOneOf = (kinds: string[]) => kinds.some((kind) => `${sopClass}.`.startsWith(`${STORAGE}${kind}.`));
  if (isOneOf(NO_PICTURES)) throw new InputError(NO_PICTURE, "DICOM without an image");
  const modality = text(set, "x00080060");
  if (modality === "MR") return [];
  const mayBe = ["", "OT", "SC"].includes(modality) && (sopClass === "" || isOneOf(MAY_BE_MR));
  if (!mayBe) throw new InputError("not_mr", `${modality || "no modality"}, not MR: the network knows MR only`);
  if (modality === "" && isOneOf(["4"])) return [];
  const stated = modality ? `its modality is ${modality}` : "its modality is not stated";
  return [`the file does not say that it is MR (${stated}); it is taken for MR`];
}

/** Whether an image shows the magnitude of the signal, not its phase, real or imaginary part. */
function isMagnitude(set: DataSet): boolean {
  const types = text(set, "x00080008").split("\\").slice(2).map((word) => word.trim().toUpperCase());
  const stated = text(set, "x00089208").toUpperCase();
  return ![stated, ...types].some((word) => COMPONENTS.test(word));
}

/** The first number of an element; a comma is a decimal point that some exporters mean. Null where there is none. */
function number(set: DataSet, tag: string): number | null {
  const [first] = numbers(set, tag);
  return first === undefined ? null : first;
}

function facts(set: DataSet): string[] {
  const found = ["x00080060", "x00180020", "x0008103e"].map((tag) => set.string(tag)?.trim() ?? "");
  return found.filter((text) => text !== "");
}

async function frames(set: DataSet, depth: number, height: number, width: number) {
  const syntax = set.string("x00020010") ?? "1.2.840.10008.1.2";
  const raw = syntax === JPEG_BASELINE
    ? await jpegFrames(set, depth, height, width)
    : rawFrames(set, syntax, depth, height, width);
  const stated = number(set, "x00281053");
  const slope = stated || 1;
  const intercept = number(set, "x00281052") ?? 0;
  const notes = stated === 0 ? ["RescaleSlope is 0, which would blank the picture; 1 is taken"] : [];
  const bits = set.uint16("x00280101") ?? 16;
  const signed = set.uint16("x00280103") === 1;
  const ends = signed ? -1 : 2 ** bits - 1;
  const levels: GrayscaleTransform = {
    window: windowOf(number(set, "x00281050"), number(set, "x00281051"), text(set, "x00281056")),
    inverted: text(set, "x00280004") === "MONOCHROME1",
    ends: ends * slope + 2 * intercept,
    empty: padding(set, signed, raw),
  };
  for (let i = 0; i < raw.length; i++) raw[i] = raw[i] * slope + intercept;
  return { pixels: raw, levels, notes };
}

function text(set: DataSet, tag: string): string {
  return set.string(tag)?.trim() ?? "";
}

/** Stored values from PixelPaddingValue to PixelPaddingRangeLimit. */
function padding(set: DataSet, signed: boolean, stored: Float32Array): Uint8Array | null {
  const whole = (tag: string) => (signed ? set.int16(tag) : set.uint16(tag));
  const value = whole("x00280120");
  if (value === undefined) return null;
  const limit = whole("x00280121") ?? value;
  const [low, high] = [Math.min(value, limit), Math.max(value, limit)];
  const empty = Uint8Array.from(stored, (one) => (one >= low && one <= high ? 1 : 0));
  return empty.includes(1) ? empty : null;
}

async function jpegFrames(set: DataSet, depth: number, height: number, width: number) {
  const element = set.elements.x7fe00010;
  const out = new Float32Array(depth * height * width);
  for (let frame = 0; frame < depth; frame++) {
    const data = element.basicOffsetTable?.length
      ? dicomParser.readEncapsulatedImageFrame(set, element, frame)
      : dicomParser.readEncapsulatedPixelDataFromFragments(set, element, frame);
    const plane = await readRaster(new Uint8Array(data as unknown as ArrayLike<number>), "jpeg");
    if (plane.height !== height || plane.width !== width) throw new InputError("corrupt", "frames of other sizes");
    out.set(plane.pixels, frame * height * width);
  }
  return out;
}

function rawFrames(set: DataSet, syntax: string, depth: number, height: number, width: number) {
  if (!UNCOMPRESSED.has(syntax)) {
    throw new InputError(
      "unsupported_format",
      "compressed DICOM that browsers cannot decode; send it to the server, or store it uncompressed",
    );
  }
  const allocated = set.uint16("x00280100") ?? 8;
  const channels = set.uint16("x00280002") ?? 1;
  const samples = values(set, depth * height * width * channels, allocated, syntax.endsWith(".2.2"));
  if (channels === 1) return samples;
  const planar = set.uint16("x00280006") === 1;
  const size = height * width;
  return Float32Array.from({ length: depth * size }, (_, at) => {
    const frame = Math.floor(at / size);
    const within = at % size;
    const start = frame * size * 3 + (planar ? within : within * 3);
    const step = planar ? size : 1;
    return luma(samples[start], samples[start + step], samples[start + 2 * step]);
  });
}

/** Stored values, PS3.5 8.1.1: `BitsStored` bits below `HighBit`, with or without a sign. */
function values(set: DataSet, count: number, allocated: number, big: boolean): Float32Array {
  const { dataOffset, length } = set.elements.x7fe00010;
  if (![8, 16].includes(allocated)) throw new InputError("unsupported_format", `${allocated}-bit DICOM`);
  if (length < (count * allocated) / 8) throw new InputError("corrupt", "a truncated DICOM file");
  const stored = set.uint16("x00280101") ?? allocated;
  const drop = (set.uint16("x00280102") ?? stored - 1) + 1 - stored;
  const signed = set.uint16("x00280103") === 1;
  const view = new DataView(set.byteArray.buffer, set.byteArray.byteOffset + dataOffset, length);
  const out = new Float32Array(count);
  const unused = 32 - stored;
  for (let i = 0; i < count; i++) {
    const word = (allocated === 8 ? view.getUint8(i) : view.getUint16(2 * i, !big)) >>> drop;
    const high = word << unused;
    out[i] = signed ? high >> unused : high >>> unused;
  }
  return out;
}

/** All values of an element; none where one of them is no number. */
function numbers(set: DataSet, tag: string): number[] {
  const parts = text(set, tag).split("\\").map((part) => part.trim().replace(",", "."));
  const values = parts.map((part) => (part === "" ? NaN : Number(part)));
  return values.every(Number.isFinite) ? values : [];
}

/** ImagePositionPatient and ImageOrientationPatient, PS3.3 C.7.6.2; null unless they make sense. */
function placement(set: DataSet): Placement | null {
  const position = numbers(set, "x00200032");
  const axes = numbers(set, "x00200037");
  if (position.length !== 3 || axes.length !== 6) return null;
  const [row, column] = [axes.slice(0, 3) as Vector, axes.slice(3) as Vector];
  const lengths = [row, column].map((axis) => Math.hypot(...axis));
  if (Math.min(...lengths) < 0.5 || Math.max(...lengths) > 2 || Math.abs(dot(row, column)) > 0.1) return null;
  return { row: unit(row), column: unit(column), position: position as Vector };
}

function thickness(set: DataSet): number | null {
  const stated = number(set, "x00180088") || number(set, "x00180050");
  return stated && stated > 0 ? stated : null;
}
