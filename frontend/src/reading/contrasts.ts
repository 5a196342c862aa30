/**
 * One series, several volumes: contrasts, echoes, phases, time points. `contrasts.py` and `trait_values.py` in `tumorlens/imaging/geometry`, line by
 * line: of volumes at the same positions one is kept; those between or beside its slices are volumes of their own.
 */
import { median, quantile } from "../preprocessing";
import { groupBy } from "./groups";

export const MAGNITUDE = "magnitude";
export const COMPONENT = "component";
export const AGENT = "contrast agent";
export const IMAGE_TYPE = "image type";
export const WINDOW = "window";
export const NUMBER = "instance number";
/** The trait that says where an image lies. It is no part of how it was taken. */
export const FOLDER = "folder";
const FOLDERS = "slices of this series lie in several folders, and form one volume only within each; each folder is a separate volume";
/** Part of the distances that must be the usual one, up to a tenth, for slices to be one volume. */
const REGULAR = 0.8;
const SAME_DISTANCE = 0.1;

export type Trait = number | string;
/** How an image was taken: a name, as notes say it, and what the file states. */
export type Traits = Map<string, Trait>;

const NEAR = 0.1;
const OVERLAP = 0.5;
const COMPLETE = 0.8;
/** Most values that one note lists. */
const NAMED = 4;
const FEWEST = 3;
const OTHER = 0.1;
const SOFT = new Set(["acquisition", "trigger time", "stack"]);
/** Traits that each slice may have a value of its own of: volumes come by turns, or one by one. */
const TURNS = new Set(["acquisition time", "content time", NUMBER]);
const SAME_POSITION_MM = 0.01;
/** Image types of localizers and projections, which are never slices of the volume beside them. */
const NO_SLICES = ["LOCALIZER", "MIP", "MINIP", "MNIP", "PROJECTION IMAGE"];
/** Words of what is the second choice. */
const LAST = [
  ...NO_SLICES, "F", "FAT", "OP", "OPP", "OPP_PHASE", "OUT_PHASE", "ADC", "FA", "MPR", "DERIVED", "SECONDARY", "phase", "imaginary",
];
const SEPARATORS = /[\s_.,;:/()-]+/;

export interface Volume {
  /** Which of the given images. */
  indices: number[];
  /** Those of other volumes at the same positions. */
  leftOut: number[];
  notes: string[];
  /** Where they lie, if images of the series in other folders are other volumes. */
  folder: string | null;
}

/** Tell volumes of one series apart; the first is the one to use. */
export function separate(traits: Traits[], along: number[], thicknessMm: number | null): Volume[] {
  let indices = traits.map((_, index) => index);
  const leftOut: number[] = [];
  const elsewhere: Volume[] = [];
  const notes: string[] = [];
  let folder: string | null = null;
  for (const name of namesOf(traits)) {
    if (name === FOLDER) {
      const [first, ...others] = folders(indices, traits, along);
      if (others.length === 0) continue;
      for (const group of others) {
        const own = within(group, FOLDERS, traits, along, thicknessMm);
        elsewhere.push(...own.map((volume) => ({ ...volume, folder: folderOf(group, traits) })));
      }
      [indices, folder] = [first, folderOf(first, traits)];
      notes.push(FOLDERS);
      continue;
    }
    if (isWeak(name)) {
      const division = splitWhole(indices, traits, along, name, thicknessMm);
      indices = division.chosen;
      leftOut.push(...division.leftOut);
      notes.push(...division.notes);
      continue;
    }
    const groups = grouped(indices, traits, name);
    if (groups.size < 2) continue;
    const division = split(groups, along, name, thicknessMm);
    indices = division.chosen;
    leftOut.push(...division.leftOut);
    notes.push(...division.notes);
    for (const [group, note] of division.elsewhere) elsewhere.push(...within(group, note, traits, along, thicknessMm));
  }
  const component = indices.length ? traits[indices[0]].get(COMPONENT) : undefined;
  return [{ indices, leftOut, notes: [...oddComponent(component), ...notes], folder }, ...elsewhere];
}

/** The component, others in the order of images, the folder, weak ones. */
function namesOf(traits: Traits[]): string[] {
  const names = [...new Set([COMPONENT, ...traits.flatMap((stated) => [...stated.keys()])])];
  const ranks = [(name: string) => !isWeak(name) && name !== FOLDER, (name: string) => name === FOLDER, isWeak];
  return ranks.flatMap((hasRank) => names.filter(hasRank));
}

/** The images of each folder, if each has one volume but all together do not; else `indices`. */
function folders(indices: number[], traits: Traits[], along: number[]): number[][] {
  const groups = [...grouped(indices, traits, FOLDER).values()];
  const places = groups.map((group) => sortedDistinct(group.map((i) => along[i])));
  const together = places.flat().sort((a, b) => a - b);
  const extent = (sorted: number[]) => sorted[sorted.length - 1] - sorted[0];
  const areAmong = places.reduce((sum, own) => sum + extent(own), 0) > extent(together);
  return groups.length > 1 && areAmong && places.every(isEven) && !isEven(together) ? groups : [indices];
}

function folderOf(group: number[], traits: Traits[]): string {
  return String(traits[group[0]].get(FOLDER));
}

function sortedDistinct(values: number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

/** Whether sorted positions are those of a volume: enough, and nearly all equally far apart. */
export function isEven(along: number[]): boolean {
  if (along.length < FEWEST) return false;
  const distances = along.slice(1).map((at, index) => at - along[index]);
  const usual = median(distances);
  return usual > 0 && distances.filter((distance) => Math.abs(distance - usual) <= SAME_DISTANCE * usual).length >= REGULAR * distances.length;
}

function within(group: number[], note: string, traits: Traits[], along: number[], thicknessMm: number | null): Volume[] {
  const volumes = separate(group.map((i) => traits[i]), group.map((i) => along[i]), thicknessMm);
  return volumes.map(({ indices, leftOut, notes, folder }) => ({
    folder,
    indices: indices.map((i) => group[i]),
    leftOut: leftOut.map((i) => group[i]),
    notes: [...notes, ...(note ? [note] : [])],
  }));
}

function grouped(indices: number[], traits: Traits[], name: string): Map<Trait, number[]> {
  const missing = name === COMPONENT ? MAGNITUDE : "";
  return groupBy(indices, (index) => traits[index].get(name) ?? missing);
}

function split(groups: Map<Trait, number[]>, along: number[], name: string, thicknessMm: number | null) {
  const main = mainOf(groups, along);
  const positionsOf = (indices: number[]) => indices.map((i) => along[i]);
  const mains = groups.get(main)!;
  const near = NEAR * (usualDistance(positionsOf(mains)) || thicknessMm || 1);
  const chosen = [...mains];
  const leftOut: number[] = [];
  const elsewhere: [number[], string][] = [];
  const others = new Map<Trait, number>();
  const apart: Trait[] = [];
  for (const [value, indices] of groups) {
    if (value === main) continue;
    if (overlap(positionsOf(indices), positionsOf(mains), near) >= OVERLAP) {
      others.set(value, indices.length);
      leftOut.push(...indices);
    } else if (name === COMPONENT) {
      elsewhere.push([indices, ""]);
    } else if (isContrast(name, value, main, Math.min(indices.length, mains.length))) {
      apart.push(value);
      elsewhere.push([indices, ownVolumes(name, value, [main])]);
    } else {
      chosen.push(...indices);
    }
  }
  chosen.sort((a, b) => a - b);
  const notes = [...leftOutNote(name, main, others), ...(apart.length > 0 ? [ownVolumes(name, main, apart)] : [])];
  return { chosen, leftOut, elsewhere, notes };
}

/** Whether slices of one volume differ in it too: it tells volumes apart where they are whole. */
function isWeak(name: string): boolean {
  return TURNS.has(name) || name === WINDOW;
}

/** The first of the volumes that `name` tells apart, and a note of the others; nothing where the split is not complete. */
function splitWhole(indices: number[], traits: Traits[], along: number[], name: string, thicknessMm: number | null) {
  const unchanged = { chosen: indices, leftOut: [] as number[], notes: [] as string[] };
  const values = new Map<number, Trait>();
  for (const i of indices) if (traits[i].has(name)) values.set(i, traits[i].get(name)!);
  if (values.size < indices.length) return unchanged;
  const parts = whole(values, cellsOf(indices, along, thicknessMm), TURNS.has(name));
  if (parts.length === 0) return unchanged;
  if (name === WINDOW) parts.sort((a, b) => firstNumber(a, traits) - firstNumber(b, traits));
  const [first, ...others] = parts;
  const spans = new Map<Trait, number>(others.map((part) => [span(part, values), part.length]));
  const byIndex = (a: number, b: number) => a - b;
  return { chosen: [...first].sort(byIndex), leftOut: others.flat(), notes: leftOutNote(name, span(first, values), spans) };
}

/** At which position each image lies, counted along the normal. */
function cellsOf(indices: number[], along: number[], thicknessMm: number | null): Map<number, number> {
  const sorted = [...indices].sort((a, b) => along[a] - along[b]);
  const near = samePosition(sorted.map((i) => along[i]), thicknessMm);
  const cells = new Map<number, number>();
  let [cell, start] = [-1, -Infinity];
  for (const index of sorted) {
    if (along[index] - start >= near) [cell, start] = [cell + 1, along[index]];
    cells.set(index, cell);
  }
  return cells;
}

/** Volumes by their `values`, each at nearly all positions and at each once; else none. */
function whole(values: Map<number, Trait>, cells: Map<number, number>, byTurn: boolean): number[][] {
  const counts = new Map<number, number>();
  for (const cell of cells.values()) counts.set(cell, (counts.get(cell) ?? 0) + 1);
  const several = Math.max(0, ...counts.values());
  if (several < 2 || counts.size < FEWEST) return [];
  const isWhole = (part: number[]) => new Set(part.map((i) => cells.get(i))).size === part.length && part.length >= COMPLETE * counts.size;
  const splits = [byValue(values), ...(byTurn ? byTurns(values, cells) : [])];
  return splits.find((parts) => parts.length === several && parts.every(isWhole)) ?? [];
}

function byValue(values: Map<number, Trait>): number[][] {
  const groups = new Map<Trait, number[]>();
  for (const index of inOrder(values)) groups.set(values.get(index)!, [...(groups.get(values.get(index)!) ?? []), index]);
  return [...groups.values()];
}

/** One volume after the other, or all volumes position by position; none where values repeat. */
function byTurns(values: Map<number, Trait>, cells: Map<number, number>): number[][][] {
  if (new Set([...values].map(([index, value]) => `${value} ${cells.get(index)}`)).size < values.size) return [];
  const after: number[][] = [[]];
  const runs: number[][] = [[]];
  for (const index of inOrder(values)) {
    const cell = cells.get(index);
    if (after.at(-1)!.some((i) => cells.get(i) === cell)) after.push([]);
    after.at(-1)!.push(index);
    if (runs.at(-1)!.length > 0 && cells.get(runs.at(-1)!.at(-1)!) !== cell) runs.push([]);
    runs.at(-1)!.push(index);
  }
  const areApart = after.slice(1).every(([first], index) => values.get(first) !== values.get(after[index].at(-1)!));
  const areEven = runs.length === new Set(cells.values()).size && runs.every((run) => run.length === runs[0].length);
  return [...(areApart ? [after] : []), ...(areEven ? [runs[0].map((_, index) => runs.map((run) => run[index]))] : [])];
}

function inOrder(values: Map<number, Trait>): number[] {
  return [...values.keys()].sort((a, b) => {
    const [value, another] = [values.get(a)!, values.get(b)!];
    return value === another ? a - b : value < another ? -1 : 1;
  });
}

function firstNumber(part: number[], traits: Traits[]): number {
  const numbers = part.map((i) => traits[i].get(NUMBER)).filter((value) => typeof value === "number");
  return numbers.length > 0 ? Math.min(...numbers) : 0;
}

/** The values of a volume, from the first to the last. */
function span(part: number[], values: Map<number, Trait>): string {
  const order = inOrder(new Map(part.map((i) => [i, values.get(i)!])));
  return [...new Set([order[0], order.at(-1)!].map((i) => word(values.get(i)!)))].join(" to ");
}

/** How near to each other two slices are at one position: a hair, a tenth of a slice. `contrasts.same_position`. */
export function samePosition(positions: number[], thickness: number | null): number {
  const distances = Float32Array.from(positions.slice(1), (at, index) => at - positions[index]).sort();
  if (distances.length === 0 || thickness === null) return SAME_POSITION_MM;
  return Math.max(SAME_POSITION_MM, NEAR * Math.min(quantile(distances, 0.9), thickness));
}

function isContrast(name: string, value: Trait, other: Trait, count: number): boolean {
  if (name === IMAGE_TYPE && isSlice(value) !== isSlice(other)) return true;
  if (SOFT.has(name) || count < FEWEST) return false;
  if (typeof value === "number" && typeof other === "number") {
    return Math.abs(value - other) > OTHER * Math.max(Math.abs(value), Math.abs(other));
  }
  return name === AGENT || (value !== "" && other !== "");
}

function isSlice(value: Trait): boolean {
  return known(String(value), NO_SLICES) === 0;
}

/** How many of `words` are values of an element, or words of these. */
function known(value: string, words: string[]): number {
  const parts = value.split("\\");
  const all = new Set([...parts, ...parts.flatMap((part) => part.toUpperCase().split(SEPARATORS))]);
  return words.filter((one) => all.has(one)).length;
}

function ownVolumes(name: string, value: Trait, others: Trait[]): string {
  return `within one series, slices with ${name} ${word(value)} and with ${name} ${listed(others)} lie at different positions; each set is a separate volume`;
}

/** The value of the group to use: complete, of a usual contrast, the first by its value. */
function mainOf(groups: Map<Trait, number[]>, along: number[]): Trait {
  if (groups.has(MAGNITUDE)) return MAGNITUDE;
  const filled = [...groups].map(([value, indices]) => [value, new Set(indices.map((i) => Math.round(along[i] * 1e3))).size] as const);
  const fullest = Math.max(...filled.map(([, count]) => count));
  const complete = filled.filter(([, count]) => count >= COMPLETE * fullest).map(([value]) => value);
  return complete.reduce((best, value) => (comesBefore(value, best) ? value : best));
}

function comesBefore(value: Trait, other: Trait): boolean {
  const rank = (value: Trait) => [typeof value === "string" ? known(value, LAST) : 0, typeof value === "string" ? 1 : 0];
  const [ranks, others] = [rank(value), rank(other)];
  const at = ranks.findIndex((part, index) => part !== others[index]);
  return at >= 0 ? ranks[at] < others[at] : value < other;
}

function usualDistance(positions: number[]): number {
  const sorted = sortedDistinct(positions);
  return median(sorted.slice(1).map((at, index) => at - sorted[index]));
}

/** The part of `positions` that lie within `near` of one of `others`. */
function overlap(positions: number[], others: number[], near: number): number {
  return positions.filter((at) => others.some((other) => Math.abs(at - other) <= near)).length / positions.length;
}

function leftOutNote(name: string, main: Trait, others: Map<Trait, number>): string[] {
  if (others.size === 0) return [];
  const count = [...others.values()].reduce((sum, size) => sum + size, 0);
  const [slices, lie, are] = count === 1 ? ["1 slice", "lies", "is"] : [`${count} slices`, "lie", "are"];
  return [`${slices} with ${name} ${listed([...others.keys()])} ${lie} at the positions of those with ${name} ${word(main)} and ${are} left out`];
}

function listed(values: Trait[]): string {
  const named = values.slice(0, NAMED).map(word).join(", ");
  return values.length > NAMED ? `${named} and ${values.length - NAMED} more` : named;
}

/** As Python's format `g` writes it. */
function word(value: Trait): string {
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : value || "not stated";
}

function oddComponent(component: Trait | undefined): string[] {
  if (component === undefined || component === MAGNITUDE) return [];
  return [`these are ${component} images; there are no magnitude images at their positions`];
}
