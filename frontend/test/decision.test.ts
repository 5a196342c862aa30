/** What is held back has no label, and rules that are not known are an error. */
import { sequenceOfWords } from "../src/sequence";
import { describe, expect, test } from "vitest";
import { checkRules, decide, predictionSet, thresholdsFor } from "../src/decision";
import { BRAIN_TUMORS } from "../src/classes";
import { summarize } from "../src/summary";

const RULE = { tumor_threshold: 0.7, notumor_threshold: 0.9, kind_threshold: 0.8, chosen_on: "validation" };

describe("decide", () => {
  test.each([
    [[0.9, 0.03, 0.05, 0.02], "classified", "glioma"],
    [[0.6, 0.3, 0.05, 0.05], "detected", null],
    [[0.3, 0.1, 0.5, 0.1], "abstained", null],
    [[0.05, 0.05, 0.85, 0.05], "abstained", null],
    [[0.02, 0.02, 0.94, 0.02], "classified", "notumor"],
  ])("%j is %s", (shares, decision, label) => {
    expect(decide(shares, RULE)).toMatchObject({ decision, label });
  });

  test("what is not stated says why", () => {
    expect(decide([0.3, 0.1, 0.5, 0.1], RULE).reason).toBe(
      "tumour 50%, no tumour 50%; a tumour is reported from 70%, no tumour from 90%",
    );
    expect(decide([0.6, 0.3, 0.05, 0.05], RULE).reason).toBe("given a tumour, glioma 63%; the kind is named from 80%");
  });

  test("what is no head is rejected, however sure the network is", () => {
    expect(decide([0.99, 0, 0.01, 0], RULE, false)).toMatchObject({ decision: "rejected", label: null });
  });

  test("without a rule nothing is held back", () => {
    expect(decide([0.26, 0.25, 0.25, 0.24], undefined)).toMatchObject({ decision: "classified", label: "glioma" });
  });

  test("a sequence with thresholds of its own is decided by them", () => {
    const rule = { ...RULE, by_sequence: { T1: { notumor_threshold: 0.99 } } };
    expect(thresholdsFor(rule, "T1")).toEqual({ notumor_threshold: 0.99 });
    expect(thresholdsFor(rule, "T2")).toBe(rule);
    expect(thresholdsFor(rule, null)).toBe(rule);
    expect(thresholdsFor(undefined, "T1")).toEqual({});
  });
});

describe("predictionSet", () => {
  const rule = { coverage: 0.95, thresholds: [0.05, 0.2, 0.02, 0.5], by_decision: { detected: [0.01, 0.01, 0.06, 0.01] } };

  test.each([
    [[0.6, 0.3, 0.08, 0.02], ["glioma", "meningioma", "notumor"]],
    [[0.04, 0.89, 0.01, 0.06], ["meningioma"]],
    [[0.06, 0.82, 0.01, 0.11], ["meningioma", "pituitary", "glioma"]],
  ])("%j leaves %j open", (shares, set) => {
    expect(predictionSet(shares, rule, "classified")).toEqual(set);
  });

  test("beside a held-back answer, only by thresholds of its own", () => {
    expect(predictionSet([0.6, 0.33, 0.05, 0.02], rule, "detected")).toEqual(["glioma", "meningioma", "pituitary"]);
    expect(predictionSet([0.6, 0.33, 0.05, 0.02], rule, "abstained")).toBeNull();
    expect(predictionSet([0.6, 0.33, 0.05, 0.02], rule, "rejected")).toBeNull();
    expect(predictionSet([0.6, 0.3, 0.08, 0.02], undefined, "classified")).toBeNull();
  });
});

describe("summarize", () => {
  const shares = (glioma: number, pituitary = 0) => ({ glioma, meningioma: 0, notumor: 1 - glioma - pituitary, pituitary });

  test.each([
    ["detected", null, shares(0.64, 0.21), "Tumour likely (85%). Kind uncertain: glioma 64%, pituitary tumour 21%."],
    ["classified", "glioma", shares(0.97), "Tumour likely (97%). Kind: glioma 97%."],
    ["classified", "notumor", shares(0.04), "No tumour seen (96%)."],
    ["abstained", null, shares(0.6), "Uncertain whether there is a tumour (probability 60%)."],
  ] as const)("%s", (decision, label, given, words) => {
    expect(summarize(decision, label, given, "")).toBe(words);
  });

  test("on plain T1 no tumour has its caveat", () => {
    expect(summarize("classified", "notumor", shares(0.02), "", "T1")).toContain("plain T1");
  });

  test("of a part of a head no tumour has its caveat", () => {
    expect(summarize("classified", "notumor", shares(0.02), "", null, BRAIN_TUMORS, true)).toBe(
      "No tumour seen (98%). Only part of the head was seen.",
    );
  });
});

describe("checkRules", () => {
  test("known rules pass", () => {
    expect(() => checkRules({ name: "x", decision: RULE, prediction_sets: { coverage: 0.9, thresholds: [0, 0, 0, 0] } })).not.toThrow();
    expect(() => checkRules({ name: "x" })).not.toThrow();
  });

  test.each([{ name: "x", conformal: {} }, { name: "x", prediction_sets: { score: "raps" } }, { name: "x", gate: { other: 1 } }, { name: "x", decision: { ...RULE, energy_at_most: 1 } }])("%j is refused", (info) => {
    expect(() => checkRules(info)).toThrow("rules that this page does not know");
  });
});

describe("the sequence that a header states", () => {
  test.each([
    ["AX_T1_POST", "", "T1CE"], ["AX T1 C+", "", "T1CE"], ["T1_post_op", "", "T1"], ["T1 w/o", "Gadovist", "T1"],
    ["T1 W/O+W CONTRAST", "", "T1CE"], ["T1", "no contrast", "T1"], ["T1", "0.1 mmol Gd", "T1CE"],
    ["t1", "Gadovist", "T1CE"], ["t1", "NONE ", "T1"], ["T2 post", "", "T2"],
  ])("%s, agent %s: %s", (words, agent, sequence) => {
    expect(sequenceOfWords(words, "", agent)).toBe(sequence);
  });
});
