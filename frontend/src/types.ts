import type { Color } from "./reading/gray";
import type { Failure, Prediction, Result, StudyPrediction, VolumePrediction } from "./record";

export type {
  ClassSet, Failure, Finding, Heatmap, Prediction, Result, SequenceAnswer, SeriesWeight, SlicePrediction, StudyPrediction,
  VolumePrediction,
} from "./record";

/** On everything that leaves the page. */
export const NOTICE = "Research software, not a medical device: not for diagnosis or treatment decisions.";

/** A decoded image or volume: `depth` slices of `height` x `width`, larger is brighter. */
export interface MedicalImage {
  name: string;
  depth: number;
  height: number;
  width: number;
  pixels: Float32Array;
  color: Color;
  /** How it was stored, for people: "PNG, 16 bits". */
  format: string;
  /** Height of a pixel by its width. */
  aspect: number;
  /** Facts of the study that name nobody: modality, sequence. */
  facts: string[];
  /** Of the patient, at the edges; null where no file states them. */
  sides: Sides | null;
  /** Whether the normal of axial slices, on which `locations` lie, points to the head (1) or to the feet (-1); else 0. */
  headward?: number | undefined;
  /** Names of the files it was made of. */
  sources: string[];
  /** One a slice. */
  locations: SliceLocation[];
  /** Gaps, duplicates, what was left out: sentences for people. */
  notes: string[];
  /** Height and width of a pixel in millimetres, where the file states them. */
  pixelMm?: [number, number] | null | undefined;
  /** How window and level are shown, if not as `pixels` are. */
  unit?: Unit | undefined;
  /** Of a series that belongs to a study. */
  origin?: Origin | undefined;
}

/** The value that is shown is slope * pixel + intercept: the file's own value or, with `%`, part of the file's window. */
export interface Unit {
  slope: number;
  intercept: number;
  symbol?: string;
}

/** What DICOM files say of the study and series that they belong to. */
export interface Origin {
  study: string;
  /** The patient's identifier, else the name, empty where neither is stated: files of two patients are not one study. */
  patient: string;
  series: string;
  /** Its frame of reference: positions of series with the same one can be compared. */
  frame: string | null;
  /** The MR sequence by the header's words. */
  sequence: string | null;
  /** The day of the acquisition, else that of the series or study: YYYYMMDD. */
  day: string | null;
  /** Of its files, if those of the same UIDs in other folders are other volumes. */
  folder: string | null;
  /** Whether it is a map, a projection, a localizer, or of another part of the body than the head. */
  outsideTraining: boolean;
}

/** R and L, A and P (front and back), H and F (head and feet); two letters where oblique. */
export interface Sides {
  left: string;
  right: string;
  top: string;
  bottom: string;
}

/** Where one slice comes from. */
export interface SliceLocation {
  /** Its file. */
  path: string;
  /** Where it lies on the normal of the slices, in millimetres; null where that is not known. */
  alongMm: number | null;
  /** Its middle in the patient. */
  centerMm?: [number, number, number] | null | undefined;
}

/** Of slices in one file that does not say where they lie. */
export function locationsOf(path: string, depth: number): SliceLocation[] {
  return Array.from({ length: depth }, () => ({ path, alongMm: null }));
}

/** The square that the network sees, in pixels of the image; it may reach beyond its edges. */
export interface Square {
  top: number;
  left: number;
  side: number;
}

export type Decision = Prediction["decision"];
/** Anything that has an answer. */
export type Answer = Exclude<Result, Failure>;

export function isFailure(result: Result): result is Failure {
  return "error" in result;
}

export function isVolume(result: Result): result is VolumePrediction {
  return "slices" in result;
}

export function isStudy(result: Result): result is StudyPrediction {
  return "members" in result;
}

/** What the file of an image says that its answer needs; slices of a volume have none of their own. */
export interface Stated {
  notes: string[];
  /** The MR sequence by the header's words. */
  sequence: string | null;
}

/** An answer, and what the whole needs of it. */
export interface Classified<R extends Result = Result> {
  result: R;
  /** Shares of the sequences, of a rejected image too; null where the network does not tell them. */
  sequenceShares: number[] | null;
}

/** An input that cannot be used; the message is for people. */
export class InputError extends Error {
  constructor(
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }
}

/** What went wrong in reading a file of this format. */
export function inputErrorOf(error: unknown, format: string): InputError {
  if (error instanceof InputError) return error;
  // Of arrays that the browser cannot allocate.
  const isTooLarge = error instanceof RangeError && /allocation|array length/i.test(error.message);
  return isTooLarge ? new InputError("limit", "does not fit into memory") : new InputError("corrupt", `damaged ${format}`);
}

export function failureOf(name: string, error: unknown): Failure {
  const kind = error instanceof InputError ? error.kind : "corrupt";
  const words = error instanceof Error ? error.message : String(error);
  return { path: name, error: { kind, message: `${name}: ${words}` } };
}
