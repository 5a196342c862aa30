/** DICOM files to volumes: grouped by series, each split into stacks. `tumorlens/imaging/series.py`. */
import { type Failure, failureOf, inputErrorOf, type MedicalImage, type Unit } from "../types";
import { type DicomPart, isPlaced } from "./dicom";
import { apply, coversTheHead, hiddenByWindow } from "./grayscale";
import { jointColor, tintNotes } from "./gray";
import { groupBy } from "./groups";
import { mend } from "./intensities";
import { checkNoLabelMap } from "./label_map";
import { withPlaces } from "./placing";
import { axial } from "./reformat";
import { apart, joined } from "./regroup";
import { split, splitUnplaced, type Stack } from "./slice_ordering";
import { withSquarePixels } from "./square";
import { turnNote } from "./turn";
import { checkVolume } from "./volume";

const SAME_UID = "another file has the same SOP Instance UID but other pixels; which one is right is not stated";

interface Grouped {
  images: MedicalImage[];
  /** Series that cannot be used, and files of others. */
  failures: Unused[];
}

export interface Unused {
  failure: Failure;
  /** The files that another program may read; none of an archive as a whole. */
  files: string[];
}

/** Captures that do not say where they lie, and files of several frames, are each one by themselves. */
export function group(parts: DicomPart[]): Grouped {
  const series = [...groupBy(parts, ({ series: uid }) => uid).values()].flatMap(apart);
  const read = joined(series).flatMap((all) => {
    const { usable, failures } = withoutDamagedCopies(all);
    const files = disputed(usable);
    const isSlice = (part: DicomPart) => part.isMrStorage && part.depth === 1;
    const slices = withPlaces(files.filter(isSlice));
    const others = files.filter((part) => !isSlice(part));
    const placed = [...slices, ...others].filter(isPlaced);
    const unplaced = slices.filter((part) => !isPlaced(part));
    const alones = others.filter((part) => !isPlaced(part));
    return [{ images: [], failures }, ...split(placed).map(join), ...splitUnplaced(unplaced).map(join), ...alones.map(alone)];
  });
  return { images: read.flatMap(({ images }) => images), failures: read.flatMap(({ failures }) => failures) };
}

/** What `make` gives of `parts`, without those that could not be read; what is wrong with a series costs no other its answer. */
function made(name: string, parts: DicomPart[], make: () => MedicalImage): Grouped {
  const unread = parts.filter((part) => part.unread);
  if (unread.length === parts.length) return { images: [], failures: [allUnread(name, unread)] };
  const failures = unread.map((part) => ({ failure: failureOf(part.name, part.unread), files: [part.name] }));
  try {
    return { images: [make()], failures };
  } catch (error) {
    return { images: [], failures: [{ failure: failureOf(name, inputErrorOf(error, "DICOM")), files: [] }, ...failures] };
  }
}

/** The error of the first of the files, with the number of the others. `_first_of` in `dicom/reader.py`. */
function allUnread(name: string, parts: DicomPart[]): Unused {
  const [{ error }] = parts.map((part) => failureOf(part.name, part.unread));
  const others = parts.length - 1;
  const more = others > 0 ? ` (${others} more ${others === 1 ? "file" : "files"} of the series cannot be read either)` : "";
  return { failure: { path: name, error: { ...error, message: error.message + more } }, files: parts.map((part) => part.name) };
}

/** One refusal for a series, not one for each of its files. `_once` in `series.py`. */
export function once([{ failure }, ...others]: { failure: Failure }[]): Unused {
  const same = others.length > 0 ? ` (the same holds for ${others.length} more ${others.length === 1 ? "file" : "files"} of the series)` : "";
  return { failure: { path: failure.path, error: { ...failure.error, message: failure.error.message + same } }, files: [] };
}

/** Copies have one SOPInstanceUID and position. */
function copiesOf(files: DicomPart[]): DicomPart[][] {
  return [...groupBy(files, (part) => `${part.uid} ${part.placement?.position.join()}`).values()];
}

/** Without the damaged files of which there is an intact copy, and their error. `_without_damaged_copies` in `series.py`. */
function withoutDamagedCopies(files: DicomPart[]): { usable: DicomPart[]; failures: Unused[] } {
  const damaged = new Set(copiesOf(files).flatMap((copies) => {
    const unread = copies.filter((part) => part.uid && part.unread);
    return unread.length < copies.length ? unread : [];
  }));
  const failures = [...damaged].map((part) => ({ failure: failureOf(part.name, part.unread) }));
  return { usable: files.filter((part) => !damaged.has(part)), failures: failures.length > 0 ? [once(failures)] : [] };
}

/** Copies with other pixels get a note. */
function disputed(files: DicomPart[]): DicomPart[] {
  const others = copiesOf(files).filter(([first, ...copies]) => first.uid && copies.some((copy) => !areEqual(first.pixels, copy.pixels)));
  const disputing = new Set(others.flat());
  return files.map((part) => (disputing.has(part) ? { ...part, isDisputed: true, notes: [...part.notes, SAME_UID] } : part));
}

function areEqual(one: Float32Array, other: Float32Array): boolean {
  return one.length === other.length && one.every((value, at) => value === other[at]);
}

function alone(part: DicomPart): Grouped {
  const unplaced = "positions of the slices are not stated; they are in the order of the file";
  return made(part.name, [part], () => finished(stacked([part], part.name, part.depth > 1 ? [unplaced] : []), [part]));
}

function join(stack: Stack<DicomPart>): Grouped {
  const { frames, repeats } = stack;
  const count = frames.length + repeats.length;
  const name = count === 1 ? frames[0].name : `${folder(frames[0])} (${count} files)`;
  return made(name, frames, () => volumeOf(stack, name));
}

function volumeOf({ frames, alongMm, isByPosition, repeats, notes, folder: ownFolder }: Stack<DicomPart>, name: string): MedicalImage {
  const files = [...frames, ...repeats].filter(isLeft);
  const read = frames.flatMap((part, slice) => (part.unread ? [] : [{ part, at: alongMm[slice] }]));
  const image = stacked(read.map(({ part }) => part), name, notes, frames);
  const locations = image.locations.map(({ path, centerMm }, slice) => (
    { path, alongMm: read[slice].at, centerMm: isByPosition ? centerMm : null }
  ));
  const origin = image.origin && { ...image.origin, folder: ownFolder };
  const joined = { ...image, origin, locations, sources: files.map((part) => part.name) };
  const cut = isByPosition ? axial(joined, read.map(({ part }) => part)) : joined;
  return cut === joined ? finished(joined, frames) : cut;  // others are upright, with square pixels
}

/** Whether a file goes to the server with its series: not one that only the server reads, which would count as a slice there. */
function isLeft({ unread }: DicomPart): boolean {
  return unread?.kind !== "server_only";
}

/** What was turned is told, and pixels become square. */
function finished(image: MedicalImage, parts: DicomPart[]): MedicalImage {
  const turns = new Set(parts.flatMap(({ turn }) => (turn ? [turnNote(turn)] : [])));
  return withSquarePixels({ ...image, notes: [...image.notes, ...turns] }, parts[0].pixelAspect ?? null);
}

/** `ordering`: what is odd about the order of the slices. `all`: with those that could not be read. */
function stacked(parts: DicomPart[], name: string, ordering: string[], all = parts): MedicalImage {
  const { height, width, bits, format, aspect, facts, sides, headward, origin, pixelMm } = parts[0];
  const locations = parts.flatMap((part) => part.locations);
  const sources = parts.map((part) => part.name);
  const about = { name, format, facts, sides, headward, sources, locations, origin, pixelMm };
  checkVolume([width, height, locations.length]);
  const ignored = withoutFalsePadding(parts);
  const { pixels, isWindowed, notes } = leveled(parts);
  const slices = { depth: locations.length, height, width, pixels };
  // Before values are changed or pixels made square, which may interpolate between labels.
  if (slices.depth > 1) checkNoLabelMap(slices);
  const missing = all.length - parts.length;
  if (missing > 0) notes.push(`${missing} of ${all.length} slices could not be read and are left out`);
  if (!isWindowed) notes.push(...mend(slices, bits));
  const allNotes = [...new Set([...frameNotes(parts), ...ordering, ...ignored, ...notes])];
  const color = jointColor(parts.map((part) => part.color));
  const unit = isWindowed ? unitOf(parts) : undefined;
  return { ...about, ...slices, aspect, color, notes: [...allNotes, ...tintNotes(color)], unit };
}

/** What is odd about the files, each once. */
function frameNotes(parts: DicomPart[]): string[] {
  const counts = [...groupBy(parts.flatMap((part) => part.notes), (note) => note)];
  return counts.map(([note, { length }]) => (length === parts.length ? note : `${note} (in ${length} of ${parts.length} slices)`));
}

/** All slices through their window, where each has one and that does not hide everything. */
function leveled(parts: DicomPart[]): { pixels: Float32Array; isWindowed: boolean; notes: string[] } {
  const all = (windowed: boolean) => {
    const planes = parts.map((part) => apply(part.pixels, part.levels, windowed));
    const pixels = new Float32Array(planes.reduce((sum, plane) => sum + plane.length, 0));
    planes.reduce((at, plane) => (pixels.set(plane, at), at + plane.length), 0);
    return pixels;
  };
  if (!parts.every((part) => part.levels.window)) return { pixels: all(false), isWindowed: false, notes: [] };
  const [windowed, plain] = [all(true), all(false)];
  const hidden = hiddenByWindow(plain, windowed);
  if (hidden === "") return { pixels: windowed, isWindowed: true, notes: [] };
  return { pixels: plain, isWindowed: false, notes: [`the file's window hides ${hidden} and is not used`] };
}

/** Drop ranges of padding that cover part of the head, with a note. `padding_covers_the_head` in `reader.py`. */
function withoutFalsePadding(parts: DicomPart[]): string[] {
  const ranges = parts.filter(({ levels }) => levels.empty && levels.isRange);
  const size = ranges.reduce((sum, { pixels }) => sum + pixels.length, 0);
  if (size === 0) return [];
  const [values, empty] = [new Float32Array(size), new Uint8Array(size)];
  ranges.reduce((at, { pixels, levels }) => (values.set(pixels, at), empty.set(levels.empty!, at), at + pixels.length), 0);
  if (!coversTheHead(values, empty)) return [];
  for (const { levels } of parts) levels.empty = null;
  return ["the range of values that the file states as padding covers part of the head and is not used"];
}

/** What a window has made shares of: the file's own values, unless the slices have several windows or a curved one. */
function unitOf(parts: DicomPart[]): Unit {
  const { window, inverted } = parts[0].levels;
  const alike = parts.every(({ levels }) => levels.window?.center === window?.center && levels.window?.width === window?.width);
  if (!window || !alike || window.function === "SIGMOID") return { slope: 100, intercept: 0, symbol: "%" };
  const [width, center] = window.function === "LINEAR" ? [window.width - 1, window.center - 0.5] : [window.width, window.center];
  const sign = inverted ? -1 : 1;
  return { slope: sign * width, intercept: center - (sign * width) / 2 };
}

function folder({ name, description }: DicomPart): string {
  const parts = name.split("/");
  return parts.length > 1 ? parts.slice(0, -1).join("/") : description || "DICOM series";
}
