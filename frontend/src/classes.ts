/** The classes of a model, which its bundle states: `tumorlens/labels.py`. */
import type { ClassSet, Result } from "./record";

const member = (name: string, display_name = name) => ({ name, display_name, code: null });

/** Those of the bundled networks, and of every bundle and record that states none. */
export const BRAIN_TUMORS: ClassSet = {
  members: [
    member("glioma"), member("meningioma"), member("notumor", "no tumour"), member("pituitary", "pituitary tumour"),
  ],
  no_finding: "notumor",
  finding: "tumour",
};

/** Classes that are shown one by one; of more, the most probable ones. */
const MOST_SHOWN = 8;

/** Older bundles list the names of the four. */
export function classSetOf(stated: ClassSet | string[] | undefined): ClassSet {
  if (stated !== undefined && !Array.isArray(stated)) return stated;
  if (stated && stated.join() !== namesOf(BRAIN_TUMORS).join()) throw new Error(`unknown classes: ${stated}`);
  return BRAIN_TUMORS;
}

export function classesOf(result: Result | null): ClassSet {
  return (result !== null && "model" in result ? result.model.classes : null) ?? BRAIN_TUMORS;
}

export function namesOf({ members }: ClassSet): string[] {
  return members.map(({ name }) => name);
}

/** Place of the class that means that nothing is found; -1 where there is none. */
export function noFindingPlace(classes: ClassSet): number {
  return classes.no_finding === null ? -1 : namesOf(classes).indexOf(classes.no_finding);
}

/** Places of all other classes. */
export function kindsOf(classes: ClassSet): number[] {
  const none = noFindingPlace(classes);
  return classes.members.map((_, index) => index).filter((index) => index !== none);
}

/** As people read it. */
export function displayName(classes: ClassSet, name: string): string {
  return classes.members.find((member) => member.name === name)?.display_name ?? name;
}

/** `a tumour`, `an abscess`. */
export function aFinding({ finding }: ClassSet): string {
  return `${"aeiou".includes(finding.charAt(0).toLowerCase()) ? "an" : "a"} ${finding}`;
}

/** Of any finding; how sure the kind is where no class means that there is none. */
export function suspicionOf(row: number[], classes: ClassSet): number {
  const none = noFindingPlace(classes);
  return none < 0 ? Math.max(...row) : 1 - row[none];
}

/** Probability of any finding; null where no class means that there is none. */
export function findingProbability(row: number[], classes: ClassSet): number | null {
  return classes.no_finding === null ? null : suspicionOf(row, classes);
}

/** Whether a finding is reported, its kind named or not. */
export function isFinding(decision: string, label: string | null, classes: ClassSet): boolean {
  return decision === "detected" || (label !== null && label !== classes.no_finding);
}

/** Names of the classes to show of answers: all in their order, or of many the most probable first. */
export function shownClasses(classes: ClassSet, answers: Record<string, number>[]): string[] {
  const names = namesOf(classes);
  if (names.length <= MOST_SHOWN) return names;
  const largest = new Map(names.map((name) => [name, Math.max(0, ...answers.map((probabilities) => probabilities[name] ?? 0))]));
  return names.sort((a, b) => largest.get(b)! - largest.get(a)!).slice(0, MOST_SHOWN);
}
