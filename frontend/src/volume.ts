/** The answer for a volume from those of its slices: `answer_whole` in `tumorlens/inference/volume.py`. */
import { aggregate, DEFAULT, type Row } from "./aggregation";
import type { Slices } from "./brain_slices";
import { BRAIN_TUMORS, findingProbability, isFinding, namesOf, suspicionOf } from "./classes";
import { type ConformalThresholds, decide, type DecisionRule, predictionSet, thresholdsFor } from "./decision";
import { contradiction, knownSequence, predictedSequence } from "./sequence";
import { summarize } from "./summary";
import {
  type Classified, type ClassSet, type Failure, type Finding, isFailure, type MedicalImage, type SliceLocation, type Prediction, type Result,
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
type VolumeFacts = Pick<MedicalImage, "name" | "locations"> & {
  slices: Slices;
  isUprightAxial: boolean;
  stated: Stated;
};

export function answerWhole(facts: VolumeFacts, classified: Classified[], rules: Rules): VolumePrediction | Failure {
  const { name, locations, isUprightAxial, stated } = facts;
  const classes = rules.classes ?? BRAIN_TUMORS;
  const results = classified.map(({ result }) => result);
  const answers = results.filter((result): result is Prediction => !isFailure(result));
  if (answers.length === 0) {
    return { path: name, error: { kind: "blank", message: `${name}: all slices are empty` } };
  }
  const counted = countSlices(results, facts.slices);
  const slices = results.map((result, index) => sliceOf(result, index, locationOf(locations[index], facts.slices), counted[index]));
  const sequenceRows = classified.flatMap(({ sequenceShares }, index) => (counted[index] && sequenceShares ? [sequenceShares] : []));
  const predicted = sequenceRows.length > 0 ? predictedSequence(sequenceRows) : null;
  const ofSlices = [facts.slices.spacingNote, facts.slices.coverageNote].filter((note) => note !== "");
  const notes = [...stated.notes, ...leftOut(results, counted), ...ofSlices, ...contradiction(predicted, stated.sequence)];
  const rest = { slices, series: null, model: answers[0].model, notes, heatmap: null };
  if (answers.every((answer) => answer.decision === "rejected")) {
    const { reason, summary } = answers[0];
    return {
      path: name, decision: "rejected", label: null, summary, reason, tumor_probability: null, probabilities: null,
      prediction_set: null, sequence: null, finding: null, decisive_slice: Math.floor(results.length / 2), is_upright_axial: isUprightAxial, ...rest,
    };
  }
  const rows = results.map((result, index): Row => (counted[index] ? rowOf(result, classes) : null));
  const aggregated = aggregate(rows, facts.slices.alongMm, DEFAULT, classes);
  const known = knownSequence(predicted, stated.sequence);
  const rule = rules.volume_decisions?.[isUprightAxial ? "axial" : "other"] ?? rules.decision;
  const { decision, label, reason } = decide(aggregated.probabilities, thresholdsFor(rule, known), true, classes);
  const probabilities = named(aggregated.probabilities, classes);
  const isFound = isFinding(decision, label, classes);
  return {
    path: name,
    decision,
    label,
    summary: summarize(decision, label, probabilities, reason, known, classes, facts.slices.coverageNote !== ""),
    reason,
    tumor_probability: findingProbability(aggregated.probabilities, classes),
    probabilities,
    prediction_set: predictionSet(aggregated.probabilities, rules.prediction_sets, decision, classes),
    sequence: predicted,
    finding: isFound ? findingOf(aggregated.finding, locations) : null,
    decisive_slice: isFound ? aggregated.finding[1] : mostSuspicious(rows, classes),
    is_upright_axial: isUprightAxial,
    ...rest,
  };
}

/** A note on slices between those that count that are blank, or were rejected. */
function leftOut(results: Result[], counted: boolean[]): string[] {
  const inside = results.filter((result, index) => (
    index > counted.indexOf(true) && index < counted.lastIndexOf(true) && !counted[index] && (isFailure(result) || result.decision === "rejected")
  ));
  if (inside.length === 0) return [];
  const what = inside.length === 1 ? "1 slice between the others is" : `${inside.length} slices between the others are`;
  return [`${what} blank or rejected; the answer does not cover ${inside.length === 1 ? "it" : "them"}`];
}

/** Slices of the brain that were not rejected; where there is none, whatever else has an answer. */
function countSlices(results: Result[], { inBrain }: Slices): boolean[] {
  const accepted = results.map((result) => !isFailure(result) && result.decision !== "rejected");
  for (const counted of [accepted.map((is, index) => is && inBrain[index]), accepted]) {
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
  const probabilities = result.probabilities;
  return namesOf(classes).map((label) => probabilities[label]);
}

export function named(probabilities: number[], classes: ClassSet = BRAIN_TUMORS): Record<string, number> {
  return Object.fromEntries(namesOf(classes).map((label, index) => [label, probabilities[index]]));
}

/** What the page does not look up in the files is null. */
function findingOf([first, middle, last]: [number, number, number], locations: SliceLocation[]): Finding {
  const { path } = locations[middle];
  return {
    first, middle, last, position_mm: null, extent_mm: null, side: null, path, member: null, frame: null,
    sop_instance_uid: null,
  };
}

/** The middle of a slice means nothing where the stated distances cannot be right. */
function locationOf({ alongMm, centerMm }: SliceLocation, { spacingNote }: Slices) {
  return { along_mm: alongMm, center_mm: spacingNote ? null : (centerMm ?? null) };
}

function sliceOf(result: Result, index: number, location: ReturnType<typeof locationOf>, counted: boolean): SlicePrediction {
  const none = {
    decision: null, label: null, reason: "", tumor_probability: null, probabilities: null, prediction_set: null,
  };
  if (isFailure(result)) return { index, ...location, counted: false, ...none, error: result.error };
  const { decision, label, reason, tumor_probability, probabilities, prediction_set } = result;
  return {
    index, ...location, counted, decision, label, reason, tumor_probability, probabilities, prediction_set, error: null,
  };
}
