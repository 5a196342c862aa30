/** The answer for a volume from those of its slices: `answer_whole` in `tumorlens/inference/volume.py`. */
import { aggregate, positions, type Row } from "./aggregation";
import { decide, type DecisionRule, predictionSet, type ConformalThresholds } from "./decision";
import {
  type Prediction, CLASSES, decisionOf, type Failure, type Finding, isFailure, type Picture, type Place, type Result,
  type SliceAnswer,
} from "./types";

/** What of a bundle decides. */
export interface Rules {
  decision?: DecisionRule;
  prediction_sets?: ConformalThresholds | null;
}

/** What is known of a volume beside its pixels. */
type VolumeFacts = Pick<Picture, "name" | "places" | "notes">;

export function answerWhole(facts: VolumeFacts, results: Result[], rules: Rules): Prediction | Failure {
  const { name, places, notes } = facts;
  const answers = results.filter((result): result is Prediction => !isFailure(result));
  if (answers.length === 0) {
    return { path: name, error: { kind: "blank", message: `${name}: no slice holds anything` } };
  }
  const slices = results.map((result, index) => sliceOf(result, index, places[index].alongMm));
  const rest = { slices, series: null, notes, model: answers[0].model };
  if (answers.every((answer) => decisionOf(answer) === "rejected")) {
    // Refused slices count for nothing, unless nothing else is there: then the whole is refused.
    const reason = answers[0].reason ?? "";
    const nothing = { probabilities: null, finding: null };
    return { path: name, decision: "rejected", label: null, reason, ...nothing, ...rest, prediction_set: null };
  }
  const found = aggregate(results.map(rowOf), positions(places.map(({ alongMm }) => alongMm), results.length));
  const decided = decide(found.probabilities, rules.decision, true, rules.prediction_sets);
  return {
    path: name,
    ...decided,
    probabilities: Object.fromEntries(CLASSES.map((label, place) => [label, found.probabilities[place]])),
    finding: decided.label === null ? null : findingOf(found.finding, places),
    ...rest,
    prediction_set: predictionSet(found.probabilities, rules.prediction_sets),
  };
}

/** Probabilities; null without an answer and of a refused slice. */
function rowOf(result: Result): Row {
  if (isFailure(result) || decisionOf(result) === "rejected" || !result.probabilities) return null;
  const probabilities = result.probabilities;
  return CLASSES.map((label) => probabilities[label]);
}

/** What the page does not look up in the files is null. */
function findingOf(found: [number, number, number] | null, places: Place[]): Finding | null {
  if (!found) return null;
  const [first, middle, last] = found;
  const { path } = places[middle];
  return { first, middle, last, position_mm: null, path, member: null, frame: null, sop_instance_uid: null };
}

function sliceOf(result: Result, index: number, along_mm: number | null): SliceAnswer {
  const none = { decision: null, label: null, reason: "", probabilities: {}, error: null, prediction_set: null };
  if (isFailure(result)) return { index, along_mm, ...none, error: result.error };
  return {
    index, along_mm, decision: decisionOf(result), label: result.label, reason: result.reason ?? "",
    probabilities: result.probabilities ?? null, error: null, prediction_set: result.prediction_set ?? null,
  };
}
