/**
 * The sentence that people read first, and the names of the states: `tumorlens/inference/summary.py`.
 * Needed where no server answers; a server's records bring their sentence along.
 */
import { roundHalfEven } from "./preprocessing";
import { DISPLAY_NAMES, isFailure, type Decision, type Result } from "./types";

/** The same words as `decision`. */
export const STATE_NAMES: Record<Decision | "failed", string> = {
  classified: "Classified",
  detected: "Tumour detected, kind uncertain",
  abstained: "Abstained",
  rejected: "Rejected",
  failed: "Failed",
};
const T1_CAVEAT = "On plain T1 some tumours hardly show.";
const NO_TUMOR = "notumor";
/** Probability from which a kind is always named beside an uncertain one. */
const NAMED_FROM = 0.1;

/** `Glioma`, `No tumour`, or the state where nothing is classified. */
export function headline(result: Result | null): string {
  if (result === null) return "Waiting";
  if (isFailure(result)) return STATE_NAMES.failed;
  if (result.label === null) return STATE_NAMES[result.decision];
  const name = DISPLAY_NAMES[result.label] ?? result.label;
  return name.charAt(0).toUpperCase() + name.slice(1);
}

export function summarize(
  decision: Decision, label: string | null, shares: Record<string, number>, reason: string, sequence: string | null = null,
): string {
  if (decision === "rejected") return `Rejected: ${reason}.`;
  const tumor = wholePercent(1 - shares[NO_TUMOR]);
  if (decision === "abstained") return `Uncertain whether there is a tumour (${tumor}).`;
  if (label === NO_TUMOR) {
    const said = `No tumour seen (${wholePercent(shares[NO_TUMOR])}).`;
    return sequence === "T1" ? `${said} ${T1_CAVEAT}` : said;
  }
  if (decision === "classified" && label !== null) return `Tumour likely (${tumor}). Kind: ${named(label, shares)}.`;
  const kinds = Object.keys(shares).filter((name) => name !== NO_TUMOR).sort((a, b) => shares[b] - shares[a]);
  const likely = kinds.filter((name) => shares[name] >= NAMED_FROM);
  const told = likely.length > 0 ? likely : kinds.slice(0, 1);
  return `Tumour likely (${tumor}). Kind uncertain: ${told.map((name) => named(name, shares)).join(", ")}.`;
}

/** Never a rounded-up certainty. */
export function wholePercent(share: number): string {
  if (share > 0.99) return ">99%";
  return share < 0.01 ? "<1%" : `${roundHalfEven(100 * share)}%`;
}

function named(label: string, shares: Record<string, number>): string {
  return `${DISPLAY_NAMES[label]} ${wholePercent(shares[label])}`;
}
