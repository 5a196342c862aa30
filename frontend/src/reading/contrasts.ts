/**
 * One series, several volumes: contrasts, echoes, phases, time points. `tumorlens/imaging/contrasts.py`, line by
 * line: of volumes at the same positions one is kept; those between or beside its slices are volumes of their own.
 */
import { median } from "../preprocessing";

export const MAGNITUDE = "magnitude";
export const COMPONENT = "component";
export const AGENT = "contrast agent";

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
const LAST = new Set(["F", "FAT", "OP", "OPP_PHASE", "OUT_PHASE", "ADC", "FA", "MIP", "MPR", "DERIVED", "SECONDARY"]);

export interface Volume {
  /** Which of the given images. */
  indices: number[];
  /** Those of other volumes at the same positions. */
  leftOut: number[];
  notes: string[];
}

/** Tell volumes of one series apart; the first is the one to use. */
export function separate(traits: Traits[], along: number[], thicknessMm: number | null): Volume[] {
  let indices = traits.map((_, index) => index);
  const leftOut: number[] = [];
  const elsewhere: Volume[] = [];
  const notes: string[] = [];
  for (const name of new Set([COMPONENT, ...traits.flatMap((one) => [...one.keys()])])) {
    const groups = grouped(indices, traits, name);
    if (groups.size < 2) continue;
    const found = split(groups, along, name, thicknessMm);
    indices = found.kept;
    leftOut.push(...found.leftOut);
    notes.push(...found.notes);
    for (const [group, note] of found.elsewhere) elsewhere.push(...within(group, note, traits, along, thicknessMm));
  }
  const component = indices.length ? traits[indices[0]].get(COMPONENT) : undefined;
  return [{ indices, leftOut, notes: [...oddComponent(component), ...notes] }, ...elsewhere];
}

function within(group: number[], note: string, traits: Traits[], along: number[], thicknessMm: number | null): Volume[] {
  const found = separate(group.map((i) => traits[i]), group.map((i) => along[i]), thicknessMm);
  return found.map(({ indices, leftOut, notes }) => ({
    indices: indices.map((i) => group[i]),
    leftOut: leftOut.map((i) => group[i]),
    notes: [...notes, ...(note ? [note] : [])],
  }));
}

function grouped(indices: number[], traits: Traits[], name: string): Map<Trait, number[]> {
  const missing = name === COMPONENT ? MAGNITUDE : "";
  const groups = new Map<Trait, number[]>();
  for (const index of indices) {
    const value = traits[index].get(name) ?? missing;
    groups.set(value, [...(groups.get(value) ?? []), index]);
  }
  return groups;
}

function split(groups: Map<Trait, number[]>, along: number[], name: string, thicknessMm: number | null) {
  const main = mainOf(groups, along);
  const placesOf = (indices: number[]) => indices.map((i) => along[i]);
  const mains = groups.get(main)!;
  const near = NEAR * (usualDistance(placesOf(mains)) || thicknessMm || 1);
  const kept = [...mains];
  const leftOut: number[] = [];
  const elsewhere: [number[], string][] = [];
  const others = new Map<Trait, number>();
  const apart: Trait[] = [];
  for (const [value, indices] of groups) {
    if (value === main) continue;
    if (overlap(placesOf(indices), placesOf(mains), near) >= OVERLAP) {
      others.set(value, indices.length);
      leftOut.push(...indices);
    } else if (name === COMPONENT) {
      elsewhere.push([indices, ""]);
    } else if (isContrast(name, value, main, Math.min(indices.length, mains.length))) {
      apart.push(value);
      elsewhere.push([indices, ownVolumes(name, value, [main])]);
    } else {
      kept.push(...indices);
    }
  }
  kept.sort((one, other) => one - other);
  const notes = [...leftOutNote(name, main, others), ...(apart.length > 0 ? [ownVolumes(name, main, apart)] : [])];
  return { kept, leftOut, elsewhere, notes };
}

function isContrast(name: string, one: Trait, other: Trait, count: number): boolean {
  if (SOFT.has(name) || count < FEWEST) return false;
  if (typeof one === "number" && typeof other === "number") {
    return Math.abs(one - other) > OTHER * Math.max(Math.abs(one), Math.abs(other));
  }
  return name === AGENT || (one !== "" && other !== "");
}

function ownVolumes(name: string, one: Trait, others: Trait[]): string {
  return `of one series, slices with ${name} ${word(one)} and with ${name} ${listed(others)} lie at different positions; each is a volume of its own`;
}

/** The value of the group to use: complete, of a usual contrast, the first by its value. */
function mainOf(groups: Map<Trait, number[]>, along: number[]): Trait {
  if (groups.has(MAGNITUDE)) return MAGNITUDE;
  const filled = [...groups].map(([value, indices]) => [value, new Set(indices.map((i) => Math.round(along[i] * 1e3))).size] as const);
  const fullest = Math.max(...filled.map(([, count]) => count));
  const complete = filled.filter(([, count]) => count >= COMPLETE * fullest).map(([value]) => value);
  return complete.reduce((best, value) => (comesBefore(value, best) ? value : best));
}

function comesBefore(one: Trait, other: Trait): boolean {
  const rank = (value: Trait) => [typeof value === "string" ? value.split("\\").filter((part) => LAST.has(part)).length : 0, typeof value === "string" ? 1 : 0];
  const [ranks, others] = [rank(one), rank(other)];
  const at = ranks.findIndex((part, place) => part !== others[place]);
  return at >= 0 ? ranks[at] < others[at] : one < other;
}

function usualDistance(places: number[]): number {
  const sorted = [...new Set(places)].sort((one, other) => one - other);
  return median(sorted.slice(1).map((at, place) => at - sorted[place]));
}

/** The part of `some` that lie within `near` of one of `others`. */
function overlap(some: number[], others: number[], near: number): number {
  return some.filter((at) => others.some((other) => Math.abs(at - other) <= near)).length / some.length;
}

function leftOutNote(name: string, main: Trait, others: Map<Trait, number>): string[] {
  if (others.size === 0) return [];
  const count = [...others.values()].reduce((sum, one) => sum + one, 0);
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
  return [`these are ${component} images; no magnitude images lie at their positions`];
}
