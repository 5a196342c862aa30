/** Which series of a study the page opens. */
import { expect, test } from "vitest";
import { wholeOf } from "../src/classify";
import { type Item, itemOf } from "../src/items";
import type { MedicalImage, StudyPrediction, VolumePrediction } from "../src/types";
import { decidingItem, Studies } from "../src/studies";
import { SEVERAL_FOLDERS, SEVERAL_PATIENTS, SEVERAL_VISITS } from "../src/visits";

/** A volume of one slice that is answered as a whole. */
function item(series: string, path: string, share: number, patient = "P", day: string | null = null, folder: string | null = null): Item {
  const origin = { study: "1", patient, series, frame: null, sequence: null, day, folder, outsideTraining: false };
  const image = { name: path, sources: [path], depth: 2, height: 1, width: 1, pixels: new Float32Array(2), origin } as Partial<MedicalImage> as MedicalImage;
  const whole = { path, decision: "detected", tumor_probability: share, slices: [] } as Partial<VolumePrediction> as VolumePrediction;
  return { ...itemOf(path, image, []), whole };
}

const items = [item("1.1", "a", 0.9), item("1.2", "b", 0.5), item("1.2", "b", 0.6), item("1.2", "c", 0.6)];

function study(series: string | null, path: string, tumor_probability: number): StudyPrediction {
  const member = { path, series_instance_uid: series, sequence: null, weight: 1, tumor_probability };
  return { members: [{ ...member, path: "x" }, member], decisive_member: 1 } as Partial<StudyPrediction> as StudyPrediction;
}

test.each<[string, string | null, string, number, number]>([
  ["by its series", "1.1", "a", 0.9, 0], ["by its path", "1.2", "c", 0.6, 3],
  ["a stack of a series by its answer", "1.2", "b", 0.6, 2], ["an image by its path", null, "a", 0.9, 0],
])("%s", (_, series, path, share, place) => {
  expect(decidingItem(study(series, path, share), items)).toBe(items[place]);
});

test("none where it is not on the page", () => {
  expect(decidingItem(study("1.9", "a", 0.9), items)).toBeNull();
});

test("series of two patients are not one study", () => {
  const [one, other, same] = [item("1.1", "a", 0.9), item("1.2", "b", 0.5, "Q"), item("1.3", "c", 0.5)];
  const members = new Studies({} as never).membersOf(one, [one, other, same]);
  expect(members).toEqual([one, same]);
});

test.each<[string, Array<[string, string | null]>, string[]]>([
  ["days of one visit", [["a", "20210304"], ["b", "20210305"], ["c", null]], ["abc"]],
  ["two visits", [["a", "20210304"], ["b", "20210310"], ["c", "20210304"], ["d", "20210311"], ["e", null]], ["ac", "bd", "e"]],
  ["many days", [["a", "20210304"], ["b", "20210305"], ["c", "20210306"], ["d", "20210307"]], ["ab", "cd"]],
  ["folders of BIDS", [["ses-01/a", null], ["x/ses-02/b", null], ["ses-01/c", null]], ["ses-01/ases-01/c", "x/ses-02/b"]],
  ["one folder of BIDS", [["ses-01/a", null], ["b", null]], ["ses-01/ab"]],
])("series of several visits are not one study: %s", (_, series, visits) => {
  const items = series.map(([path, day]) => item(`1.${path}`, path, 0.5, "P", day));
  const found = new Studies({} as never).examinationsOf(items[0], items);
  expect(found.map(({ members }) => members.map(({ name }) => name).join(""))).toEqual(visits);
  expect(found.map(({ notes }) => notes)).toEqual(visits.map(() => (visits.length > 1 ? [SEVERAL_VISITS] : [])));
});

test.each<[string, string, string[]]>([
  ["none is stated", "", ["sub-01/asub-01/cd", "sub-02/b"]], ["one is stated", "P", ["sub-01/asub-02/bsub-01/cd"]],
])("folders of BIDS are patients if %s", (_, patient, expected) => {
  const items = ["sub-01/a", "sub-02/b", "sub-01/c", "d"].map((path) => item(`1.${path}`, path, 0.5, patient));
  const found = new Studies({} as never).examinationsOf(items[0], items);
  expect(found.map(({ members }) => members.map(({ name }) => name).join(""))).toEqual(expected);
  expect(found.map(({ notes }) => notes)).toEqual(expected.map(() => (expected.length > 1 ? [SEVERAL_PATIENTS] : [])));
});

test.each<[string, Array<[string, string]>, string[]]>([
  ["folders", [["x/a", "20210304"], ["x/b", "20210304"], ["y/c", "20210310"]], ["x", "y"]],
  ["files of one folder", [["x/b", "20210304"], ["x/a", "20210304"], ["x/c", "20210310"]], ["x/a", "x/c"]],
  ["a folder in a folder", [["x/b", "20210304"], ["x/a", "20210304"], ["x/y/c", "20210310"]], ["x/a", "x/y"]],
  ["files without a folder", [["b", "20210304"], ["a", "20210304"], ["x/c", "20210310"]], ["a", "x"]],
  ["all of a study", [["b", "20210304"], ["a", "20210304"]], ["study"]],
  ["folders of alike names", [["x/a", "20210304"], ["x2/b", "20210310"]], ["x", "x2"]],
])("visits are named by their %s", (_, series, paths) => {
  const items = series.map(([path, day]) => item(`1.${path}`, path, 0.5, "P", day));
  expect(new Studies({} as never).examinationsOf(items[0], items).map(({ path }) => path)).toEqual(paths);
});

test("volumes that only their folders tell apart are not one study", () => {
  const items = ["case0", "case1"].map((folder) => item("1.1", folder, 0.5, "P", null, folder));
  const others = ["1.2", "1.3"].map((series) => item(series, "x", 0.5, "P", null));
  const found = new Studies({} as never).examinationsOf(items[0], [...items, ...others]);
  expect(found.map(({ members }) => members)).toEqual([[items[0]], [items[1]], others]);
  expect(found.map(({ notes }) => notes)).toEqual([0, 1, 2].map(() => [SEVERAL_FOLDERS]));
});

test("of two volumes in one place, an item gets the answer for the one of its folder", () => {
  const answers = ["case0", "case1"].map((path) => (
    { path, slices: [0, 5].map((along_mm) => ({ along_mm })), series: { series_instance_uid: "1.1" } } as Partial<VolumePrediction> as VolumePrediction
  ));
  const shown = item("1.1", "a", 0.9, "P", null, "case1");
  shown.image!.locations = [0, 5].map((alongMm) => ({ path: "a", alongMm }));
  expect(wholeOf(shown, answers)).toBe(answers[1]);
});

test("of two volumes of one series, an item gets the answer for the one whose slices it shows", () => {
  const answers = [[0, 5], [60, 65]].map((along) => (
    { slices: along.map((along_mm) => ({ along_mm })), series: { series_instance_uid: "1.1" } } as Partial<VolumePrediction> as VolumePrediction
  ));
  const shown = item("1.1", "a", 0.9);
  shown.image!.locations = [60, 65].map((alongMm) => ({ path: "a", alongMm }));
  expect(wholeOf(shown, answers)).toBe(answers[1]);
});
