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
  tumor_threshold: number;
  notumor_threshold: number;
  chosen_on?: string;
}

/** From which probability a class is in the prediction set, in the order of the classes. */
export interface ConformalThresholds {
  coverage: number;
  thresholds: number[];
  chosen_on?: string;
}

export interface Decided {
  decision: Decision;
  label: string | null;
  reason: string;
}

const KNOWN_RULES = new Set(["tumor_threshold", "notumor_threshold", "chosen_on"]);
const KNOWN_OF_GATE = new Set(["preprocess", "threshold", "chosen_on"]);
const KNOWN_OF_SETS = new Set(["coverage", "thresholds", "chosen_on"]);
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
  probabilities: number[], rule: DecisionRule | undefined, isHead = true, sets: ConformalThresholds | null = null,
): Decided {
  if (!isHead) return { decision: "rejected", label: null, reason: REFUSAL };
  const first = argmax(probabilities);
  const noTumor = CLASSES[first] === "notumor";
  const bar = (noTumor ? rule?.notumor_threshold : rule?.tumor_threshold) ?? 0;
  if (probabilities[first] >= bar) return { decision: "classified", label: CLASSES[first], reason: "" };
  const second = argmax(probabilities.map((share, place) => (place === first ? -1 : share)));
  const isOpen = predictionSet(probabilities, sets)?.includes(CLASSES[second]) ?? true;
  const seen = isOpen ? `${named(first, probabilities)} or ${named(second, probabilities)}` : named(first, probabilities);
  const reason = `not sure enough: ${seen}; `
    + `${DISPLAY_NAMES[CLASSES[first]]} is answered from ${whole(bar)}`;
  return { decision: "abstained", label: null, reason };
}

/** The classes that are not excluded, the most probable first: `tumorlens/inference/conformal.py`. */
export function predictionSet(probabilities: number[], rule: ConformalThresholds | null | undefined): string[] | null {
  if (!rule) return null;
  const first = argmax(probabilities);
  return CLASSES.map((name, place) => ({ name, place, share: probabilities[place] }))
    .filter(({ place, share }) => place === first || share >= rule.thresholds[place])
    .sort((a, b) => b.share - a.share)
    .map(({ name }) => name);
}

function named(place: number, probabilities: number[]): string {
  return `${DISPLAY_NAMES[CLASSES[place]]} ${whole(probabilities[place])}`;
}

function whole(share: number): string {
  return `${roundHalfEven(100 * share)}%`;
}
