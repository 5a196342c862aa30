/** One answer for the series of a study: `tumorlens/inference/fusion.py`, which says why it is so. */
import { FEWEST_SLICES } from "./brain_slices";
import { aFinding, findingProbability, isFinding, namesOf, suspicionOf } from "./classes";
import { decide, predictionSet, thresholdsFor } from "./decision";
import { fuse, fusePositions, parallelGroups, type Stack } from "./evidence";
import type { LoadedInfo } from "./network";
import { argmax, sum } from "./postprocessing";
import type { Vector } from "./reading/vectors";
import { knownSequence } from "./sequence";
import { summarize } from "./summary";
import {
  type ClassSet, type Finding, isVolume, type Origin, type Prediction, type SeriesWeight, type StudyPrediction,
  type VolumePrediction,
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

const LESS_TELLING = `series of fewer than ${FEWEST_SLICES} slices, localizers, computed images (such as ADC maps) and `
  + "other parts of the body are used only if the study has no other series";

type Rules = Pick<LoadedInfo, "decision" | "volume_decisions" | "prediction_sets" | "classes" | "fusion">;

/** Null where fewer than two series have an answer. */
export function fuseStudy(path: string, uid: string | null, series: Series[], info: Rules): StudyPrediction | null {
  const { classes } = info;
  const usable = series.filter(({ answer }) => answer.probabilities !== null);
  const telling = tellingOf(usable);
  const members = membersOf(telling, info);
  if (usable.length < 2 || members.length === 0) return null;
  const row = fused(members, classes);
  const rule = ruleOf(members, info);
  let { decision, label, reason } = decide(row, thresholdsFor(rule, null), true, classes);
  const alone = usable.filter(({ answer }) => isFinding(answer.decision, answer.label, classes)).length;
  const contradicted = label !== null && label === classes.no_finding && alone > 0;
  if (contradicted) {
    reason = `${alone} of ${usable.length} series, by themselves, report ${aFinding(classes)}; the others report none`;
    [decision, label] = ["abstained", null];
  }
  const probabilities = named(row, classes);
  const isFound = isFinding(decision, label, classes);
  const { answer: decisive } = decisiveOf(members, isFound, classes);
  const leftOut = series.length - members.length;
  return {
    path, decision, label, reason, probabilities,
    summary: summarize(decision, label, probabilities, reason, null, classes),
    tumor_probability: findingProbability(row, classes),
    prediction_set: contradicted ? null : predictionSet(row, info.prediction_sets, decision, classes),
    study_instance_uid: series.some(({ answer }) => isVolume(answer)) ? uid : null,
    finding: isFound ? findingOf(decisive) : null,
    members: series.map((candidate) => weightOf(candidate, members.find(({ answer }) => answer === candidate.answer))),
    decisive_member: series.findIndex(({ answer }) => answer === decisive),
    model: members[0].answer.model,
    notes: [
      ...(leftOut > 0 ? [`${leftOut} of ${series.length} series are not used`] : []),
      ...(telling.length < usable.length ? [LESS_TELLING] : []),
    ],
  };
}

function weightOf({ answer, origin }: Series, used: Member | undefined): SeriesWeight {
  const { path, tumor_probability } = answer;
  const series_instance_uid = isVolume(answer) ? origin.series : null;
  return { path, series_instance_uid, sequence: used?.sequence ?? null, weight: used?.weight ?? 0, tumor_probability };
}

/** Those of acquired series of the head with enough slices; all where there is none. */
function tellingOf(series: Series[]): Series[] {
  const telling = series.filter(({ answer, origin }) =>
    isVolume(answer) && answer.slices.length >= FEWEST_SLICES && !origin.outsideTraining);
  return telling.length > 0 ? telling : series;
}

function membersOf(series: Series[], { classes, fusion }: Rules): Member[] {
  const sequences = series.map(({ answer, origin }) => knownSequence(answer.sequence, isVolume(answer) ? origin.sequence : null));
  return series.map(({ answer, origin }, index): Member => {
    const sequence = sequences[index];
    const count = sequence === null ? 1 : sequences.filter((other) => other === sequence).length;
    const weight = (sequence === null ? 1 : (fusion?.weights?.[sequence] ?? 1)) / count;
    return { answer, origin, sequence, weight, row: rowOf(answer.probabilities!, classes), stack: stackOf(answer, origin, classes) };
  }).filter(({ weight }) => weight > 0);
}

function rowOf(probabilities: Record<string, number>, classes: ClassSet): number[] {
  return namesOf(classes).map((name) => probabilities[name]);
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
  const weights = groups.map((group) => group.map((index) => members[index].weight));
  const rows = groups.map((group, at) => {
    const stacks = group.flatMap((index) => members[index].stack ?? []);
    return stacks.length > 1 ? fusePositions(stacks, weights[at], classes) : members[group[0]].row;
  });
  return fuse(rows, weights.map(sum), classes);
}

function ruleOf(members: Member[], { decision, volume_decisions }: Rules) {
  const volumes = members.map(({ answer }) => answer).filter(isVolume);
  if (volumes.length === 0) return decision;
  return volume_decisions?.[volumes.every((volume) => volume.is_upright_axial) ? "axial" : "other"] ?? decision;
}

/** The series that views open on: where the study has a finding, one of those that show it. */
function decisiveOf(members: Member[], isFound: boolean, classes: ClassSet): Member {
  const showing = isFound ? members.filter(({ answer }) => findingOf(answer) !== null) : [];
  const candidates = showing.length > 0 ? showing : members;
  const strengths = candidates.map(({ weight, row }) => weight * suspicionOf(row, classes));
  return candidates[argmax(strengths)];
}

function findingOf(answer: Member["answer"]): Finding | null {
  return isVolume(answer) ? answer.finding : null;
}
