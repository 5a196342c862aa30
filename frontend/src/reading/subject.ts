/** What a file says it shows, where the network was not trained on that: `tumorlens/imaging/dicom/subject.py`. */
import type { DataSet } from "dicom-parser";
import { texts } from "./elements";

/** Values of ImageType for maps and projections. */
const COMPUTED = new Set([
  "ADC", "FA", "MIP", "MINIP", "PROJECTION IMAGE", "T1 MAP", "T2 MAP", "DENSITY MAP", "DIFFUSION MAP", "VELOCITY MAP",
  "CBF", "CBV", "RCBF", "RCBV", "MTT", "TTP", "RELCBF", "RELCBV", "RELMTT", "ADC_UNSPECIFIED", "EADC", "COLFA", "TENSOR",
  "T1_MAP", "T2_MAP", "T2_STAR_MAP", "T2* MAP", "R2_MAP", "R2_STAR_MAP", "SUB", "SUBTRACTION", "VRT",
]);
const HEAD = new Set(["HEAD", "BRAIN", "SKULL"]);
/** Parts of the body of which no slice shows the brain. */
const ELSEWHERE = new Set([
  "ABDOMEN", "ANKLE", "ARM", "BREAST", "CALF", "CHEST", "ELBOW", "EXTREMITY", "FEMUR", "FOOT", "FOREARM", "HAND", "HEART",
  "HIP", "HUMERUS", "KIDNEY", "KNEE", "LEG", "LIVER", "PANCREAS", "PELVIS", "PROSTATE", "SHOULDER", "THIGH", "THORAX",
  "UTERUS", "WRIST",
]);

export function bodyPartNotes(set: DataSet): string[] {
  const [part] = texts(set, "x00180015");
  return part && isElsewhere(part) ? [`the file states another part of the body (${part})`] : [];
}

/** That it is no image as it was acquired, but a map or projection. */
export function computedNotes(set: DataSet): string[] {
  const words = texts(set, "x00080008").map((word) => word.toUpperCase()).filter((word) => COMPUTED.has(word));
  return words.map((word) => `the image is computed from others (${word}), which the network was not trained on`);
}

function isElsewhere(part: string): boolean {
  const words = part.toUpperCase().match(/[A-Z]+/g) ?? [];
  if (words.some((word) => HEAD.has(word))) return false;
  return words.some((word) => ELSEWHERE.has(word) || word.endsWith("SPINE"));
}
