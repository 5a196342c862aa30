/** From answers of slices to one of the whole: the port agrees with Python. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { aggregate, findRun, smooth, strongestRun } from "../src/aggregation";
import { judgeSlices, positions, upDirection } from "../src/brain_slices";
import { decide, predictionSet } from "../src/decision";
import { summarize } from "../src/summary";
import { fuseStudy } from "../src/fusion";
import { BRAIN_TUMORS } from "../src/classes";
import { headwardOf } from "../src/reading/sides";
import { softmax } from "../src/postprocessing";
import { sequenceOfWords } from "../src/sequence";
import {
  isFailure, type Prediction, type Result, type SequenceAnswer, type StudyPrediction, type VolumePrediction,
} from "../src/types";
import { answerWhole, named, type Rules } from "../src/volume";

type Row = number[] | "blank" | "refused";

interface Whole {
  decision: string;
  label: string | null;
  reason: string;
  probabilities: Record<string, number> | null;
  prediction_set: string[] | null;
  finding: [number, number, number] | null;
  decisive_slice: number;
  summary: string;
  tumor_probability: number | null;
  is_upright_axial: boolean;
  sequence: SequenceAnswer | null;
  notes: string[];
}

interface Profile {
  name: string;
  profile: number[];
  along_mm: number[];
  up: number;
  in_brain: boolean[];
  expected_mm: number[];
  note: string;
  coverage_note: string;
}

interface Vectors {
  rules: Rules;
  profiles: Profile[];
  studies: {
    name: string; fusion: { weights: Record<string, number> }; series: VolumePrediction[]; outside_training: boolean[];
    together: StudyPrediction;
  }[];
  volumes: {
    name: string;
    along_mm: (number | null)[] | null;
    slices: Row[];
    description: string | null;
    sequences: number[][] | null;
    whole: Whole | { error: object };
  }[];
}

const { rules, volumes, profiles, studies }: Vectors = JSON.parse(readFileSync(new URL("volumes.json", import.meta.url), "utf8"));
/** Of images without a head in them, as the vectors' are: no slice is of the brain. */
function locate(alongMm: (number | null)[]) {
  const along = positions(alongMm, alongMm.length);
  return judgeSlices(along.map(() => 0), along, 0, !alongMm.includes(null));
}

const model = { name: "m", version: "1", sha256: "0", classes: null };

function resultOf(row: Row): Result {
  if (row === "blank") return { path: "v", error: { kind: "blank", message: "v: every pixel has the same value" } };
  const refused = row === "refused";
  const shares = refused ? [0.25, 0.25, 0.25, 0.25] : row;
  const decided = decide(shares, rules.decision, !refused);
  const probabilities = named(shares);
  const answer: Prediction = {
    path: "v", ...decided, model, notes: [], heatmap: null, sequence: null,
    summary: summarize(decided.decision, decided.label, probabilities, decided.reason),
    tumor_probability: refused ? null : 1 - probabilities.notumor,
    probabilities: refused ? null : probabilities,
    prediction_set: predictionSet(shares, rules.prediction_sets, decided.decision),
  };
  return answer;
}

describe.each(volumes)("$name", ({ along_mm, slices, description, sequences, whole }) => {
  const places = slices.map((_, slice) => ({ path: `${slice}.dcm`, alongMm: along_mm?.[slice] ?? null }));
  const classified = slices.map((row, slice) => (
    { result: resultOf(row), sequenceShares: row !== "blank" && sequences ? softmax(sequences[slice], 1) : null }
  ));
  const stated = { notes: ["a note"], sequence: sequenceOfWords(description ?? "", "", "") };
  const located = locate(places.map(({ alongMm }) => alongMm));
  const found = answerWhole({ name: "v", locations: places, slices: located, isUprightAxial: false, stated }, classified, rules);

  test("the same answer for the whole", () => {
    if ("error" in whole) {
      expect(found).toEqual(whole);
      return;
    }
    const { probabilities, finding, tumor_probability, sequence, ...said } = whole;
    expect(found).toMatchObject({ ...said, model });
    const answer = found as VolumePrediction;
    expect(answer.sequence?.name).toBe(sequence?.name);
    if (sequence) expect(answer.sequence!.probability).toBeCloseTo(sequence.probability, 6);
    if (tumor_probability !== null) expect(answer.tumor_probability).toBeCloseTo(tumor_probability, 6);
    const shown = answer.finding;
    expect(shown ? [shown.first, shown.middle, shown.last] : null).toEqual(finding);
    if (shown) expect(shown.path).toBe(`${shown.middle}.dcm`);
    if (!probabilities) expect(answer.probabilities).toBeNull();
    for (const [name, share] of Object.entries(probabilities ?? {})) {
      expect(Math.abs(answer.probabilities![name] - share)).toBeLessThan(1e-6);
    }
  });

  test("one record a slice", () => {
    if (isFailure(found)) return;
    expect(found.slices!.map(({ along_mm }) => along_mm)).toEqual(places.map(({ alongMm }) => alongMm));
    expect(found.slices!.map(({ error }) => error !== null)).toEqual(slices.map((row) => row === "blank"));
    expect(found.slices!.map(({ decision }) => decision === "rejected")).toEqual(slices.map((row) => row === "refused"));
  });
});

test.each(studies)("$name: the same answer for the study", ({ fusion, series, outside_training, together }) => {
  const members = series.map((answer, place) => ({
    answer,
    origin: {
      study: "1", patient: "", series: answer.series!.series_instance_uid!, frame: answer.series!.frame_of_reference_uid,
      sequence: sequenceOfWords(answer.series!.description ?? "", "", ""), day: null, folder: null,
      outsideTraining: outside_training[place],
    },
  }));
  const found = fuseStudy("study", null, members, { ...rules, fusion, classes: BRAIN_TUMORS })!;
  const { probabilities, tumor_probability, members: weights, ...said } = together;
  expect(found).toMatchObject(said);
  expect(found.tumor_probability).toBeCloseTo(tumor_probability!, 9);
  for (const [name, share] of Object.entries(probabilities!)) expect(found.probabilities![name]).toBeCloseTo(share, 9);
  expect(found.members).toEqual(weights);
});

test.each(profiles)("$name: the same slices are of the brain", ({ profile, along_mm, up, in_brain, expected_mm, note, coverage_note }) => {
  const found = judgeSlices(profile, along_mm, up, true);
  expect(found.inBrain).toEqual(in_brain);
  expect(found.spacingNote).toBe(note);
  expect(found.coverageNote).toBe(coverage_note);
  found.alongMm.forEach((along, place) => expect(along).toBeCloseTo(expected_mm[place], 6));
});

test("which end of an axial stack is the head's", () => {
  const axial = headwardOf([1, 0, 0], [0, 1, 0]);
  expect(upDirection(axial, [0, 5])).toBe(1);
  expect(upDirection(axial, [5, 0])).toBe(-1);
  expect(upDirection(headwardOf([0, 1, 0], [1, 0, 0]), [0, 5])).toBe(-1);
  expect(upDirection(axial, [0, null])).toBe(0);
  expect(upDirection(headwardOf([0, 1, 0], [0, 0, -1]), [0, 5])).toBe(0);
  // Between axial and coronal: a normal 40 degrees off the axis is neither, one 30 degrees off is axial.
  expect(upDirection(headwardOf([1, 0, 0], [0, Math.cos(0.7), -Math.sin(0.7)]), [0, 5])).toBe(0);
  expect(upDirection(headwardOf([1, 0, 0], [0, Math.cos(0.5), -Math.sin(0.5)]), [0, 5])).toBe(1);
  expect(upDirection(undefined, [0, 5])).toBe(0);
});

describe("the parts", () => {
  const glioma = (shares: number[]) => shares.map((share) => [share, 0, 1 - share, 0]);
  const spaced = (count: number, apart: number) => Array.from({ length: count }, (_, slot) => slot * apart);

  test.each([[1, 16], [2.5, 7], [3.3, 6], [5, 4], [6.5, 3], [20, 2]])("a run at %d mm has %d slices", (apart, count) => {
    const shares = [...Array(20).fill(0.2), ...Array(count).fill(0.9), ...Array(20).fill(0.2)];
    const run = strongestRun(shares, spaced(shares.length, apart), 15);
    expect(run).toEqual(spaced(count, 1).map((place) => 20 + place));
  });

  test("smoothing counts millimetres, not slices", () => {
    const rows = glioma([0, 1, 0]);
    expect(smooth(rows, spaced(3, 10), 7.5)[1][0]).toBe(1);
    expect(smooth(rows, spaced(3, 5), 7.5)[1][0]).toBeCloseTo(1 / (1 + 2 / 3), 12);
    expect(smooth(rows, spaced(3, 5), 0)).toBe(rows);
  });

  test("the middle is the centre of mass, and a slice without an answer is none", () => {
    const strength = [0, 0.6, 1, 1, 1, 1, 0.1];
    expect(findRun(strength, spaced(7, 5), 0.5, 3)).toEqual([1, 3, 5]);
    expect(findRun(strength, [0, 1, 2, 3, 40, 80, 90], 0.5, 4)).toEqual([1, 4, 5]);
    expect(findRun([0, 0.9, null, 0.9, 0, null], spaced(6, 5), 0.5, 1)).toEqual([1, 1, 3]);
  });

  test("places are as stated if every slice states its own", () => {
    expect(positions([3, 1], 2)).toEqual([3, 1]);
    expect(positions([3, null], 2)).toEqual([0, 5]);
    expect(positions([], 3)).toEqual([0, 5, 10]);
  });

  test("no slice with an answer", () => {
    expect(() => aggregate([null, null], [0, 5])).toThrow("no slice has an answer");
  });
});
