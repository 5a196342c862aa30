/** What is held back has no label, and rules that are not known are an error. */
import { describe, expect, test } from "vitest";
import { checkRules, decide, predictionSet } from "../src/decision";

const RULE = { tumor_threshold: 0.6, notumor_threshold: 0.9, chosen_on: "validation" };

describe("decide", () => {
  test.each([
    [[0.7, 0.1, 0.1, 0.1], "classified", "glioma"],
    [[0.5, 0.3, 0.1, 0.1], "abstained", null],
    [[0.05, 0.05, 0.89, 0.01], "abstained", null],
    [[0.02, 0.02, 0.95, 0.01], "classified", "notumor"],
  ])("%j is %s", (shares, decision, label) => {
    expect(decide(shares, RULE)).toMatchObject({ decision, label });
  });

  test("an abstained answer says why", () => {
    const { reason } = decide([0.05, 0.05, 0.89, 0.01], RULE);
    expect(reason).toBe("not sure enough: no tumour 89% or glioma 5%; no tumour is answered from 90%");
  });

  test.each([
    [[0.09, 0.45, 0.02, 0.44], "not sure enough: meningioma 45%; meningioma is answered from 60%"],
    [[0.5, 0.3, 0.1, 0.1], "not sure enough: glioma 50% or meningioma 30%; glioma is answered from 60%"],
  ])("%j names no class that its set excludes", (shares, words) => {
    const sets = { coverage: 0.95, thresholds: [0.1, 0.2, 0.05, 0.5] };
    expect(decide(shares, RULE, true, sets).reason).toBe(words);
  });

  test("what is no head is rejected, however sure the network is", () => {
    expect(decide([0.99, 0, 0.01, 0], RULE, false)).toMatchObject({ decision: "rejected", label: null });
  });

  test("without a rule nothing is held back", () => {
    expect(decide([0.26, 0.25, 0.25, 0.24], undefined)).toMatchObject({ decision: "classified", label: "glioma" });
  });
});

describe("predictionSet", () => {
  const rule = { coverage: 0.95, thresholds: [0.1, 0.2, 0.05, 0.5], chosen_on: "validation" };

  test.each([
    [[0.6, 0.3, 0.08, 0.02], ["glioma", "meningioma", "notumor"]],
    [[0.1, 0.2, 0.05, 0.65], ["pituitary", "meningioma", "glioma", "notumor"]],
    [[0.09, 0.45, 0.02, 0.44], ["meningioma"]],
    [[0.09, 0.19, 0.04, 0.49], ["pituitary"]],
  ])("%j leaves %j open", (shares, set) => {
    expect(predictionSet(shares, rule)).toEqual(set);
  });

  test("without a rule there is none", () => {
    expect(predictionSet([0.6, 0.3, 0.08, 0.02], undefined)).toBeNull();
    expect(predictionSet([0.6, 0.3, 0.08, 0.02], null)).toBeNull();
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
