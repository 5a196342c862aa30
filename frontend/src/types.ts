/** The class vocabulary, in the order of every array over classes. */
export const CLASSES = ["glioma", "meningioma", "notumor", "pituitary"] as const;
export type ClassName = (typeof CLASSES)[number];

export const DISPLAY_NAMES: Record<string, string> = {
  glioma: "glioma",
  meningioma: "meningioma",
  notumor: "no tumour",
  pituitary: "pituitary tumour",
};

/** A decoded picture or volume: `depth` slices of `height` x `width`, larger is brighter. */
export interface Picture {
  name: string;
  depth: number;
  height: number;
  width: number;
  pixels: Float32Array;
  /** How it was stored, for people: "PNG, 16 bits". */
  format: string;
  /** Height of a pixel by its width. */
  aspect: number;
  /** Facts of the study that name nobody: modality, sequence. */
  facts: string[];
  /** Of the patient, at the edges; null where no file states them. */
  sides: Sides | null;
  /** Names of the files it was made of. */
  sources: string[];
  /** One a slice. */
  places: Place[];
  /** Gaps, duplicates, what was left out: sentences for people. */
  notes: string[];
}

/** R and L, A and P (front and back), H and F (head and feet); two letters where oblique. */
export interface Sides {
  left: string;
  right: string;
  top: string;
  bottom: string;
}

/** Where one slice comes from. */
export interface Place {
  /** Its file. */
  path: string;
  /** Where it lies on the normal of the slices, in millimetres; null where that is not known. */
  alongMm: number | null;
}

/** Of slices in one file that does not say where they lie. */
export function placesOf(path: string, depth: number): Place[] {
  return Array.from({ length: depth }, () => ({ path, alongMm: null }));
}

/** The square that the network sees, in pixels of the picture; it may reach beyond its edges. */
export interface Square {
  top: number;
  left: number;
  side: number;
}

export interface Heatmap {
  label: string;
  square: Square;
  /** Evidence as a share of its maximum. */
  grid: number[][];
  peak: { row: number; column: number };
  box: { top: number; left: number; bottom: number; right: number } | null;
}

export interface Model {
  name: string;
  version: string;
  sha256: string;
}

export type Decision = "classified" | "abstained" | "rejected";

/** One answer, as `tumorlens predict --format jsonl` writes it. */
export interface Prediction {
  path: string;
  label: string | null;
  decision?: Decision;
  reason?: string | null;
  probabilities?: Record<string, number> | null;
  prediction_set?: string[] | null;
  model: Model;
  heatmap?: Heatmap;
  /** Of a volume: the slices that hold the finding, from 0, ends included. */
  finding?: Finding | null;
  /** Of a volume: one a slice. */
  slices?: SliceAnswer[];
  /** Of a volume: what its files say of the acquisition, where the server answers. */
  series?: object | null;
  notes?: string[];
}

export interface Finding {
  first: number;
  middle: number;
  last: number;
  /** The middle slice's file, and where it lies; null where it is not known. */
  path: string | null;
  position_mm: number[] | null;
  member: string | null;
  frame: number | null;
  sop_instance_uid: string | null;
}

/** The answer for one slice of a volume; empty where the slice could not be used. */
export interface SliceAnswer {
  index: number;
  along_mm: number | null;
  decision: Decision | null;
  label: string | null;
  reason: string;
  probabilities: Record<string, number> | null;
  error: Failure["error"] | null;
  prediction_set: string[] | null;
}

export interface Failure {
  path: string;
  error: { kind: string; message: string };
}

export type Result = Prediction | Failure;

export function isFailure(result: Result): result is Failure {
  return "error" in result;
}

/** An answer without a decision is from a version that knew no other. */
export function decisionOf(answer: Prediction): Decision {
  return answer.decision ?? "classified";
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

export function failureOf(name: string, error: unknown): Failure {
  const kind = error instanceof InputError ? error.kind : "corrupt";
  const words = error instanceof Error ? error.message : String(error);
  return { path: name, error: { kind, message: words.startsWith(name) ? words : `${name}: ${words}` } };
}
