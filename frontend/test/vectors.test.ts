/** The port of reading, preprocessing, network and heatmap agrees with Python. */
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { decide, type DecisionRule, predictionSet, type ConformalThresholds } from "../src/decision";
import { type BundleInfo, Network } from "../src/network";
import { preprocess } from "../src/preprocessing";
import { BRAIN_TUMORS, namesOf } from "../src/classes";
import type { Decision, SequenceAnswer } from "../src/types";
import { readPng } from "../src/reading/png";

interface Expected {
  seen: string;
  square: object;
  probabilities: Record<string, number>;
  decision: string;
  label: string | null;
  prediction_set: string[] | null;
  summary: string;
  sequence: SequenceAnswer | null;
  with_header: { sequence: string; summary: string; notes: string[] };
  set_of_rule: string[] | null;
  decided_of_rule: { decision: Decision; label: string | null; reason: string };
  heatmap: { peak: { row: number; column: number }; box: object } | null;
}

interface Vectors {
  set_rule: ConformalThresholds;
  rule: DecisionRule;
  bundles: Record<string, string>;
  images: { name: string; data: string; answers: Record<string, Expected> }[];
}

const at = (path: string) => new URL(path, import.meta.url);
const vectors: Vectors = JSON.parse(readFileSync(at("vectors.json"), "utf8"));
const bytes = (text: string) => new Uint8Array(Buffer.from(text, "base64"));
const weights = (name: string, file: string) => readFileSync(at(`../../src/tumorlens/weights/${name}/${file}`));

describe.each(Object.keys(vectors.bundles))("bundle %s", (bundle) => {
  const info: BundleInfo = JSON.parse(weights(bundle, "bundle.json").toString());
  let network: Network;

  beforeAll(async () => {
    expect(info.files["model.onnx"]).toBe(vectors.bundles[bundle]);
    const gate = info.gate ? new Uint8Array(weights(bundle, "gate.onnx")) : null;
    network = await Network.load(info, new Uint8Array(weights(bundle, "model.onnx")), gate);
  });

  test.each(vectors.images)("$name: the network sees the same pixels", ({ data, answers }) => {
    const prepared = preprocess(readPng(bytes(data)), info.preprocess);
    const expected = bytes(answers[bundle].seen);
    expect(prepared.square).toEqual(answers[bundle].square);
    // Sums in another order may round to the neighbouring level, here and there.
    const off = Array.from(expected, (value, place) => Math.abs(value - prepared.pixels[place]));
    expect(Math.max(...off)).toBeLessThanOrEqual(1);
    expect(off.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(expected.length / 1000);
  });

  test.each(vectors.images)("$name: the same probabilities and heatmap", async ({ name, data, answers }) => {
    const image = readPng(bytes(data));
    const { result: answer } = await network.classify(name, image, { notes: image.notes, sequence: null });
    const expected = answers[bundle];
    const { decision, label, prediction_set } = expected;
    expect(answer).toMatchObject({ decision, label, prediction_set });
    if (decision === "rejected") {
      expect(answer.probabilities).toBeNull();
      return;
    }
    for (const [label, share] of Object.entries(expected.probabilities)) {
      expect(Math.abs(answer.probabilities![label] - share)).toBeLessThan(1e-3);
    }
    expect(answer.summary).toBe(expected.summary);
    expect(answer.notes).toEqual([]);
    expect(answer.sequence?.name).toBe(expected.sequence?.name);
    if (answer.sequence) expect(Math.abs(answer.sequence.probability - expected.sequence!.probability)).toBeLessThan(1e-3);
    expect(answer.heatmap === null).toBe(expected.heatmap === null);
    if (!answer.heatmap || !expected.heatmap) return;
    expect(Math.abs(answer.heatmap.peak.row - expected.heatmap.peak.row)).toBeLessThanOrEqual(1);
    expect(Math.abs(answer.heatmap.peak.column - expected.heatmap.peak.column)).toBeLessThanOrEqual(1);
    expect(answer.heatmap.box).toEqual(expected.heatmap.box);
  });

  test.each(vectors.images)("$name: the header's sequence is used alike", async ({ name, data, answers }) => {
    const { sequence, ...said } = answers[bundle].with_header;
    const image = readPng(bytes(data));
    const { result } = await network.classify(name, image, { notes: ["a note", ...image.notes], sequence });
    expect(result).toMatchObject(said);
  });

  test.each(vectors.images)("$name: the same prediction set", ({ answers }) => {
    const { probabilities, set_of_rule, decided_of_rule } = answers[bundle];
    const shares = namesOf(BRAIN_TUMORS).map((name) => probabilities[name]);
    expect(predictionSet(shares, vectors.set_rule, decided_of_rule.decision)).toEqual(set_of_rule);
    expect(decide(shares, vectors.rule)).toEqual(decided_of_rule);
  });
});
