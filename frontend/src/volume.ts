/** The answer for a volume from those of its slices: `answer_whole` in `tumorlens/inference/volume.py`. */
import { aggregate, DEFAULT, type Row } from "./aggregation";
import type { Slices } from "./brain_slices";
import { BRAIN_TUMORS, findingProbability, isFinding, namesOf, suspicionOf } from "./classes";
import { type ConformalThresholds, decide, type DecisionRule, predictionSet, thresholdsFor } from "./decision";
import { contradiction, knownSequence, predictedSequence } from "./sequence";
import { summarize } from "./summary";
import {
  type Classified, type ClassSet, type Failure, type Finding, isFailure, type MedicalImage, type Place, type Prediction, type Result,
  type SlicePrediction, type Stated, type VolumePrediction,
} from "./types";

/** What of a bundle decides. */
export interface Rules {
  decision?: DecisionRule;
  volume_decisions?: { axial?: DecisionRule; other?: DecisionRule };
  prediction_sets?: ConformalThresholds | null;
  classes?: ClassSet;
}

/** What is known of a volume beside its pixels. */
type VolumeFacts = Pick<MedicalImage, "name" | "places"> & {
  slices: Slices;
  isUprightAxial: boolean;
  stated: Stated;
};

export function answerWhole(facts: VolumeFacts, classified: Classified[], rules: Rules): VolumePrediction | Failure {
  const { name, places, isUprightAxial, stated } = facts;
  const classes = rules.classes ?? BRAIN_TUMORS;
  const results = classified.map(({ result }) => result);
  const answers = results.filter((result): result is Prediction => !isFailure(result));
  if (answers.length === 0) {
    return { path: name, error: { kind: "blank", message: `${name}: all slices are empty` } };
  }
  const counted = countSlices(results, facts.slices);
  const slices = results.map((result, index) => sliceOf(result, index, placeOf(places[index], facts.slices), counted[index]));
  const shares = classified.flatMap(({ sequenceShares }, index) => (counted[index] && sequenceShares ? [sequenceShares] : []));
  const predicted = shares.length > 0 ? predictedSequence(shares) : null;
  const ofSlices = [facts.slices.spacingNote, facts.slices.coverageNote].filter((note) => note !== "");
  const notes = [...stated.notes, ...ofSlices, ...contradiction(predicted, stated.sequence)];
  const rest = { slices, series: null, model: answers[0].model, notes, heatmap: null };
  if (answers.every((answer) => answer.decision === "rejected")) {
    const { reason, summary } = answers[0];
    return {
      path: name, decision: "rejected", label: null, summary, reason, tumor_probability: null, probabilities: null,
      prediction_set: null, sequence: null, finding: null, decisive_slice: Math.floor(results.length / 2), is_upright_axial: isUprightAxial, ...rest,
    };
  }
  const rows = results.map((result, index): Row => (counted[index] ? rowOf(result, classes) : null));
  const found = aggregate(rows, facts.slices.alongMm, DEFAULT, classes);
  const known = knownSequence(predicted, stated.sequence);
  const rule = rules.volume_decisions?.[isUprightAxial ? "axial" : "other"] ?? rules.decision;
  const { decision, label, reason } = decide(found.probabilities, thresholdsFor(rule, known), true, classes);
  const probabilities = named(found.probabilities, classes);
  const isFound = isFinding(decision, label, classes);
  return {
    path: name,
    decision,
    label,
    summary: summarize(decision, label, probabilities, reason, known, classes, facts.slices.coverageNote !== ""),
    reason,
    tumor_probability: findingProbability(found.probabilities, classes),
    probabilities,
    prediction_set: predictionSet(found.probabilities, rules.prediction_sets, decision, classes),
    sequence: predicted,
    finding: isFound ? findingOf(found.finding, places) : null,
    decisive_slice: isFound ? found.finding[1] : mostSuspicious(rows, classes),
    is_upright_axial: isUprightAxial,
    ...rest,
  };
}

/** Slices of the brain that were not rejected; where there is none, whatever else has an answer. */
function countSlices(results: Result[], { inBrain }: Slices): boolean[] {
  const accepted = results.map((result) => !isFailure(result) && result.decision !== "rejected");
  for (const counted of [accepted.map((is, place) => is && inBrain[place]), accepted]) {
    if (counted.includes(true)) return counted;
  }
  return results.map((result) => !isFailure(result));
}

function mostSuspicious(rows: Row[], classes: ClassSet): number {
  const suspicion = rows.map((row) => (row ? suspicionOf(row, classes) : -1));
  return suspicion.indexOf(Math.max(...suspicion));
}

/** Probabilities; null without an answer. */
function rowOf(result: Result, classes: ClassSet): Row {
  if (isFailure(result) || !result.probabilities) return null;
  const shares = result.probabilities;
  return namesOf(classes).map((label) => shares[label]);
}

export function named(shares: number[], classes: ClassSet = BRAIN_TUMORS): Record<string, number> {
  return Object.fromEntries(namesOf(classes).map((label, place) => [label, shares[place]]));
}

/** What the page does not look up in the files is null. */
function findingOf([first, middle, last]: [number, number, number], places: Place[]): Finding {
  const { path } = places[middle];
  return {
    first, middle, last, position_mm: null, extent_mm: null, side: null, path, member: null, frame: null,
    sop_instance_uid: null,
  };
}

/** The middle of a slice means nothing where the stated distances cannot be right. */
function placeOf({ alongMm, centerMm }: Place, { spacingNote }: Slices) {
  return { along_mm: alongMm, center_mm: spacingNote ? null : (centerMm ?? null) };
}

function sliceOf(result: Result, index: number, place: ReturnType<typeof placeOf>, counted: boolean): SlicePrediction {
  const none = {
    decision: null, label: null, reason: "", tumor_probability: null, probabilities: null, prediction_set: null,
  };
  if (isFailure(result)) return { index, ...place, counted: false, ...none, error: result.error };
  const { decision, label, reason, tumor_probability, probabilities, prediction_set } = result;
  return {
    index, ...place, counted, decision, label, reason, tumor_probability, probabilities, prediction_set, error: null,
  };
}
