/** What a file says it shows, where the network was not trained on that: `tumorlens/imaging/dicom/subject.py`. */
import type { DataSet } from "dicom-parser";
import { text, texts } from "./elements";

/** Words of ImageType for maps and projections, without spaces and the like; each that ends with MAP is one too. */
const COMPUTED = new Set([
  "ADC", "ADCUNSPECIFIED", "EADC", "FA", "COLFA", "FACOLOR", "COLORFA", "TENSOR", "MIP", "MINIP", "PROJECTIONIMAGE", "VRT",
  "MNIP", "SUB", "SUBTRACT", "SUBTRACTION", "CBF", "CBV", "RCBF", "RCBV", "RELCBF", "RELCBV", "RELMTT", "MTT", "TTP", "TMAX", "PBP", "GBP",
  "KTRANS", "KEP", "IAUC",
]);
/** Words for maps and projections that a SeriesDescription has for nothing else; each that ends with MAP is one too. */
const NAMES = new Set([
  "ADC", "EADC", "COLFA", "CBF", "CBV", "RCBF", "RCBV", "RELCBF", "RELCBV", "MTT", "TTP", "TMAX",
  "MIP", "MINIP", "SUBTRACTION", "SUBTRAKTION", "SUBTRACTED", "DADC", "APPARENT", "KTRANS",
  "FRACTIONAL", "ANISO", "ANISOTROPY", "BLOOD FLOW", "BLOOD VOLUME",
]);
/** Blood alone is no map: T1-weighted images of vessel walls are named black blood. */
const WORD = /BLOOD (?:FLOW|VOLUME)|[A-Z0-9]+/g;
/** Words for coarse images that later series are planned on. */
const LOCALIZERS = new Set(["LOC", "LOCALISER", "LOCALISERS", "LOCALIZER", "LOCALIZERS", "SCOUT", "SCOUTS", "SURVEY"]);
const HEAD = new Set([
  "BRAIN", "CABECA", "CABEZA", "CEREBRAL", "CEREBRALE", "CEREBRALI", "CEREBRO", "CRANE", "CRANEO", "CRANIAL", "CRANIO", "CRANIUM",
  "ENCEFALO", "ENCEPHALE", "GEHIRN", "HEAD", "HIRN", "IAC", "KOPF", "NEURO", "ORBIT", "ORBITS", "PITUITARY", "SCHADEL", "SCHAEDEL",
  "SELLA", "SKULL", "TESTA", "TETE",
]);
/** Parts of the body of which no slice shows the brain. */
const ELSEWHERE = new Set([
  "ABDOMEN", "ANKLE", "ARM", "BECKEN", "BREAST", "BWS", "CALF", "CHEST", "COLUMNA", "ELBOW", "EPAULE", "EXTREMITY", "FEMUR", "FETUS",
  "FOOT", "FOREARM", "GENOU", "HALS", "HAND", "HEART", "HIP", "HOMBRO", "HUMERUS", "HWS", "KIDNEY", "KNEE", "KNIE", "LEG", "LIVER",
  "LUMBAR", "LWS", "NECK", "PANCREAS", "PELVIS", "PROSTATE", "RACHIS", "RODILLA", "SACRUM", "SCHULTER", "SHOULDER", "THIGH", "THORAX",
  "UTERUS", "WRIST",
]);
/** In French descriptions: angio-resonance magnetique. BodyPartExamined has English words alone. */
const ANGIOGRAPHY = "ARM";
/** SeriesDescription, ProtocolName, PerformedProcedureStepDescription, StudyDescription, RequestedProcedureDescription. */
const DESCRIPTIONS = ["x0008103e", "x00181030", "x00400254", "x00081030", "x00321060"];

/** Elements other than hydrogen whose nuclei are imaged. */
const OTHER_NUCLEI = new Set(["C", "F", "HE", "LI", "NA", "O", "P", "XE"]);

const HUMAN = /\b(HUMAN|HOMO|MAN)\b/;

/** That the file says it shows something else than the head of a person. */
export function subjectNotes(set: DataSet): string[] {
  const part = texts(set, "x00180015")[0] || codeMeaning(set, "x00082218") || describedPart(set);
  const species = text(set, "x00102201") || codeMeaning(set, "x00102202");
  const notes = part && isElsewhere(part) ? [`the file states another part of the body (${part})`] : [];
  if (species && !HUMAN.test(species.toUpperCase())) notes.push(`the file states another species (${species})`);
  const nucleus = texts(set, "x00180085")[0] ?? texts(set, "x00189100")[0] ?? "";
  if (OTHER_NUCLEI.has(nucleus.toUpperCase().replace(/[^A-Z]/g, ""))) {
    notes.push(`the file states another nucleus than that of hydrogen (${nucleus})`);
  }
  if (["YES", "BOTH"].includes(text(set, "x00280300"))) notes.push("the file states that it is a quality control image, such as one of a phantom");
  return notes;
}

function codeMeaning(set: DataSet, sequence: string): string {
  const item = set.elements[sequence]?.items?.[0]?.dataSet;
  return item ? text(item, "x00080104") : "";
}

/** That it was not acquired for diagnosis: a map, a projection, a localizer... */
export function purposeNotes(set: DataSet): string[] {
  const stated = texts(set, "x00080008").map((word) => word.toUpperCase());
  const described: string[] = text(set, "x0008103e").toUpperCase().match(WORD) ?? [];
  let computed = stated.filter(isComputed);
  if (computed.length === 0 && stated[0] === "DERIVED") {
    computed = described.filter((word) => NAMES.has(word) || word.endsWith("MAP")).slice(0, 1);
  }
  const localizer = [...stated, ...described].filter((word) => LOCALIZERS.has(word)).slice(0, 1);
  return [
    ...computed.map((word) => `the image is computed from others (${word})`),
    ...localizer.map((word) => `the image is a localizer (${word})`),
    ...(described.includes("CALIBRATION") ? ["the image is a calibration"] : []),
  ].map((kind) => `${kind}, which the network was not trained on`);
}

function isComputed(word: string): boolean {
  const plain = word.replace(/[^A-Z0-9]/g, "");
  return COMPUTED.has(plain) || plain.endsWith("MAP");
}

/** The first word for a part of the body other than the head, of what describes the series. */
function describedPart(set: DataSet): string {
  for (const tag of DESCRIPTIONS) {
    const words = wordsOf(text(set, tag));
    if (words.some((word) => HEAD.has(word))) return "";
    const named = words.find((word) => word !== ANGIOGRAPHY && isElsewhere(word));
    if (named !== undefined) return named;
  }
  return "";
}

function isElsewhere(part: string): boolean {
  const words = wordsOf(part);
  if (words.some((word) => HEAD.has(word))) return false;
  return words.some((word) => ELSEWHERE.has(word) || word.endsWith("SPINE"));
}

/** In capitals, without accents. */
function wordsOf(stated: string): string[] {
  return stated.toUpperCase().normalize("NFKD").replace(/\p{M}/gu, "").match(/[A-Z]+/g) ?? [];
}
