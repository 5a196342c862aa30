/** DICOM files to volumes: grouped by series, each split into stacks. `tumorlens/imaging/series.py`. */
import type { Picture } from "../types";
import type { DicomPart } from "./dicom";
import { apply, hiddenByWindow } from "./grayscale";
import { mend } from "./intensities";
import { type Placement, split, type Stack } from "./slice_ordering";

type PlacedPart = DicomPart & { placement: Placement };

/** A file that does not say where it lies, or has several frames, is one by itself. */
export function group(parts: DicomPart[]): Picture[] {
  const series = new Map<string, DicomPart[]>();
  for (const part of parts) series.set(part.series, [...(series.get(part.series) ?? []), part]);
  return [...series.values()].flatMap((files) => {
    const placed = files.filter((part): part is PlacedPart => part.placement !== null);
    const others = files.filter((part) => part.placement === null);
    return [...split(placed).map(join), ...others.map(alone)];
  });
}

function alone(part: DicomPart): Picture {
  const unplaced = "positions of the slices are not stated; they are in the order of the file";
  const made = joined([part], part.name);
  return { ...made, notes: [...(part.depth > 1 ? [unplaced] : []), ...made.notes] };
}

function join({ frames, alongMm, repeats, notes }: Stack<PlacedPart>): Picture {
  const files = [...frames, ...repeats];
  const name = files.length === 1 ? frames[0].name : `${folder(frames[0].name)} (${files.length} files)`;
  const made = joined(frames, name);
  const places = made.places.map(({ path }, slice) => ({ path, alongMm: alongMm[slice] }));
  return { ...made, places, sources: files.map((part) => part.name), notes: [...notes, ...made.notes] };
}

function joined(parts: DicomPart[], name: string): Picture {
  const { height, width, format, aspect, facts, sides } = parts[0];
  const places = parts.flatMap((part) => part.places);
  const sources = parts.map((part) => part.name);
  const about = { name, format, facts, sides, sources, places };
  const { pixels, notes } = leveled(parts);
  const isWindowed = parts.every((part) => part.levels.window) && notes.length === 0;
  const bits = Number(/(\d+) bits/.exec(format)?.[1] ?? 16);
  if (!isWindowed) notes.push(...mend({ depth: places.length, height, width, pixels }, bits));
  const allNotes = [...new Set([...parts.flatMap((part) => part.notes), ...notes])];
  return { ...about, depth: places.length, height, width, aspect, pixels, notes: allNotes };
}

/** All slices through their window, where each has one and that does not hide everything. */
function leveled(parts: DicomPart[]): { pixels: Float32Array; notes: string[] } {
  const all = (windowed: boolean) => {
    const planes = parts.map((part) => apply(part.pixels, part.levels, windowed));
    const pixels = new Float32Array(planes.reduce((sum, plane) => sum + plane.length, 0));
    planes.reduce((at, plane) => (pixels.set(plane, at), at + plane.length), 0);
    return pixels;
  };
  if (!parts.every((part) => part.levels.window)) return { pixels: all(false), notes: [] };
  const [windowed, plain] = [all(true), all(false)];
  const hidden = hiddenByWindow(plain, windowed);
  if (hidden === "") return { pixels: windowed, notes: [] };
  return { pixels: plain, notes: [`the file's window hides ${hidden} and is not used`] };
}

function folder(name: string): string {
  const parts = name.split("/");
  return parts.length > 1 ? parts.slice(0, -1).join("/") : "DICOM series";
}
