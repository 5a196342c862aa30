/** One DICOM file, uncompressed or baseline JPEG; series.ts makes volumes of them. */
import dicomParser, { type DataSet } from "dicom-parser";
import { dayNumber } from "../days";
import { InputError, inputErrorOf, type MedicalImage, type Origin, locationsOf } from "../types";
import type { Traits } from "./contrasts";
import { isStated, number, numbers, text, texts, whole } from "./elements";
import { canBeAHead, checkSides, type Color, colorOf, finite, jointColor, LARGEST, luma } from "./gray";
import { type GrayscaleTransform, windowOf } from "./grayscale";
import { inflated } from "./inflate";
import { readRaster } from "./raster";
import { sequenceOfWords } from "../sequence";
import { lyingOf } from "./sides";
import type { Placement } from "./slice_ordering";
import { subjectNotes, purposeNotes } from "./subject";
import { CUT_OFF, isCutOff } from "./cut_off";
import { areWords, checkRows, hasOtherSign, isSwapped, isWider, OTHER_SIGN, ofOtherSign, SWAPPED, WIDER } from "./stored";
import { privateTag, traitsOf } from "./traits";
import { type Axes, type Turn, turnedBy, turnOf } from "./turn";
import { dot, unit, type Vector } from "./vectors";

const JPEG_BASELINE = "1.2.840.10008.1.2.4.50";
const DEFLATED = "1.2.840.10008.1.2.1.99";
const UNCOMPRESSED = new Set(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED]);
const MAX_FRAMES = 4096;
const STORAGE = "1.2.840.10008.5.1.4.1.1.";
/** Spectra, waveforms, maps, raw data, reports...: `imaging/dicom/kinds.py`. */
const NO_IMAGES = ["4.2", "9", "11", "30", "66", "67", "88", "90", "104", "481.2", "481.3", "481.5"];
/** MR Image and Secondary Capture: what may be MR without saying so. */
const MAY_BE_MR = ["4", "7"];

/** Comprehensive 3D SR, Secondary Capture Image, Segmentation: `OWN_CLASSES` in `imaging/dicom/derived.py`. */
export const OWN_CLASSES = ["1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.66.4"];
/** Kinds of the errors of files that are to be passed over. */
export const OWN_ANSWER = "own_answer";
export const NO_IMAGE = "no_image";

/** One file's frames, and where they belong. */
export interface DicomPart extends MedicalImage {
  /** Of a sample as it is stored. */
  bits: number;
  series: string;
  /** StudyInstanceUID, PatientID or else PatientName, FrameOfReferenceUID and SOPInstanceUID; empty where not stated. */
  study: string;
  patient: string;
  reference: string;
  uid: string;
  seriesNumber: number | null;
  /** What all slices of one series state alike, whatever their UIDs. */
  siblings: string;
  /** Study, its date, and the patient's birth date and name; empty where not stated. */
  examination: string[];
  /** Whether its SOP class is one of MR images, not a capture of something. */
  isMrStorage: boolean;
  /** How it was taken. */
  traits: Traits;
  description: string;
  /** Null where the file does not say, or has several frames. */
  placement: Placement | null;
  /** How its slice was turned when it was read. */
  turn?: Turn | null | undefined;
  /** Height and width of a pixel as a ratio, where they are not stated in millimetres. */
  pixelAspect?: [number, number] | null | undefined;
  /** Between the middles of neighbouring slices, or else of one slice. */
  thicknessMm: number | null;
  /** Acquisition, echo, time, instance number, clock: which of several at one place comes first. */
  order: number[];
  /** SliceLocation and InstanceNumber, for positions that are not plausible. */
  locationMm: number | null;
  instance: number | null;
  /** What is still to be done to `pixels`: the files of a series are windowed alike, or not at all. */
  levels: GrayscaleTransform;
  /** Why there are no pixels; null where they were read. */
  unread?: InputError | null;
}

/** A file of another modality, of the series with this UID. */
export class NotMr extends InputError {
  constructor(modality: string, readonly series: string) {
    super("not_mr", `${modality ? `modality ${modality}` : "its modality is not stated"}; only MR is classified`);
  }
}

/** A file whose pixels cannot be read, but that says which series it belongs to. */
export class UnreadPixels extends InputError {
  constructor(reason: InputError, readonly part: DicomPart) {
    super(reason.kind, reason.message);
  }
}

export type PlacedPart = DicomPart & { placement: Placement };

export function isPlaced(part: DicomPart): part is PlacedPart {
  return part.placement !== null;
}

const TIE_BREAKERS = ["x00200012", "x00180086", "x00200100", "x00200013", "x0008002a", "x00080032", "x00080033"];
/** Patient, date, modality, description, protocol, sequence, maker. */
const SHARED = [
  "x00100020", "x00100010", "x00100030", "x00080020", "x00080060", "x0008103e", "x00181030", "x00180024", "x00080070",
];
/** StudyInstanceUID, StudyDate, PatientBirthDate, PatientName: one for all slices of a series. */
const OF_ONE = ["x0020000d", "x00080020", "x00100030", "x00100010"];
/** PhotometricInterpretation of gray, and of colours with their number of samples; gray need not be stated. */
const GRAYS = ["MONOCHROME1", "MONOCHROME2", ""];
const COLORS: Record<string, number> = { "PALETTE COLOR": 1, RGB: 3, YBR_FULL: 3, YBR_FULL_422: 3, YBR_ICT: 3, YBR_RCT: 3 };
/** Part of what is not black that has no colour, in an image of gray. */
const GRAY_PART = 0.9;

/** Look-up tables and functional groups (enhanced MR), which only the server reads. */
const SERVER_ONLY = ["x00283000", "x00283010", "x52009229", "x52009230"];

/** FloatPixelData and DoubleFloatPixelData. */
const FLOATS = ["x7fe00008", "x7fe00009"];

/** FrameTime and FrameTimeVector. */
const FRAME_TIMES = ["x00181063", "x00181065"];
const CINE = "the frames of the file are points in time, as it states; they are read as slices";

export async function readDicom(name: string, data: Uint8Array): Promise<DicomPart> {
  const set = parse(data);
  if (isOwn(set)) throw new InputError(OWN_ANSWER, "an answer written by tumorlens, not an image of the study");
  const [subject, purpose] = [subjectNotes(set), purposeNotes(set)];
  const doubts = [...checkKind(set), ...subject];
  const [height, width] = ["x00280010", "x00280011"].map((tag) => whole(set, tag) ?? 0);
  const stated = number(set, "x00280008");
  const depth = Math.max(1, Math.trunc(stated ?? 1));
  if (isStated(set, "x00280008") && (stated === null || stated < 1)) doubts.push("the file's number of frames is not plausible and is not used");
  if (depth > 1 && FRAME_TIMES.some((tag) => isStated(set, tag))) doubts.push(CINE);
  checkSides(width, height);
  if (depth < 1 || depth > MAX_FRAMES) throw new InputError("limit", `${depth} frames`);
  const read = await frames(set, depth, height, width).catch(withoutPixels);
  const { pixels, levels, color, notes, unread } = read;
  const bits = set.uint16("x00280101") || allocatedOf(set);
  const [aspect, odd] = aspectOf(set, height, width);
  const sizes = numbers(set, "x00280030");
  const pixelMm: [number, number] | null = sizes.length === 2 && odd.length === 0 ? [sizes[0], sizes[1]] : null;
  const axes = axesOf(set);
  const geometry = axes && placement(set, axes);
  const part: DicomPart = {
    name, depth, height, width, pixels, color, bits, format: `DICOM, ${bits} bits`,
    aspect, facts: facts(set), ...lyingOf(geometry), sources: [name],
    locations: locationsOf(name, depth).map((location) => ({ ...location, centerMm: geometry && depth === 1 ? middle(geometry, pixelMm, height, width) : null })),
    notes: [...doubts, ...purpose, ...odd, ...notes], origin: originOf(set, subject.length + purpose.length > 0),
    pixelMm,
    series: text(set, "x0020000e") || name, study: text(set, "x0020000d"), patient: patientOf(set),
    reference: text(set, "x00200052"), uid: text(set, "x00080018"), seriesNumber: number(set, "x00200011"),
    siblings: SHARED.map((tag) => texts(set, tag)[0] ?? "").join("\0"), isMrStorage: isMrStorage(set),
    examination: OF_ONE.map((tag) => text(set, tag)),
    traits: traitsOf(set), description: text(set, "x0008103e"), levels, thicknessMm: thickness(set),
    placement: depth === 1 ? geometry : null,
    order: TIE_BREAKERS.map((tag) => number(set, tag) ?? 0),
    locationMm: number(set, "x00201041"), instance: number(set, "x00200013"),
    pixelAspect: sizes.length === 2 ? null : pixelAspectOf(set), unread,
  };
  // Without a position it is not known where the slice lies, but which way it is turned.
  const turned = turnedBy(part, axes && depth === 1 ? turnOf(axes) : null);
  if (unread) throw new UnreadPixels(unread, turned);
  return turned;
}

/** What stands in for pixels that cannot be read. */
function withoutPixels(error: unknown): Pixels {
  const levels = { window: null, inverted: false, ends: 0, empty: null, isRange: false };
  return { pixels: new Float32Array(0), levels, color: "gray", notes: [], unread: inputErrorOf(error, "DICOM") };
}

/** Where the middle of a slice lies in the patient. */
export function middle(
  { position, row, column }: Placement, pixelMm: MedicalImage["pixelMm"], height: number, width: number,
): Vector | null {
  if (!pixelMm) return null;
  const [down, across] = [((height - 1) / 2) * pixelMm[0], ((width - 1) / 2) * pixelMm[1]];
  return position.map((at, axis) => at + down * column[axis] + across * row[axis]) as Vector;
}

/** The identifier, else the name; empty where neither is stated. */
function patientOf(set: DataSet): string {
  return text(set, "x00100020") || text(set, "x00100010");
}

/** Undefined where the file does not say which study it belongs to. */
function originOf(set: DataSet, outsideTraining: boolean): Origin | undefined {
  const [study, series, frame] = ["x0020000d", "x0020000e", "x00200052"].map((tag) => text(set, tag));
  if (!study || !series) return undefined;
  const [description, sequence, agent] = ["x0008103e", "x00180024", "x00180010"].map((tag) => text(set, tag));
  return {
    study, patient: patientOf(set), series, frame: frame || null, outsideTraining,
    sequence: sequenceOfWords(description, sequence, agent), day: dayOf(set), folder: null,
  };
}

function dayOf(set: DataSet): string | null {
  const stated = ["x00080022", "x0008002a", "x00080021", "x00080020"].map((tag) => text(set, tag).slice(0, 8));
  return stated.find((day) => !Number.isNaN(dayNumber(day))) ?? null;
}

function parse(data: Uint8Array): DataSet {
  try {
    return dicomParser.parseDicom(data, { inflater: (file: Uint8Array, start: number) => inflated(file, start) } as object);
  } catch (error) {
    if (error instanceof InputError) throw error;
    // What follows the pixels, such as padding of the file, is not part of the image.
    const { dataSet } = error as { dataSet?: DataSet };
    if (dataSet?.elements.x7fe00010) return dataSet;
    const words = typeof error === "string" ? error : ((error as Error)?.message ?? "");
    throw new InputError("corrupt", `damaged DICOM (${words})`);
  }
}

/** A report, an overlay or a map of `tumorlens predict --dicom`: `is_own` in `tumorlens/imaging/dicom/derived.py`. */
function isOwn(set: DataSet): boolean {
  return text(set, "x00080070") === "tumorlens" && OWN_CLASSES.includes(text(set, "x00080016"));
}

/** Refuse what is no image or not MR; what is taken for granted of the rest. `imaging/dicom/kinds.py`. */
function checkKind(set: DataSet): string[] {
  const sopClass = text(set, "x00080016");
  const isOneOf = (kinds: string[]) => isOfKind(sopClass, kinds);
  const mosaic = privateTag(set, "0019", "SIEMENS MR HEADER", "0a");
  if (texts(set, "x00080008").includes("MOSAIC") || (mosaic !== null && (set.uint16(mosaic) ?? 0) > 1)) {
    throw new InputError("unsupported_format", "a mosaic of many slices in one image; export the slices as a volume");
  }
  if (isOneOf(NO_IMAGES)) throw new InputError(NO_IMAGE, "DICOM without an image");
  const modality = modalityOf(set);
  const isOther = sopClass.startsWith(STORAGE) && !isOneOf(MAY_BE_MR);
  if (modality === "MR") return isOther ? [treatedAsMr(`its SOP class is ${sopClass}`)] : [];
  const mayBe = ["", "OT", "SC"].includes(modality) && (sopClass === "" || isOneOf(MAY_BE_MR));
  if (!mayBe) throw new NotMr(modality, text(set, "x0020000e"));
  if (modality === "" && isOneOf(["4"])) return [];
  return [treatedAsMr(modality ? `its modality is ${modality}` : "its modality is not stated")];
}

function treatedAsMr(stated: string): string {
  return `the file does not state that it is MR (${stated}); it is treated as MR`;
}

/** In capitals; some exporters write MRI for MR. */
function modalityOf(set: DataSet): string {
  const stated = text(set, "x00080060").toUpperCase();
  return stated === "MRI" ? "MR" : stated;
}

function isOfKind(sopClass: string, kinds: string[]): boolean {
  return kinds.some((kind) => `${sopClass}.`.startsWith(`${STORAGE}${kind}.`));
}

function isMrStorage(set: DataSet): boolean {
  const sopClass = text(set, "x00080016");
  return sopClass === "" ? modalityOf(set) === "MR" : isOfKind(sopClass, ["4"]);
}

/** Height to width of a pixel; a note where no head could have its size. `_spacing` in `header.py`. */
function aspectOf(set: DataSet, height: number, width: number): [number, string[]] {
  const spacing = numbers(set, "x00280030");
  if (spacing.length !== 2) return [1, []];
  const [row, column] = spacing;
  if (canBeAHead(row * height) && canBeAHead(column * width)) return [row / column, []];
  return [1, [`pixels of ${row} x ${column} mm are not plausible; their size is not used`]];
}

/** PixelAspectRatio (C.7.6.3.1.7). */
function pixelAspectOf(set: DataSet): [number, number] | null {
  const ratio = numbers(set, "x00280034");
  return ratio.length === 2 && Math.min(...ratio) > 0 ? [ratio[0], ratio[1]] : null;
}

function facts(set: DataSet): string[] {
  const stated = ["x00080060", "x00180020", "x0008103e"].map((tag) => set.string(tag)?.trim() ?? "");
  return stated.filter((text) => text !== "");
}

interface Pixels extends Frames {
  levels: GrayscaleTransform;
  unread: InputError | null;
}

async function frames(set: DataSet, depth: number, height: number, width: number): Promise<Pixels> {
  if (!set.elements.x7fe00010) {
    const what = FLOATS.some((tag) => set.elements[tag]) ? "pixels of floating point; convert it to NIfTI (.nii.gz)" : "no pixels, or they are cut off";
    throw new InputError("unsupported_format", `DICOM with ${what}`);
  }
  const hasColors = ["COLOR", "MIXED"].includes(text(set, "x00089205")) && (set.uint16("x00281101", 1) ?? 0) > 0;
  if (hasColors || SERVER_ONLY.some((tag) => set.elements[tag])) {
    throw new InputError("server_only", "DICOM with look-up tables or functional groups; use the server instead");
  }
  const syntax = syntaxOf(set);
  samplesOf(set);
  const { pixels: raw, color, notes: remarks } = syntax === JPEG_BASELINE
    ? await jpegFrames(set, depth, height, width)
    : rawFrames(set, syntax, depth, height, width);
  const planes = Array.from({ length: depth }, (_, frame) => raw.subarray(frame * height * width, (frame + 1) * height * width));
  for (const plane of planes) checkRows(plane, height, width);
  const endsEarly = syntax !== JPEG_BASELINE && planes.some((plane) => isCutOff(plane, height, width));
  const notes = [...rescaleNotes(set), ...surplus(set, syntax, depth * height * width), ...remarks, ...(endsEarly ? [CUT_OFF] : [])];
  const [slope, intercept] = rescaleOf(set);
  const bits = storedBits(set, allocatedOf(set));
  const signed = set.uint16("x00280103") === 1;
  const ends = signed ? -1 : 2 ** bits - 1;
  const levels: GrayscaleTransform = {
    window: windowOf(number(set, "x00281050"), number(set, "x00281051"), text(set, "x00281056").toUpperCase()),
    inverted: text(set, "x00280004") === "MONOCHROME1" || text(set, "x20500020") === "INVERSE",
    ends: ends * slope + 2 * intercept,
    empty: padding(set, signed, raw),
    isRange: (set.uint16("x00280121") ?? set.uint16("x00280120")) !== set.uint16("x00280120"),
  };
  for (let i = 0; i < raw.length; i++) raw[i] = raw[i] * slope + intercept;
  return { pixels: finite(raw), levels, color, notes, unread: null };
}

/** The stated transfer syntax; that of the pixel data where some program changed one of the two alone. */
function syntaxOf(set: DataSet): string {
  const stated = set.string("x00020010") ?? "1.2.840.10008.1.2";
  const isCompressed = set.elements.x7fe00010.hadUndefinedLength === true;
  if (isCompressed !== UNCOMPRESSED.has(stated)) return stated;
  return isCompressed ? "compressed" : "1.2.840.10008.1.2.1";
}

/** Slope and intercept; 1 and 0 where they are missing or are not plausible. `_rescale` in `grayscale.py`. */
function rescaleOf(set: DataSet): [number, number] {
  const [slope, intercept] = [number(set, "x00281053"), number(set, "x00281052")];
  return [slope !== null && isSlope(slope) ? slope : 1, intercept !== null && Math.abs(intercept) <= LARGEST ? intercept : 0];
}

/** Whether any image can have it: neither 0 nor so large that nothing finite is left. */
function isSlope(slope: number): boolean {
  return Math.abs(slope) > 1 / LARGEST && Math.abs(slope) < LARGEST;
}

function rescaleNotes(set: DataSet): string[] {
  const [slope, intercept] = [number(set, "x00281053"), number(set, "x00281052")];
  const notes: string[] = [];
  if (slope === 0) notes.push("RescaleSlope is 0, which would blank the image; 1 is used");
  else if (slope !== null && !isSlope(slope)) notes.push(`RescaleSlope is ${slope}, which is not plausible; 1 is used`);
  else if (slope === null && isStated(set, "x00281053")) notes.push("RescaleSlope is not a finite number; 1 is used");
  if ((intercept === null && isStated(set, "x00281052")) || Math.abs(intercept ?? 0) > LARGEST) {
    notes.push("RescaleIntercept is not a finite number; 0 is used");
  }
  return notes;
}

/** A note where there are pixels of more frames than the file states. `holds_more` in `pixels.py`. */
function surplus(set: DataSet, syntax: string, pixels: number): string[] {
  const element = set.elements.x7fe00010;
  const depth = Math.max(1, Math.trunc(number(set, "x00280008") ?? 1));
  const sampleBytes = (allocatedOf(set) / 8) * (set.uint16("x00280002") || 1);
  const holdsMore = syntax === JPEG_BASELINE
    ? startsOf(set).length > depth && startsOf(set).every((start) => start === "ff d8")
    : element.length >= (pixels + pixels / depth) * sampleBytes;
  return holdsMore ? ["there are pixels for more frames than the file states; the others are not read"] : [];
}

/** The first two bytes of each fragment. */
function startsOf(set: DataSet): string[] {
  const fragments = set.elements.x7fe00010.fragments ?? [];
  return fragments.map(({ position }) => [0, 1].map((at) => set.byteArray[position + at].toString(16)).join(" "));
}

/** Stored values from PixelPaddingValue to PixelPaddingRangeLimit. */
function padding(set: DataSet, signed: boolean, stored: Float32Array): Uint8Array | null {
  const whole = (tag: string) => (signed ? set.int16(tag) : set.uint16(tag));
  const value = whole("x00280120");
  if (value === undefined) return null;
  const limit = whole("x00280121") ?? value;
  const [low, high] = [Math.min(value, limit), Math.max(value, limit)];
  const empty = Uint8Array.from(stored, (sample) => (sample >= low && sample <= high ? 1 : 0));
  return empty.includes(1) ? empty : null;
}

/** Gray ones, and what is odd about them. */
interface Frames {
  pixels: Float32Array;
  color: Color;
  notes: string[];
}

async function jpegFrames(set: DataSet, depth: number, height: number, width: number): Promise<Frames> {
  const element = set.elements.x7fe00010;
  const out = new Float32Array(depth * height * width);
  const colors: Color[] = [];
  for (let frame = 0; frame < depth; frame++) {
    const data = element.basicOffsetTable?.length
      ? dicomParser.readEncapsulatedImageFrame(set, element, frame)
      : dicomParser.readEncapsulatedPixelDataFromFragments(set, element, frame);
    const plane = await readRaster(new Uint8Array(data as unknown as ArrayLike<number>), "jpeg");
    if (plane.height !== height || plane.width !== width) throw new InputError("corrupt", "frames of different sizes");
    out.set(plane.pixels, frame * height * width);
    colors.push(plane.color);
  }
  return { pixels: out, color: jointColor(colors), notes: [] };
}

function rawFrames(set: DataSet, syntax: string, depth: number, height: number, width: number): Frames {
  if (!UNCOMPRESSED.has(syntax)) {
    throw new InputError(
      "server_only",
      "compressed DICOM that browsers cannot decode; use the server, or store it uncompressed",
    );
  }
  const allocated = allocatedOf(set);
  const { channels, photometric } = samplesOf(set);
  if (photometric === "PALETTE COLOR" || (channels > 1 && photometric !== "RGB")) {
    throw new InputError("server_only", `DICOM with pixels of ${photometric}; let the server read it`);
  }
  if (channels === 1 && allocated === 8) checkWidth(set, depth, height, width);
  const isBig = syntax.endsWith(".2.2");
  if (channels === 1) return grayFrames(set, depth * height * width, height * width, width, allocated, isBig);
  const samples = values(set, depth * height * width * channels, allocated, isBig);
  const size = height * width;
  const planar = isPlanar(samples, size, set.uint16("x00280006") === 1);
  const gray = Float32Array.from({ length: depth * size }, (_, at) => {
    const frame = Math.floor(at / size);
    const within = at % size;
    const start = frame * size * 3 + (planar ? within : within * 3);
    const step = planar ? size : 1;
    return luma(samples[start], samples[start + step], samples[start + 2 * step]);
  });
  return { pixels: gray, color: jointColor(frameColors(samples, depth, size, planar)), notes: [] };
}

/** Refuse samples stated to have 8 bits that fill cells of 16. `_check_width` in `pixels.py`. */
function checkWidth(set: DataSet, depth: number, height: number, width: number): void {
  const { dataOffset, length } = set.elements.x7fe00010;
  const size = 2 * height * width;
  const at = dataOffset + Math.floor(depth / 2) * size;
  if (length >= depth * size && areWords(set.byteArray.slice(at, at + size), width)) {
    throw new InputError("corrupt", "damaged DICOM (its samples have 16 bits, not 8 as the file states)");
  }
}

/** Whether channels lie one after the other: as stated, or otherwise where that makes the first frame gray. `_gray_layout` in `pixels.py`. */
function isPlanar(samples: Float32Array, size: number, stated: boolean): boolean {
  const isGray = (planar: boolean) => {
    let [visible, even] = [0, 0];
    for (let at = 0; at < size; at++) {
      const colors = [0, 1, 2].map((channel) => samples[planar ? at + channel * size : 3 * at + channel]);
      if (colors.some((value) => value > 0)) visible++;
      if (colors[0] > 0 && colors.every((value) => value === colors[0])) even++;
    }
    return even > GRAY_PART * visible;
  };
  return !isGray(stated) && isGray(!stated) ? !stated : stated;
}

/** Frames of one sample a pixel, each in the byte order, of the bits and with the sign that it must have. `_frames` in `pixels.py`. */
function grayFrames(set: DataSet, count: number, size: number, width: number, allocated: number, big: boolean): Frames {
  const notes = new Set<string>();
  const whole = { stored: allocated, drop: 0 };
  const [stated, words] = [values(set, count, allocated, big), values(set, count, allocated, big, whole)];
  const others = allocated === 16 ? [values(set, count, allocated, !big), values(set, count, allocated, !big, whole)] : null;
  for (let at = 0; at < count; at += size) {
    const frame = (all: Float32Array) => all.subarray(at, at + size);
    let word = frame(words);
    if (others && isSwapped(word, frame(stated), frame(others[1]), width)) {
      notes.add(SWAPPED);
      stated.set(frame(others[0]), at);
      word = frame(others[1]);
    }
    if (isWider(word, frame(stated), width, storedBits(set, allocated))) {
      notes.add(WIDER);
      stated.set(word, at);
      continue;
    }
    const other = ofOtherSign(frame(stated), storedBits(set, allocated), set.uint16("x00280103") === 1);
    if (allocated === 16 && hasOtherSign(frame(stated), other, width)) {
      notes.add(OTHER_SIGN);
      stated.set(other, at);
    }
  }
  return { pixels: stated, color: "gray", notes: [...notes] };
}

function frameColors(samples: Float32Array, depth: number, size: number, planar: boolean): Color[] {
  const [along, across] = planar ? [1, size] : [3, 1];
  return Array.from({ length: depth }, (_, frame) => (
    colorOf(size, (at) => [0, 1, 2].map((channel) => samples[3 * frame * size + along * at + across * channel]))
  ));
}

/** Samples of a pixel, and what they are. `describe` in `pixels.py`. */
function samplesOf(set: DataSet): { channels: number; photometric: string } {
  const channels = set.uint16("x00280002") || 1;
  const stated = text(set, "x00280004").toUpperCase();
  const photometric = channels === 3 && ["", "MONOCHROME2"].includes(stated) ? "RGB" : stated;
  if (COLORS[photometric] !== channels && !(channels === 1 && GRAYS.includes(photometric))) {
    throw new InputError("unsupported_format", `pixels are ${channels} x ${photometric || "not stated"}, which is not supported; export it as MONOCHROME2 or RGB`);
  }
  return { channels, photometric };
}

function allocatedOf(set: DataSet): number {
  return set.uint16("x00280100") ?? 16;
}

/** BitsStored where it makes sense. `describe` in `pixels.py`. */
function storedBits(set: DataSet, allocated: number): number {
  const stated = set.uint16("x00280101") ?? allocated;
  return stated >= 1 && stated <= allocated ? stated : allocated;
}

/** Bits of a value, and those below them. */
function bitsOf(set: DataSet, allocated: number): { stored: number; drop: number } {
  const stored = storedBits(set, allocated);
  const highest = set.uint16("x00280102") ?? stored - 1;
  return { stored, drop: highest >= stored - 1 && highest < allocated ? highest + 1 - stored : 0 };
}

/** Stored values, PS3.5 8.1.1: `BitsStored` bits below `HighBit`, with or without a sign. */
function values(set: DataSet, count: number, allocated: number, big: boolean, { stored, drop } = bitsOf(set, allocated)): Float32Array {
  const { dataOffset, length } = set.elements.x7fe00010;
  if (![8, 16].includes(allocated)) throw new InputError("server_only", `${allocated}-bit DICOM; let the server read it`);
  if (Math.min(length, set.byteArray.length - dataOffset) < (count * allocated) / 8) {
    throw new InputError("corrupt", "damaged DICOM (its pixel data are cut off)");
  }
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

/** ImagePositionPatient and ImageOrientationPatient, PS3.3 C.7.6.2; null unless they make sense. */
function placement(set: DataSet, axes: Axes): Placement | null {
  const position = numbers(set, "x00200032");
  return position.length === 3 ? { ...axes, position: position as Vector } : null;
}

/** Null where the file states no directions, or none that make sense. */
function axesOf(set: DataSet): Axes | null {
  const axes = numbers(set, "x00200037");
  if (axes.length !== 6) return null;
  const [row, column] = [axes.slice(0, 3) as Vector, axes.slice(3) as Vector];
  const lengths = [row, column].map((axis) => Math.hypot(...axis));
  if (Math.min(...lengths) < 0.5 || Math.max(...lengths) > 2 || Math.abs(dot(row, column)) > 0.1) return null;
  return { row: unit(row), column: unit(column) };
}

function thickness(set: DataSet): number | null {
  const stated = ["x00180088", "x00180050"].map((tag) => number(set, tag)).find((size) => size !== null && size > 0);
  return stated ?? null;
}
