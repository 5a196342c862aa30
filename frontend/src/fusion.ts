/** One answer for the series of a study: `tumorlens/inference/fusion.py`, which says why it is so. */
import { findingProbability, isFinding, namesOf } from "./classes";
import { decide, predictionSet, thresholdsFor } from "./decision";
import { fuse, fusePositions, parallelGroups, type Stack } from "./evidence";
import type { LoadedInfo } from "./network";
import type { Vector } from "./reading/vectors";
import { knownSequence } from "./sequence";
import { summarize } from "./summary";
import {
  type ClassSet, type Finding, isVolume, type Origin, type Prediction, type StudyPrediction, type VolumePrediction,
} from "./types";
import { named } from "./volume";

/** A series with its answer, and what its files say. */
export interface Series {
  answer: Prediction | VolumePrediction;
  origin: Origin;
}

interface Member extends Series {
  sequence: string | null;
  weight: number;
  row: number[];
  stack: Stack | null;
}

type Rules = Pick<LoadedInfo, "decision" | "volume_decisions" | "prediction_sets" | "classes" | "fusion">;

/** Null where fewer than two series have an answer. */
export function fuseStudy(path: string, uid: string | null, series: Series[], info: Rules): StudyPrediction | null {
  const { classes } = info;
  const members = membersOf(series, info);
  if (members.length < 2) return null;
  const shares = fused(members, classes);
  const rule = ruleOf(members, info);
  let { decision, label, reason } = decide(shares, thresholdsFor(rule, null), true, classes);
  const alone = members.filter(({ answer }) => isFinding(answer.decision, answer.label, classes)).length;
  const contradicted = label !== null && label === classes.no_finding && alone > 0;
  if (contradicted) {
    reason = `${alone} of ${members.length} series by themselves report a ${classes.finding}, others none`;
    [decision, label] = ["abstained", null];
  }
  const probabilities = named(shares, classes);
  const leftOut = series.length - members.length;
  return {
    path, decision, label, reason, probabilities,
    summary: summarize(decision, label, probabilities, reason, null, classes),
    tumor_probability: findingProbability(shares, classes),
    prediction_set: contradicted ? null : predictionSet(shares, info.prediction_sets, decision, classes),
    study_instance_uid: uid,
    finding: isFinding(decision, label, classes) ? findingOf(members) : null,
    members: series.map(({ answer }) => {
      const used = members.find((member) => member.answer === answer);
      const { path: name, tumor_probability } = answer;
      return { path: name, sequence: used?.sequence ?? null, weight: used?.weight ?? 0, tumor_probability };
    }),
    model: members[0].answer.model,
    notes: leftOut > 0 ? [`${leftOut} of ${series.length} series have no say`] : [],
  };
}

function membersOf(series: Series[], { classes, fusion }: Rules): Member[] {
  const usable = series.filter(({ answer }) => answer.probabilities !== null);
  const sequences = usable.map(({ answer, origin }) => knownSequence(answer.sequence, origin.sequence));
  return usable.map(({ answer, origin }, place): Member => {
    const sequence = sequences[place];
    const count = sequence === null ? 1 : sequences.filter((one) => one === sequence).length;
    const weight = (sequence === null ? 1 : (fusion?.weights?.[sequence] ?? 1)) / count;
    return { answer, origin, sequence, weight, row: rowOf(answer.probabilities!, classes), stack: stackOf(answer, origin, classes) };
  }).filter(({ weight }) => weight > 0);
}

function rowOf(shares: Record<string, number>, classes: ClassSet): number[] {
  return namesOf(classes).map((name) => shares[name]);
}

function stackOf(answer: Prediction | VolumePrediction, { frame }: Origin, classes: ClassSet): Stack | null {
  if (!isVolume(answer)) return null;
  const counted = answer.slices.filter(({ counted: is, probabilities }) => is && probabilities !== null);
  const centersMm = counted.flatMap(({ center_mm }) => (center_mm ? [center_mm as Vector] : []));
  if (centersMm.length < Math.max(2, counted.length)) return null;
  return { centersMm, frame, table: counted.map(({ probabilities }) => rowOf(probabilities!, classes)) };
}

/** Parallel series position by position, then what each such group says. */
function fused(members: Member[], classes: ClassSet): number[] {
  const groups = parallelGroups(members.map(({ stack }) => stack));
  const weights = groups.map((group) => group.map((place) => members[place].weight));
  const rows = groups.map((group, at) => {
    const stacks = group.flatMap((place) => members[place].stack ?? []);
    return stacks.length > 1 ? fusePositions(stacks, weights[at], classes) : members[group[0]].row;
  });
  return fuse(rows, weights.map((some) => some.reduce((sum, weight) => sum + weight, 0)), classes);
}

function ruleOf(members: Member[], { decision, volume_decisions }: Rules) {
  const volumes = members.filter(({ answer }) => isVolume(answer));
  if (volumes.length === 0) return decision;
  return volume_decisions?.[volumes.every(({ origin }) => origin.isAxial) ? "axial" : "other"] ?? decision;
}

function findingOf(members: Member[]): Finding | null {
  const decisive = deciding(members);
  return decisive && isVolume(decisive.answer) ? decisive.answer.finding : null;
}

/** The series that sees the finding best, of those that have one. */
function deciding(members: Member[]): Member | null {
  const found = members.filter(({ answer }) => isVolume(answer) && answer.finding !== null);
  const strength = ({ weight, answer }: Member) => weight * (answer.tumor_probability ?? 0);
  return found.reduce<Member | null>((best, one) => (best === null || strength(one) > strength(best) ? one : best), null);
}
