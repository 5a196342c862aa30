/**
 * The sentence that people read first, and the names of the states: `tumorlens/inference/summary.py`.
 * Needed where no server answers; a server's records bring their sentence along.
 */
import { roundHalfEven } from "./preprocessing";
import { aFinding, BRAIN_TUMORS, classesOf, displayName } from "./classes";
import { type Answer, type ClassSet, type Decision, isFailure, type Result } from "./types";

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
  decision: Decision, label: string | null, probabilities: Shares, reason: string, sequence: string | null = null,
  classes: ClassSet = BRAIN_TUMORS, isPart = false,
): string {
  const { finding, no_finding } = classes;
  if (decision === "rejected") return `Rejected: ${reason}.`;
  if (no_finding === null) return kindAlone(label, probabilities, classes);
  const findingPercent = wholePercent(1 - probabilities[no_finding]);
  if (decision === "abstained") return `Uncertain whether there is ${aFinding(classes)} (probability ${findingPercent}).`;
  if (label === no_finding) {
    const isPlainT1 = sequence === "T1" && finding === BRAIN_TUMORS.finding;
    const caveats = [...(isPlainT1 ? [T1_CAVEAT] : []), ...(isPart ? [PART_CAVEAT] : [])];
    return [`No ${finding} seen (${wholePercent(probabilities[no_finding])}).`, ...caveats].join(" ");
  }
  if (classes.members.length === 2) return kindAlone(label, probabilities, classes);
  const likely = `${firstUpper(finding)} likely (${findingPercent}).`;
  if (decision === "classified" && label !== null) return `${likely} Kind: ${named(label, probabilities, classes)}.`;
  return `${likely} Kind uncertain: ${kinds(probabilities, classes)}.`;
}

/** Where whether there is anything is not asked, or says it all. */
function kindAlone(label: string | null, probabilities: Shares, classes: ClassSet): string {
  if (label === null) return `Kind uncertain: ${kinds(probabilities, classes)}.`;
  return `${firstUpper(displayName(classes, label))} likely (${wholePercent(probabilities[label])}).`;
}

/** The kinds from `NAMED_FROM` on, the most probable first; at least one. */
function kinds(probabilities: Shares, classes: ClassSet): string {
  const all = Object.keys(probabilities).filter((name) => name !== classes.no_finding).sort((a, b) => probabilities[b] - probabilities[a]);
  const likely = all.filter((name) => probabilities[name] >= NAMED_FROM);
  const listed = likely.length > 0 ? likely : all.slice(0, 1);
  return listed.map((name) => named(name, probabilities, classes)).join(", ");
}

/** Never a rounded-up certainty. */
export function wholePercent(share: number): string {
  if (share > 0.99) return ">99%";
  return share < 0.01 ? "<1%" : `${roundHalfEven(100 * share)}%`;
}

function named(label: string, probabilities: Shares, classes: ClassSet): string {
  return `${displayName(classes, label)} ${wholePercent(probabilities[label])}`;
}

/** Why presence or kind is not reported, as a sentence; empty if it is, or if the summary says it. */
export function reasonOf({ decision, reason }: Answer): string {
  return decision === "rejected" || !reason ? "" : `${firstUpper(reason)}.`;
}

/** What the network takes an image or a volume for; empty where it does not say. */
export function sequenceWords(result: Answer): string {
  const sequence = "sequence" in result ? result.sequence : null;
  return sequence ? `Predicted sequence: ${sequence.name} (${wholePercent(sequence.probability)})` : "";
}

function firstUpper(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
