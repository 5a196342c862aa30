/** The record of an answer. Generated: python scripts/write_record_schema.py */

/** The answer for one image. */
export interface Prediction {
  path: string;
  /** `classified`: a tumour of a named kind, or no tumour. `detected`: a tumour whose kind is uncertain. `abstained`: it is uncertain whether there is a tumour (or, if no class means "no finding", of which kind it is). `rejected`: not a slice of head MRI. For a model with other classes, read finding instead of tumour. */
  decision: "abstained" | "classified" | "detected" | "rejected";
  /** The class; null unless `classified`. */
  label: string | null;
  /** The answer in a sentence. */
  summary: string;
  /** Why presence or kind is not reported; empty if it is. */
  reason: string;
  /** Of a tumour (or other finding) of any kind; null if there is no answer, or if no class means "no finding". */
  tumor_probability: number | null;
  /** By class; null if there is no answer. */
  probabilities: Record<string, number> | null;
  /** Classes that are not excluded, the most probable first; null if no set was fitted. */
  prediction_set: string[] | null;
  /** Null if the model does not predict the sequence. */
  sequence: SequenceAnswer | null;
  model: ModelIdentity;
  /** Caveats: gaps, duplicates, what was left out or assumed. */
  notes: string[];
  /** Only if requested. */
  heatmap: Heatmap | null;
}

/** The MR sequence that the network predicts. */
export interface SequenceAnswer {
  /** T1, T1CE, T2, FLAIR or other. */
  name: string;
  probability: number;
}

/** Which model gave an answer. */
export interface ModelIdentity {
  name: string;
  version: string;
  /** Hash of the ONNX file. */
  sha256: string;
  /** Null if they are the four of the bundled networks. */
  classes: ClassSet | null;
}

/** The classes that a network tells apart; arrays over classes are in their order. */
export interface ClassSet {
  members: ClassInfo[];
  /** The class that means that nothing is found. Null: there is none, and only the kind is asked for. */
  no_finding: string | null;
  /** What the other classes are, in one word for sentences: tumour. */
  finding: string;
}

/** One class of a network. */
export interface ClassInfo {
  /** As in manifests and records. */
  name: string;
  /** As people read it, within a sentence. */
  display_name: string;
  /** For DICOM; null: a private code is made of the name. */
  code: Code | null;
}

/** A coded word, as DICOM writes one (PS3.3 8.8). */
export interface Code {
  value: string;
  /** SCT, DCM, or a private one that begins with 99. */
  scheme: string;
  meaning: string;
}

/** The map of one class, at the resolution of the network, with its peak and box. */
export interface Heatmap {
  /** The class whose evidence is shown. */
  label: string;
  /** What `grid` covers. */
  square: SeenSquare;
  /** (h, w), 0 to 1: evidence as a share of its maximum. */
  grid: number[][];
  /** The pixel with the most evidence. */
  peak: Pixel;
  /** Around all pixels of at least half the maximum; null if none. */
  box: Region | null;
  /** Base64 PNG; only from the server, with `heatmap=1`. */
  overlay_png: string | null;
}

/** The square that the network saw, in pixels; it may reach beyond the image's edges. */
export interface SeenSquare {
  top: number;
  left: number;
  side: number;
}

/** A pixel of the original image. */
export interface Pixel {
  row: number;
  column: number;
}

/** A rectangle of pixels of the original image, ends exclusive. */
export interface Region {
  top: number;
  left: number;
  bottom: number;
  right: number;
}

/** The answer for a volume. */
export interface VolumePrediction {
  path: string;
  /** `classified`: a tumour of a named kind, or no tumour. `detected`: a tumour whose kind is uncertain. `abstained`: it is uncertain whether there is a tumour (or, if no class means "no finding", of which kind it is). `rejected`: not a slice of head MRI. For a model with other classes, read finding instead of tumour. */
  decision: "abstained" | "classified" | "detected" | "rejected";
  /** The class; null unless `classified`. */
  label: string | null;
  /** The answer in a sentence. */
  summary: string;
  /** Why presence or kind is not reported; empty if it is. */
  reason: string;
  /** Of a tumour (or other finding) of any kind; null if there is no answer, or if no class means "no finding". */
  tumor_probability: number | null;
  /** By class; null if there is no answer. */
  probabilities: Record<string, number> | null;
  /** Classes that are not excluded, the most probable first; null if no set was fitted. */
  prediction_set: string[] | null;
  /** Null if the model does not predict the sequence. */
  sequence: SequenceAnswer | null;
  /** Null unless a tumour is classified or detected. */
  finding: Finding | null;
  /** Views open on it: the finding's middle, or the most suspicious. */
  decisive_slice: number;
  /** Axial, with a known upper end; these have separate thresholds. */
  is_upright_axial: boolean;
  slices: SlicePrediction[];
  /** What the files state about the series. */
  series: SeriesFacts | null;
  model: ModelIdentity;
  /** Caveats: gaps, duplicates, what was left out or assumed. */
  notes: string[];
  /** Of the middle slice of the finding; only if requested. */
  heatmap: Heatmap | null;
}

/** Where the tumour is. Slices are counted from 0, ends included. */
export interface Finding {
  first: number;
  /** The slice that decides; reports open on it. */
  middle: number;
  last: number;
  /** Its middle in the patient: mm to the left, back, head (as in DICOM). */
  position_mm: [number, number, number] | null;
  /** Approximate, of the map: along rows, along columns, across slices. */
  extent_mm: [number, number, number] | null;
  /** Of the patient; null if the file does not state it. */
  side: "left" | "midline" | "right" | null;
  /** The middle slice's file. */
  path: string | null;
  /** Its name in an archive. */
  member: string | null;
  /** Its frame, from 1, in a multi-frame file. */
  frame: number | null;
  sop_instance_uid: string | null;
}

/** The answer for one slice of a volume. */
export interface SlicePrediction {
  /** From 0, in the order of the volume. */
  index: number;
  /** Position on the normal of the slices; null if unknown. */
  along_mm: number | null;
  /** Its middle in the patient: mm to the left, back, head; null if unknown. */
  center_mm: [number, number, number] | null;
  /** False outside the brain, and for rejected or unusable slices. */
  counted: boolean;
  /** Null for an unusable slice. */
  decision: "abstained" | "classified" | "detected" | "rejected" | null;
  /** The class; null unless `classified`. */
  label: string | null;
  /** Why presence or kind is not reported; empty if it is. */
  reason: string;
  /** Of a tumour (or other finding) of any kind; null if there is no answer, or if no class means "no finding". */
  tumor_probability: number | null;
  /** By class; null if there is no answer. */
  probabilities: Record<string, number> | null;
  /** Classes that are not excluded, the most probable first; null if no set was fitted. */
  prediction_set: string[] | null;
  /** Why it could not be used. */
  error: FailureReason | null;
}

/** Why a file got no answer. */
export interface FailureReason {
  /** A stable word: unsupported_format, corrupt, limit... */
  kind: string;
  message: string;
}

/** What the file states about the acquisition; null or empty if it does not. */
export interface SeriesFacts {
  modality: string | null;
  body_part: string | null;
  description: string | null;
  number: number | null;
  sequence_name: string | null;
  scanning_sequence: string[];
  contrast_agent: string | null;
  plane: string | null;
  slice_spacing_mm: number | null;
  pixel_spacing_mm: [number, number] | null;
  study_instance_uid: string | null;
  series_instance_uid: string | null;
  /** Positions of series that share this UID can be compared. */
  frame_of_reference_uid: string | null;
}

/** The joint answer for the series of a study; it comes before theirs. */
export interface StudyPrediction {
  /** Where the study was found: a folder or an archive, or the study's first file if other patients or visits lie there too. */
  path: string;
  /** `classified`: a tumour of a named kind, or no tumour. `detected`: a tumour whose kind is uncertain. `abstained`: it is uncertain whether there is a tumour (or, if no class means "no finding", of which kind it is). `rejected`: not a slice of head MRI. For a model with other classes, read finding instead of tumour. */
  decision: "abstained" | "classified" | "detected" | "rejected";
  /** The class; null unless `classified`. */
  label: string | null;
  /** The answer in a sentence. */
  summary: string;
  /** Why presence or kind is not reported; empty if it is. */
  reason: string;
  /** Of a tumour (or other finding) of any kind; null if there is no answer, or if no class means "no finding". */
  tumor_probability: number | null;
  /** By class; null if there is no answer. */
  probabilities: Record<string, number> | null;
  /** Classes that are not excluded, the most probable first; null if no set was fitted. */
  prediction_set: string[] | null;
  study_instance_uid: string | null;
  /** That of the decisive series; null if there is none. */
  finding: Finding | null;
  /** One for each series. */
  members: SeriesWeight[];
  /** Views open on it: the index in `members` of the decisive series. */
  decisive_member: number;
  model: ModelIdentity;
  /** Caveats: gaps, duplicates, what was left out or assumed. */
  notes: string[];
}

/** What one series of a study contributes. */
export interface SeriesWeight {
  path: string;
  series_instance_uid: string | null;
  /** Null if unknown. */
  sequence: string | null;
  /** 0 for a series that is not used. */
  weight: number;
  /** Of a tumour (or other finding) of any kind; null if there is no answer, or if no class means "no finding". */
  tumor_probability: number | null;
}

/** Stands where an answer would, for what cannot be used. */
export interface Failure {
  path: string;
  error: FailureReason;
}

export type Result = Prediction | VolumePrediction | StudyPrediction | Failure;
