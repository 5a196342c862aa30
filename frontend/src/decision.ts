/**
 * Two questions: is there a tumour, and of which kind; of classes without "no finding" only the second. `tumorlens/inference/decision.py`, and the
 * prediction sets of `tumorlens/inference/conformal.py`.
 *
 * A page that is older than the model must not answer what the model's rules would hold back, so
 * rules that are not known here are an error, never passed over.
 */
import { aFinding, BRAIN_TUMORS, displayName, kindsOf, namesOf, noFindingPlace } from "./classes";
import { argmax, sum } from "./postprocessing";
import { wholePercent } from "./summary";
import type { ClassSet, Decision } from "./types";

const REFUSAL = "does not look like a slice of brain MRI";
const TINY = 1e-12;
/** Probability from which a class is in every set, whatever the thresholds. */
const NEVER_EXCLUDED_FROM = 0.1;

export interface Thresholds {
  notumor_threshold?: number;
  tumor_threshold?: number;
  kind_threshold?: number;
}

export interface DecisionRule extends Thresholds {
  by_sequence?: Record<string, Thresholds>;
  chosen_on?: string;
}

/** From which probability a class is in the prediction set, in the order of the classes. */
export interface ConformalThresholds {
  coverage: number;
  thresholds: number[];
  /** For images that were detected or abstained. */
  by_decision?: Record<string, number[]>;
  chosen_on?: string;
}

export interface Decided {
  decision: Decision;
  label: string | null;
  reason: string;
}

const THRESHOLDS = ["notumor_threshold", "tumor_threshold", "kind_threshold"];
const KNOWN_RULES = new Set([...THRESHOLDS, "by_sequence", "chosen_on"]);
const KNOWN_OF_GATE = new Set(["preprocess", "threshold", "chosen_on"]);
const KNOWN_OF_SETS = new Set(["coverage", "thresholds", "by_decision", "chosen_on"]);
const KNOWN_OF_VOLUMES = new Set(["axial", "other"]);
const KNOWN_FIELDS = new Set([
  "format_version", "name", "version", "classes", "preprocess", "temperature", "decision", "volume_decisions",
  "fusion", "network", "training", "metrics", "licence", "intended_use", "files", "gate", "prediction_sets",
  "reference", "site",
]);

/** Throws where the bundle asks for something that this page cannot do. */
export function checkRules(info: object): void {
  type Rules = {
    decision?: object; volume_decisions?: Record<string, object>; gate?: object | null; prediction_sets?: object | null;
  };
  const { decision, volume_decisions: volumes, gate, prediction_sets: sets } = info as Rules;
  const keys = (part: object | null | undefined, known: Set<string>) =>
    Object.keys(part ?? {}).filter((key) => !known.has(key));
  const unknown = [
    ...keys(info, KNOWN_FIELDS), ...keys(gate, KNOWN_OF_GATE), ...keys(sets, KNOWN_OF_SETS),
    ...keys(volumes, KNOWN_OF_VOLUMES),
    ...[decision, ...Object.values(volumes ?? {})].flatMap((rule) => keys(rule, KNOWN_RULES)),
  ];
  if (unknown.length > 0) {
    throw new Error(`the model has rules that this page does not know (${unknown.join(", ")}); use the server instead`);
  }
}

/** Those of `sequence`, or of any image where it is not known or has none. */
export function thresholdsFor(rule: DecisionRule | undefined, sequence: string | null): Thresholds {
  return (sequence !== null ? rule?.by_sequence?.[sequence] : undefined) ?? rule ?? {};
}

/** `isHead`: whether the gate lets the image pass. */
export function decide(
  probabilities: number[], rule: Thresholds | undefined, isHead = true, classes: ClassSet = BRAIN_TUMORS,
): Decided {
  if (!isHead) return { decision: "rejected", label: null, reason: REFUSAL };
  const { kind_threshold = 0 } = rule ?? {};
  const stated = presence(probabilities, rule ?? {}, classes);
  if (stated) return stated;
  const likeliest = likeliestKind(probabilities, classes);
  const total = sum(kindsOf(classes).map((kind) => probabilities[kind]));
  const share = probabilities[likeliest] / Math.max(total, TINY);
  const name = namesOf(classes)[likeliest];
  if (share >= kind_threshold) return { decision: "classified", label: name, reason: "" };
  const given = classes.no_finding === null ? "" : `given ${aFinding(classes)}, `;
  const reason = `${given}${displayName(classes, name)} ${wholePercent(share)}; the kind is named from `
    + wholePercent(kind_threshold);
  return { decision: classes.no_finding === null ? "abstained" : "detected", label: null, reason };
}

/** The answer where nothing is found, or that is uncertain; null where the kind is asked next. */
function presence(probabilities: number[], rule: Thresholds, classes: ClassSet): Decided | null {
  const { notumor_threshold = 0, tumor_threshold = 0 } = rule;
  const { finding, no_finding } = classes;
  if (no_finding === null) return null;
  const index = noFindingPlace(classes);
  const none = probabilities[index];
  if (argmax(probabilities) === index && none >= notumor_threshold) {
    return { decision: "classified", label: no_finding, reason: "" };
  }
  if (1 - none >= tumor_threshold) return null;
  const reason = `${finding} ${wholePercent(1 - none)}, no ${finding} ${wholePercent(none)}; ${aFinding(classes)} is `
    + `reported from ${wholePercent(tumor_threshold)}, no ${finding} from ${wholePercent(notumor_threshold)}`;
  return { decision: "abstained", label: null, reason };
}

/** Place of the most probable class but "no finding". */
export function likeliestKind(probabilities: number[], classes: ClassSet): number {
  const kinds = kindsOf(classes);
  return kinds[argmax(kinds.map((kind) => probabilities[kind]))];
}

/** The classes that are not excluded, the most probable first; null without a rule for the decision. */
export function predictionSet(
  probabilities: number[], rule: ConformalThresholds | null | undefined, decision: Decision, classes: ClassSet = BRAIN_TUMORS,
): string[] | null {
  if (!rule || decision === "rejected") return null;
  const fitted = decision === "classified" ? rule.thresholds : rule.by_decision?.[decision];
  if (!fitted) return null;
  const first = argmax(probabilities);
  return namesOf(classes).map((name, index) => ({ name, index, share: probabilities[index] }))
    .filter(({ index, share }) => index === first || share >= Math.min(fitted[index], NEVER_EXCLUDED_FROM))
    .sort((a, b) => b.share - a.share)
    .map(({ name }) => name);
}
