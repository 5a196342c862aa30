/**
 * The sentence that people read first, and the names of the states: `tumorlens/inference/summary.py`.
 * Needed where no server answers; a server's records bring their sentence along.
 */
import { roundHalfEven } from "./preprocessing";
import { aFinding, BRAIN_TUMORS, classesOf, displayName } from "./classes";
import { type ClassSet, type Decision, isFailure, type Result } from "./types";

const T1_CAVEAT = "Some tumours are hardly visible on plain T1.";
const PART_CAVEAT = "Only part of the head was seen.";
/** Probability from which a kind is always named beside an uncertain one. */
const NAMED_FROM = 0.1;

/** The same words as `decision`. */
function stateName(state: Decision | "failed", classes: ClassSet): string {
  return state === "detected" ? `${firstUpper(classes.finding)} detected, kind uncertain` : firstUpper(state);
}

/** `Glioma`, `No tumour`, or the state where nothing is classified. */
export function headline(result: Result | null): string {
  if (result === null) return "Waiting";
  const classes = classesOf(result);
  if (isFailure(result)) return stateName("failed", classes);
  return result.label === null ? stateName(result.decision, classes) : firstUpper(displayName(classes, result.label));
}

type Shares = Record<string, number>;

export function summarize(
  decision: Decision, label: string | null, shares: Shares, reason: string, sequence: string | null = null,
  classes: ClassSet = BRAIN_TUMORS, isPart = false,
): string {
  const { finding, no_finding } = classes;
  if (decision === "rejected") return `Rejected: ${reason}.`;
  if (no_finding === null) return kindAlone(label, shares, classes);
  const found = wholePercent(1 - shares[no_finding]);
  if (decision === "abstained") return `Uncertain whether there is ${aFinding(classes)} (${found}).`;
  if (label === no_finding) {
    const isPlainT1 = sequence === "T1" && finding === BRAIN_TUMORS.finding;
    const caveats = [...(isPlainT1 ? [T1_CAVEAT] : []), ...(isPart ? [PART_CAVEAT] : [])];
    return [`No ${finding} seen (${wholePercent(shares[no_finding])}).`, ...caveats].join(" ");
  }
  if (classes.members.length === 2) return kindAlone(label, shares, classes);
  const likely = `${firstUpper(finding)} likely (${found}).`;
  if (decision === "classified" && label !== null) return `${likely} Kind: ${named(label, shares, classes)}.`;
  return `${likely} Kind uncertain: ${kinds(shares, classes)}.`;
}

/** Where whether there is anything is not asked, or says it all. */
function kindAlone(label: string | null, shares: Shares, classes: ClassSet): string {
  if (label === null) return `Kind uncertain: ${kinds(shares, classes)}.`;
  return `${firstUpper(displayName(classes, label))} likely (${wholePercent(shares[label])}).`;
}

/** The kinds from `NAMED_FROM` on, the most probable first; at least one. */
function kinds(shares: Shares, classes: ClassSet): string {
  const all = Object.keys(shares).filter((name) => name !== classes.no_finding).sort((a, b) => shares[b] - shares[a]);
  const likely = all.filter((name) => shares[name] >= NAMED_FROM);
  const shown = likely.length > 0 ? likely : all.slice(0, 1);
  return shown.map((name) => named(name, shares, classes)).join(", ");
}

/** Never a rounded-up certainty. */
export function wholePercent(share: number): string {
  if (share > 0.99) return ">99%";
  return share < 0.01 ? "<1%" : `${roundHalfEven(100 * share)}%`;
}

function named(label: string, shares: Shares, classes: ClassSet): string {
  return `${displayName(classes, label)} ${wholePercent(shares[label])}`;
}

function firstUpper(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
