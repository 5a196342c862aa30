/**
 * Whether an answer is given, or held back with its reason: `tumorlens/inference/decision.py`.
 *
 * A page that is older than the model must not answer what the model's rules would hold back, so
 * rules that are not known here are an error, never passed over.
 */
import { argmax } from "./postprocessing";
import { roundHalfEven } from "./preprocessing";
import { CLASSES, type Decision, DISPLAY_NAMES } from "./types";

const REFUSAL = "does not look like a slice of brain MRI";

export interface DecisionRule {
  tumor_at_least: number;
  notumor_at_least: number;
  chosen_on?: string;
}

/** From which probability a class is in the prediction set, in the order of the classes. */
export interface SetRule {
  coverage: number;
  at_least: number[];
  chosen_on?: string;
}

export interface Decided {
  decision: Decision;
  label: string | null;
  reason: string;
}

const KNOWN_RULES = new Set(["tumor_at_least", "notumor_at_least", "chosen_on"]);
const KNOWN_OF_GATE = new Set(["preprocess", "threshold", "chosen_on"]);
const KNOWN_OF_SETS = new Set(["coverage", "at_least", "chosen_on"]);
const KNOWN_FIELDS = new Set([
  "format_version", "name", "version", "classes", "preprocess", "temperature", "decision", "network",
  "training", "metrics", "licence", "intended_use", "files", "gate", "prediction_sets",
]);

/** Throws where the bundle asks for something that this page cannot do. */
export function checkRules(info: object): void {
  type Rules = { decision?: object; gate?: object | null; prediction_sets?: object | null };
  const { decision, gate, prediction_sets: sets } = info as Rules;
  const unknown = [
    ...Object.keys(info).filter((key) => !KNOWN_FIELDS.has(key)),
    ...Object.keys(decision ?? {}).filter((key) => !KNOWN_RULES.has(key)),
    ...Object.keys(gate ?? {}).filter((key) => !KNOWN_OF_GATE.has(key)),
    ...Object.keys(sets ?? {}).filter((key) => !KNOWN_OF_SETS.has(key)),
  ];
  if (unknown.length > 0) {
    throw new Error(`the model has rules that this page does not know (${unknown.join(", ")}); let the server answer`);
  }
}

/**
 * `isHead`: whether the gate lets the picture pass. The second class of a reason is named only where the set by
 * `sets` leaves it open.
 */
export function decide(
  shares: number[], rule: DecisionRule | undefined, isHead = true, sets: SetRule | null = null,
): Decided {
  if (!isHead) return { decision: "rejected", label: null, reason: REFUSAL };
  const first = argmax(shares);
  const noTumor = CLASSES[first] === "notumor";
  const bar = (noTumor ? rule?.notumor_at_least : rule?.tumor_at_least) ?? 0;
  if (shares[first] >= bar) return { decision: "classified", label: CLASSES[first], reason: "" };
  const second = argmax(shares.map((share, place) => (place === first ? -1 : share)));
  const isOpen = predictionSet(shares, sets)?.includes(CLASSES[second]) ?? true;
  const seen = isOpen ? `${named(first, shares)} or ${named(second, shares)}` : named(first, shares);
  const reason = `not sure enough: ${seen}; `
    + `${DISPLAY_NAMES[CLASSES[first]]} is answered from ${whole(bar)}`;
  return { decision: "abstained", label: null, reason };
}

/** The classes that are not excluded, the most probable first: `tumorlens/inference/conformal.py`. */
export function predictionSet(shares: number[], rule: SetRule | null | undefined): string[] | null {
  if (!rule) return null;
  const first = argmax(shares);
  return CLASSES.map((name, place) => ({ name, place, share: shares[place] }))
    .filter(({ place, share }) => place === first || share >= rule.at_least[place])
    .sort((a, b) => b.share - a.share)
    .map(({ name }) => name);
}

function named(place: number, shares: number[]): string {
  return `${DISPLAY_NAMES[CLASSES[place]]} ${whole(shares[place])}`;
}

function whole(share: number): string {
  return `${roundHalfEven(100 * share)}%`;
}
