/** Which series of a study are of one patient and one visit: `tumorlens/inference/examinations.py`. */
import { dayNumber } from "./days";
import type { Item } from "./items";
import { groupBy } from "./reading/groups";

export const SEVERAL_PATIENTS = "the series are of several patients; each patient is answered separately";
export const SEVERAL_FOLDERS = "series of equal UIDs lie in several folders, perhaps of several patients or points in time; each folder is answered separately";
export const SEVERAL_VISITS = "the series are of several visits; each visit is answered separately";
/** As BIDS names folders and files: `sub-01/ses-02/anat/sub-01_ses-02_T1w.nii.gz`. */
const SUBJECT = /(?:^|[/\\_])sub-([0-9A-Za-z+]+)(?=[/\\_.]|$)/g;
const SESSION = /(?:^|[/\\_])ses-([0-9A-Za-z+]+)(?=[/\\_.]|$)/g;
/** From the first day of a visit to the last: it may include midnight. */
const MOST_DAYS = 1;

export interface Examination {
  /** Where it was found: `fuse_examinations` in `tumorlens/inference/fusion.py`. */
  path: string;
  members: Item[];
  /** Why they are not all series of the study. */
  notes: string[];
}

/** `series` state the same patient, or none. */
export function examinationsOf(series: Item[]): Examination[] {
  const patients = patientsOf(series);
  const parts = patients.flatMap((patient) => foldersOf(patient).flatMap((own, _, folders) => {
    const visits = visitsOf(own);
    const notes = [
      ...(patients.length > 1 ? [SEVERAL_PATIENTS] : []),
      ...(folders.length > 1 ? [SEVERAL_FOLDERS] : []),
      ...(visits.length > 1 ? [SEVERAL_VISITS] : []),
    ];
    return visits.map((members) => ({ members, notes, folder: commonFolder(members) }));
  }));
  const within = new Map<string, number>();
  for (const above of parts.flatMap(({ folder }) => withParents(folder))) within.set(above, (within.get(above) ?? 0) + 1);
  return parts.map(({ members, notes, folder }) => {
    const path = folder.join("/");
    return { members, notes, path: within.get(path) === 1 ? path || "study" : firstFile(members) };
  });
}

/** The path of a folder, and those of all folders that it lies in. */
function withParents(folder: string[]): string[] {
  return Array.from({ length: folder.length + 1 }, (_, count) => folder.slice(0, count).join("/"));
}

/** The series of each folder that is known to be another; the rest together. */
function foldersOf(series: Item[]): Item[][] {
  const folderOf = ({ image }: Item) => image?.origin?.folder ?? null;
  const known = new Set(series.map(folderOf).filter((folder) => folder !== null));
  return known.size > 1 ? [...groupBy(series, folderOf).values()] : [series];
}

/** The parts of the path of the folder that all items come from. */
function commonFolder(items: Item[]): string[] {
  const folders = items.map((item) => sourcesOf(item)[0].split("/").slice(0, -1));
  const [first] = folders;
  const shared = first.findIndex((part, index) => folders.some((folder) => folder[index] !== part));
  return first.slice(0, shared < 0 ? first.length : shared);
}

function firstFile(items: Item[]): string {
  return items.flatMap(sourcesOf).reduce((first, name) => (name < first ? name : first));
}

function sourcesOf({ image, name }: Item): string[] {
  return image?.sources.length ? image.sources : [name];
}

function patientsOf(series: Item[]): Item[][] {
  if (series[0]?.image?.origin?.patient) return [series];
  const first = series.map((item) => labelOf(item, SUBJECT)).find((label) => label !== null) ?? "";
  return [...groupBy(series, (item) => labelOf(item, SUBJECT) ?? first).values()];
}

function visitsOf(series: Item[]): Item[][] {
  return knownApart(series, (item) => labelOf(item, SESSION)).flatMap((session) => {
    const first = firstDays(session.map(dayOf));
    return knownApart(session, (item) => first.get(dayOf(item)) ?? null);
  });
}

function labelOf({ image }: Item, entity: RegExp): string | null {
  return [...(image?.sources[0] ?? "").matchAll(entity)].at(-1)?.[1] ?? null;
}

function dayOf({ image }: Item): number | null {
  return image?.origin?.day ? dayNumber(image.origin.day) : null;
}

/** The first day of the visit that each day belongs to. */
function firstDays(days: Array<number | null>): Map<number | null, number> {
  const first = new Map<number | null, number>();
  let start = -Infinity;
  for (const day of days.filter((stated) => stated !== null).sort((a, b) => a - b)) {
    if (day - start > MOST_DAYS) start = day;
    first.set(day, start);
  }
  return first;
}

/** Series of equal values; those of none are each alone, unless there is only one value. */
function knownApart(series: Item[], valueOf: (item: Item) => string | number | null): Item[][] {
  const known = new Set(series.map(valueOf).filter((value) => value !== null));
  if (known.size < 2) return [series];
  return [...groupBy(series, (item) => String(valueOf(item) ?? `alone: ${item.id}`)).values()];
}
