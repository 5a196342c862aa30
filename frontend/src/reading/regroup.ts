/** Files whose series UIDs say something else than all the rest of them. `tumorlens/imaging/regroup.py`, line by line. */
import { isEven } from "./contrasts";
import { type DicomPart, isPlaced } from "./dicom";
import { groupBy } from "./groups";
import { split } from "./slice_ordering";

const NOTE = "each slice has its own series UID; they are joined by patient, series number and position";
const PARTS_NOTE = "the slices have several series UIDs; they are joined by patient, series number and position";
const APART_NOTE = "files of several patients or studies have this series UID; each is treated as a separate series";
const FEWEST = 3;
const FEWEST_OF_A_STUDY = 2;

type Key = string | null;

/** The files of one series UID, by patient and study: a series is of one. */
export function apart(files: DicomPart[]): DicomPart[][] {
  let parts = by(files, ({ patient }) => patient, 1);
  for (const index of files[0].examination.keys()) {
    parts = parts.flatMap((part) => by(part, ({ examination }) => examination[index], FEWEST_OF_A_STUDY));
  }
  return parts.length === 1 ? parts : parts.map((part) => part.map((file) => noted(file, APART_NOTE)));
}

/** By what they state, unless fewer than two values have as many files; the first gets those that do not state it. */
function by(files: DicomPart[], stated: (file: DicomPart) => string, fewest: number): DicomPart[][] {
  const groups = groupBy(files, stated);
  const unnamed = groups.get("") ?? [];
  groups.delete("");
  if ([...groups.values()].filter((group) => group.length >= fewest).length < 2) return [files];
  const [first, ...others] = groups.values();
  return [[...first, ...unnamed], ...others];
}

/** The series as they are, but parts of one that have fallen apart as one. */
export function joined(series: DicomPart[][]): DicomPart[][] {
  const shape = ({ siblings, height, width }: DicomPart) => `${siblings} ${height} ${width}`;
  const numbered = joinedBy((file) => (file.seriesNumber === null ? null : `${shape(file)} ${file.seriesNumber}`), series);
  return joinedBy(shape, numbered);
}

function joinedBy(keyOf: (file: DicomPart) => Key, series: DicomPart[][]): DicomPart[][] {
  const merged: DicomPart[][] = [];
  const groups = new Map<string, DicomPart[][]>();
  for (const files of series) {
    const [key, ...more] = new Set(files.map((file) => (file.depth === 1 ? keyOf(file) : null)));
    if (more.length > 0 || key === null) merged.push(files);
    else groups.set(key, [...(groups.get(key) ?? []), files]);
  }
  for (const parts of groups.values()) {
    if (parts.length > 1 && isOneSeries(parts)) {
      const note = parts.every((part) => part.length === 1) ? NOTE : PARTS_NOTE;
      merged.push(parts.flat().map((file) => noted(file, note)));
    } else {
      merged.push(...parts);
    }
  }
  return merged;
}

/** Whether they are one volume by their positions, of one study or each of one of its own. */
function isOneSeries(parts: DicomPart[][]): boolean {
  const files = parts.flat();
  const studies = new Set(files.map(({ study }) => study)).size;
  const numbers = new Set(files.map(({ seriesNumber }) => seriesNumber));
  const isNumbered = numbers.size === 1 && !numbers.has(null);
  if (files.length < FEWEST || !areOfOneStudy(files, studies, isNumbered)) return false;
  if (parts.length === files.length) return areSlices(files, isNumbered && studies === 1);
  const stacks = split(files.filter(isPlaced));
  return isNumbered && stacks.length === 1 && stacks[0].frames.length === files.length && areSlices(files, false);
}

function areOfOneStudy(files: DicomPart[], studies: number, isNumbered: boolean): boolean {
  if (studies === 1) return true;
  const references = new Set(files.map(({ reference }) => reference));
  const isOnePlace = references.size === 1 && !references.has("");
  return studies === files.length && (isNumbered || isOnePlace);
}

/**
 * Whether positions are regular; `unplaced` ones will do where the numbers are a study's.
 * Captures without positions are single images, whatever their numbers.
 */
function areSlices(files: DicomPart[], unplaced: boolean): boolean {
  const placed = files.filter(isPlaced);
  if (placed.length < files.length) return unplaced && placed.length === 0 && files.every((file) => file.isMrStorage);
  const [largest] = split(placed);
  const along = largest.alongMm.filter((at) => at !== null);
  return along.length === largest.frames.length && isEven(along);
}

function noted(file: DicomPart, note: string): DicomPart {
  return { ...file, notes: [note, ...file.notes] };
}
