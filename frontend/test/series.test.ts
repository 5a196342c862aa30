/** Series that are several volumes, fall apart or mix patients: what tests/imaging asks of Python. */
import { describe, expect, test } from "vitest";
import type { DicomPart } from "../src/reading/dicom";
import { type Color, TINTED } from "../src/reading/gray";
import { group } from "../src/reading/series";
import { otherFormat, sniff } from "../src/reading/signatures";
import { InputError } from "../src/types";
import { imagesOf, SIDE, slice, valuesOf } from "./made";

const range = (count: number) => [...Array(count).keys()];

const ORIGIN = { study: "1", patient: "p", series: "1", frame: null, sequence: null, day: null, folder: null, outsideTraining: false };

/** Two volumes in one series, the second `apart` millimetres beside the first. */
function pair(traits: [string, number | string][], apart: number): DicomPart[] {
  return traits.flatMap(([key, value], part) => range(5).map((z) =>
    slice(`${z}-${1 - part}`, 3 * z + part * apart, 10 * (part + 1), { traits: new Map([[key, value]]) })));
}

/** Depth, and the values that its slices hold. */
const summary = (parts: DicomPart[]) => imagesOf(parts).map((image) => [image.depth, ...valuesOf(image)]);

describe("volumes of one series", () => {
  test.each([
    ["echo time", 10, 90], ["b-value", 0, 1000], ["description", "T1", "T2"], ["component", "magnitude", "phase"],
    ["image type", "ORIGINAL\\PRIMARY", "DERIVED\\SECONDARY"], ["time point", 1, 2], ["acquisition", 1, 2],
  ])("%s at the same positions: one is kept", (key, first, second) => {
    const [image] = imagesOf(pair([[key, first], [key, second]], 0.2));
    expect([image.depth, ...valuesOf(image)]).toEqual([5, 10]);
    expect(image.notes).toHaveLength(1);
    expect(image.notes[0]).toMatch(/^5 slices with .* are left out$/);
    expect(image.sources).toHaveLength(10);
  });

  test.each([["echo time", 10, 90], ["series number", "3", "4"], ["pixel size", "1", "2"], ["samples", "16-bit MONOCHROME2", "8-bit MONOCHROME2"]])("%s between each other: two", (key, first, second) => {
    const parts = pair([[key, first], [key, second]], 1.5);
    expect(summary(parts)).toEqual([[5, 10], [5, 20]]);
    for (const { notes } of imagesOf(parts)) expect(notes[0]).toContain("each set is a separate volume");
  });

  test("many between each other are named in one note", () => {
    const echoes = range(7).map((part) => 10 + 20 * part);
    const images = imagesOf(echoes.flatMap((echo, part) => range(5).map((z) =>
      slice(`${z}-${part}`, 7 * z + part, echo, { traits: new Map([["echo time", echo]]), thicknessMm: 5 }))));
    const note = (echo: number, others: string) =>
      `within one series, slices with echo time ${echo} and with echo time ${others} lie at different positions; each set is a separate volume`;
    expect(images.map(({ notes }) => notes)).toEqual(
      echoes.map((echo) => [note(echo, echo === 10 ? "30, 50, 70, 90 and 2 more" : "10")]),
    );
  });

  test("interleaved acquisitions and one odd slice are one volume", () => {
    expect(summary(pair([["acquisition", 1], ["acquisition", 2]], 1.5))[0][0]).toBe(10);
    const odd = range(5).map((z) => slice(`${z}`, z * 3, 1, { traits: new Map([["echo time", z === 2 ? 90 : 10]]) }));
    expect(summary(odd)).toEqual([[5, 1]]);
  });

  test.each(["LOCALIZER", "MIP"])("a slice of type %s between the others is none of them", (kind) => {
    const slices = range(5).map((z) => slice(`${z}`, z * 3, 1, { traits: new Map([["image type", "ORIGINAL\\PRIMARY"]]) }));
    const odd = slice("odd", 7.5, 9, { traits: new Map([["image type", `ORIGINAL\\PRIMARY\\${kind}`]]) });
    expect(summary([...slices, odd])).toEqual([[5, 1], [1, 9]]);
  });

  test.each([["description", "t1_dixon_F", "t1_dixon_W"], ["component", "imaginary", "real"]])("%s: %s is the second choice", (key, second, first) => {
    expect(summary(pair([[key, second], [key, first]], 0))).toEqual([[5, 20]]);
  });

  test("volumes with numbers in no order are noted", () => {
    const numbers = [5, 0, 9, 2, 8, 1, 3, 7, 4, 6];
    const [{ notes }] = imagesOf(numbers.map((order, at) => slice(`${at}`, 3 * (at >> 1), at % 2, { order: [order] })));
    expect(notes[1]).toContain("several volumes may be mixed");
  });

  test("what nothing tells apart is noted", () => {
    const [{ notes }] = imagesOf(range(2).flatMap((part) => range(5).map((z) => slice(`${z}-${part}`, 3 * z, part))));
    expect(notes[1]).toContain("several volumes may be mixed");
  });
});

describe("several folders", () => {
  const FOLDERS = "slices of this series lie in several folders, and form one volume only within each; each folder is a separate volume";

  /** A folder for each list of positions, whose slices have its number as their value. */
  const stored = (parts: number[][], more: (part: number, index: number) => Partial<DicomPart> = () => ({})) => parts.flatMap((places, part) => (
    places.map((z, index) => slice(`case${part}/${index}`, z, part + 1, { instance: index, ...more(part, index) }))
  ));
  const every5 = (first: number) => range(6).map((index) => first + 5 * index);

  test.each([0, 1.7, -3, 12.5])("that hold a volume each, the second from %i mm on, are separate", (first) => {
    for (const more of [
      () => ({}), (part: number) => ({ traits: new Map([["acquisition time", `1${part}0000`]]) }), (_: number, index: number) => ({ uid: `1.2.3.${index}` }),
    ]) {
      const images = imagesOf(stored([every5(0), every5(first)], more).map((part) => ({ ...part, origin: ORIGIN })));
      expect(images.map((image) => [image.depth, ...valuesOf(image), image.origin!.folder])).toEqual([[6, 1, "case0"], [6, 2, "case1"]]);
      for (const { notes } of images) expect(notes).toContain(FOLDERS);
    }
  });

  test("that repeat numbers are separate without positions", () => {
    const parts = stored([every5(0), every5(0)], () => ({ placement: null }));
    expect(summary(parts)).toEqual([[6, 1], [6, 2]]);
    expect(imagesOf(parts)[0].notes[0]).toBe(FOLDERS);
  });

  test.each([[[[0, 5, 10], [15, 20, 25]]], [[[0, 10, 20], [5, 15, 25]]]])("that hold parts of one volume are joined: %j", (parts) => {
    const [{ depth, notes }, ...others] = imagesOf(stored(parts));
    expect([depth, notes, others]).toEqual([6, [], []]);
  });

  test("that hold copies are one volume", () => {
    const parts = stored([every5(0), every5(0)], (_, index) => ({ uid: `1.2.3.${index}`, pixels: slice("", 0, 7).pixels }));
    const [{ depth, notes }, ...others] = imagesOf(parts);
    expect([depth, notes, others]).toEqual([6, ["6 slices repeat the position of another and are left out"], []]);
  });
});

test.each([1, 2])("two files of one UID, pixels of 1 and %i", (value) => {
  const [{ depth, notes }] = imagesOf([1, value].map((own, index) => slice(`${index}`, 0, own, { uid: "1.2.3" })));
  expect(depth).toBe(1);
  expect(notes.some((note) => note.startsWith("another file has the same SOP Instance UID but other pixels"))).toBe(value === 2);
});

test("an intact copy of damaged files is used", () => {
  const intact = range(4).map((z) => slice(`${z}`, 3 * z, 1, { uid: `1.2.${z}` }));
  const unread = new InputError("corrupt", "damaged DICOM");
  const damaged = range(4).map((z) => slice(`damaged ${z}`, 3 * z, 0, { uid: `1.2.${z}`, pixels: new Float32Array(0), unread }));
  const { images, failures } = group([...damaged, ...intact]);
  expect(images.map(({ depth, notes, sources }) => [depth, notes, sources])).toEqual([[4, [], ["0", "1", "2", "3"]]]);
  expect(failures.map(({ failure: { path, error } }) => [path, error.message])).toEqual(
    [["damaged 0", "damaged 0: damaged DICOM (the same holds for 3 more files of the series)"]],
  );
  expect(group(damaged).failures[0].failure.error.message).toContain("3 more files of the series cannot be read either");
});

test.each<[Color[], Color]>([
  [["gray", "gray", "gray"], "gray"], [["vivid", "vivid", "vivid"], "vivid"], [["vivid", "gray", "gray"], "tinted"],
  [["gray", "gray", "tinted"], "tinted"],
])("a volume of %s slices is %s", (colors, expected) => {
  const [image] = imagesOf(colors.map((color, z) => slice(`${z}`, 3 * z, 1, { color })));
  expect([image.depth, image.color, image.notes]).toEqual([3, expected, expected === "tinted" ? [TINTED] : []]);
});

describe("series UIDs", () => {
  test.each([{}, { seriesNumber: null }])("each slice has one: they are joined, %o", (more) => {
    const [image] = imagesOf(range(5).map((z) => slice(`${z}`, 3 * z, 1, { series: `1.${z}`, ...more })));
    expect(image.depth).toBe(5);
    expect(image.notes[0]).toContain("each slice has its own series UID");
  });

  test.each([[true, [4]], [false, [1, 1, 1, 1]]])("without positions slices are joined (%s), captures are not", (isMrStorage, depths) => {
    const images = imagesOf(range(4).map((at) => slice(`${at}`, null, 1, { series: `1.${at}`, instance: at, isMrStorage })));
    expect(images.map(({ depth }) => depth)).toEqual(depths);
    expect(images.some(({ notes }) => notes.join().includes("they are joined"))).toBe(isMrStorage);
  });

  test("parts of one number are joined, irregular slices are not", () => {
    expect(summary(range(6).map((z) => slice(`${z}`, 3 * z, 1, { series: `1.${z % 2}` })))).toEqual([[6, 1]]);
    expect(imagesOf([0, 1, 30, 70].map((z) => slice(`${z}`, z, 1, { series: `1.${z}` })))).toHaveLength(4);
  });

  test.each([
    ["patients", (part: number) => ({ patient: `p${part}` })],
    ["dates", (part: number) => ({ examination: ["1", `202${part}0101`] })],
  ])("one for two %s: they are told apart", (_, own) => {
    const parts = range(8).map((at) => slice(`${at}`, 3 * Math.floor(at / 2), at % 2, own(at % 2)));
    expect(summary(parts)).toEqual([[4, 0], [4, 1]]);
    expect(imagesOf(parts)[0].notes[0]).toContain("several patients or studies");
  });
});

describe("places", () => {
  test("a slice without one is placed by its number", () => {
    const [image] = imagesOf(range(6).map((z) => slice(`${5 - z}`, z === 3 ? null : 3 * z, z, { instance: z + 1 })));
    expect(valuesOf(image)).toEqual(range(6));
    expect(image.notes).toEqual(["the slice's position is not stated; it is taken from InstanceNumber (in 1 of 6 slices)"]);
  });

  test("a slice that is placed has its middle and its sides", () => {
    const more = (z: number) => ({ instance: z, pixelMm: z === 0 ? null : [2, 1] as [number, number], sides: null });
    const [{ locations: places, sides, headward }] = imagesOf(range(6).map((z) => slice(`${z}`, z === 0 ? null : 3 * z, z, more(z))));
    places[0].centerMm!.forEach((at, axis) => expect(at).toBeCloseTo([(SIDE - 1) / 2, SIDE - 1, 0][axis]));
    expect([sides, headward]).toEqual([{ left: "R", right: "L", top: "A", bottom: "P" }, 1]);
  });

  test("a slice that nothing places is one by itself", () => {
    const images = imagesOf(range(6).map((z) => slice(`${z}`, z === 3 ? null : 3 * z, z)));
    expect(images.map(({ depth }) => depth)).toEqual([5, 1]);
    expect(images[1].notes[0]).toContain("answered by itself");
    const odd = slice("odd", null, 9, { instance: 3, height: SIDE + 1, pixels: new Float32Array(SIDE * (SIDE + 1)) });
    const [, other] = imagesOf([...range(6).map((z) => slice(`${z}`, 3 * z, z, { instance: z })), odd]);
    expect(other.notes[0]).toContain("answered by itself");
  });

  test("slices without any are in the order of their names", () => {
    const [image] = imagesOf(range(12).map((z) => slice(`slice${z}`, null, z)));
    expect(valuesOf(image)).toEqual(range(12));
    expect(image.notes[0]).toContain("in the order of their names");
    expect(image.locations[0].alongMm).toBeNull();
  });

  test("positions in metres are not plausible", () => {
    const [image] = imagesOf(range(5).map((z) => slice(`${z}`, 0.003 * z, z, { instance: z })));
    expect(image.depth).toBe(5);
    expect(image.notes[0]).toContain("are not plausible; they are in the order of InstanceNumber");
  });
});

test("formats are recognised by their first bytes", () => {
  const bytes = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
  expect(sniff(bytes("\x08\0\x05\0CS\x0a\0ISO_IR 100"))).toBe("bare dicom");
  expect(sniff(bytes("\x1c\x02\0\0n+2\0\r\n\x1a\n"))).toBe("nifti");
  expect(sniff(bytes("NRRD0004\n"))).toBe("nrrd");
  expect(sniff(bytes("\0\0\0\x01" + "\0\0\0\x40".repeat(3) + "\0\0\0\x01\0\0\0\x03"))).toBe("mgh");
  expect(sniff(bytes("\0\0\0\x01" + "\0\0\0\x40".repeat(3) + "\0\0\0\x01\0\0\0\x0b"))).toBeNull();
  expect(sniff(bytes("\x1c\x02\0\0n+2\0\n\n\x1a\n"))).toBeNull();
  expect(otherFormat(bytes("hello"))).toBe("");
});

test("a series of too many slices costs no other its answer", () => {
  const many = range(4097).map((z) => slice(`many/${z}`, z, 10, { series: "2", uid: "" }));
  const { images, failures } = group([...many, ...range(3).map((z) => slice(`few/${z}`, z, 20 + z))]);
  expect(images.map(({ name }) => name)).toEqual(["few (3 files)"]);
  expect(failures.map(({ failure }) => failure.error)).toEqual([
    { kind: "limit", message: "many (4097 files): 4097 slices are more than the limit of 4096" },
  ]);
});
