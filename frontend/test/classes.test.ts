/** Models of other classes than the four: two, some without "no finding", forty. */
import { describe, expect, test } from "vitest";
import { aggregate, DEFAULT } from "../src/aggregation";
import { aFinding, BRAIN_TUMORS, classSetOf, findingProbability, namesOf, shownClasses } from "../src/classes";
import { decide, predictionSet } from "../src/decision";
import { toCsv } from "../src/export";
import { itemOf } from "../src/items";
import type { ClassSet, Prediction } from "../src/record";
import { headline, sequenceWords, summarize } from "../src/summary";
import { failureOf } from "../src/types";
import { named } from "../src/volume";

const RULE = { tumor_threshold: 0.7, notumor_threshold: 0.9, kind_threshold: 0.8 };

function classSet(names: string[], no_finding: string | null = null, finding = "finding"): ClassSet {
  return { members: names.map((name) => ({ name, display_name: name.replace("_", " "), code: null })), no_finding, finding };
}

const YES_NO = classSet(["no", "yes"], "no");
const KINDS = classSet(["glioma", "meningioma", "pituitary"], null, "tumour");
const FORTY = classSet(Array.from({ length: 40 }, (_, k) => `kind_${k}`));

describe("two classes", () => {
  test.each([
    [[0.95, 0.05], "classified", "no", "No finding seen (95%)."],
    [[0.4, 0.6], "abstained", null, "Uncertain whether there is a finding (probability 60%)."],
    [[0.2, 0.8], "classified", "yes", "Yes likely (80%)."],
  ] as const)("%j", (shares, decision, label, words) => {
    expect(decide([...shares], RULE, true, YES_NO)).toMatchObject({ decision, label });
    expect(summarize(decision, label, named([...shares], YES_NO), "", null, YES_NO)).toBe(words);
  });
});

test("the article of a finding", () => {
  const abscess = classSet(["cyst", "pus", "no"], "no", "abscess");
  expect(aFinding(BRAIN_TUMORS)).toBe("a tumour");
  const held = decide([0.3, 0.3, 0.4], RULE, true, abscess);
  expect(held.reason).toContain("; an abscess is reported from 70%, no abscess from");
  expect(decide([0.5, 0.4, 0.1], RULE, true, abscess).reason).toContain("given an abscess, cyst 56%");
  const shares = named([0.3, 0.3, 0.4], abscess);
  expect(summarize("abstained", null, shares, "", null, abscess)).toBe("Uncertain whether there is an abscess (probability 60%).");
});

describe("kinds alone", () => {
  test("only the kind is asked", () => {
    expect(decide([0.9, 0.06, 0.04], RULE, true, KINDS)).toMatchObject({ decision: "classified", label: "glioma" });
    const held = decide([0.6, 0.3, 0.1], RULE, true, KINDS);
    expect(held).toEqual({ decision: "abstained", label: null, reason: "glioma 60%; the kind is named from 80%" });
    expect(findingProbability([0.6, 0.3, 0.1], KINDS)).toBeNull();
  });

  test("a volume is answered where its kind is surest", () => {
    const table = [[0.4, 0.3, 0.3], [0.4, 0.3, 0.3], [0.1, 0.9, 0], [0.1, 0.9, 0]];
    const found = aggregate(table, [0, 20, 40, 60], { ...DEFAULT, smoothingMm: 0 }, KINDS);
    expect(found.probabilities[1]).toBeCloseTo(0.9);
  });
});

describe("forty classes", () => {
  const shares = FORTY.members.map((_, k) => (k === 33 ? 0.61 : 0.01));
  const answer: Prediction = {
    path: "a.png", ...decide(shares, RULE, true, FORTY), summary: "", tumor_probability: findingProbability(shares, FORTY),
    probabilities: named(shares, FORTY), sequence: null, notes: [], heatmap: null,
    prediction_set: predictionSet(shares, { coverage: 0.9, thresholds: shares.map(() => 0.05) }, "classified", FORTY),
    model: { name: "m", version: "1", sha256: "0", classes: FORTY },
  };

  test("are answered and cut to the most probable ones", () => {
    expect(answer).toMatchObject({ decision: "abstained", prediction_set: ["kind_33"] });
    const shown = shownClasses(FORTY, [answer.probabilities!]);
    expect(shown).toHaveLength(8);
    expect(shown[0]).toBe("kind_33");
    expect(shownClasses(BRAIN_TUMORS, [])).toEqual(namesOf(BRAIN_TUMORS));
    expect(headline({ ...answer, decision: "classified", label: "kind_33" })).toBe("Kind 33");
  });

  test("all are columns of the table", () => {
    const [header, row] = toCsv([{ ...itemOf("a.png", null, []), results: [answer] }], []).split("\n");
    expect(header.split(",").filter((name) => name.startsWith("kind_"))).toHaveLength(40);
    expect(row.replace(/"[^"]*"/g, "quoted").split(",")).toHaveLength(header.split(",").length);
  });

  test("the predicted sequence is a column, and named", () => {
    const told = { ...answer, sequence: { name: "T1CE", probability: 0.996 } };
    const [header, row] = toCsv([{ ...itemOf("a.png", null, []), results: [told] }], []).split("\n");
    expect(row.replace(/"[^"]*"/g, "quoted").split(",")[header.split(",").indexOf("sequence")]).toBe("T1CE");
    expect([told, answer].map(sequenceWords)).toEqual(["Predicted sequence: T1CE (>99%)", ""]);
  });
});

test("bundles of older formats are of the four", () => {
  expect(classSetOf(["glioma", "meningioma", "notumor", "pituitary"])).toBe(BRAIN_TUMORS);
  expect(classSetOf(FORTY)).toBe(FORTY);
  expect(() => classSetOf(["yes", "no"])).toThrow("unknown classes");
});

test("a name that a spreadsheet would take for a formula gets an apostrophe, however many it has", () => {
  for (const name of ["=a", "'=a", "''@a"]) {
    const item = { ...itemOf(name, null, []), results: [failureOf(name, "odd")] };
    expect(toCsv([item], []).split("\n")[1].split(",")[0]).toBe(`'${name}`);
  }
});
