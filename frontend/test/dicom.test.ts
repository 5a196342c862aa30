/** DICOM files with odd elements: what tests/imaging/dicom asks of Python. */
import { describe, expect, test } from "vitest";
import { readDicom } from "../src/reading/dicom";
import { luma, TINTED } from "../src/reading/gray";
import { dicomImage, dicomPixels, type Element, imagesOf } from "./made";
import { OTHER_SIGN, SWAPPED, WIDER } from "../src/reading/stored";

const MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4";
const SIDE = 32;
const RAMP = Uint8Array.from({ length: SIDE * SIDE }, (_, place) => place % 251);
const SERIES: Element[] = [[0x0020, 0x000d, "UI", "1.2"], [0x0020, 0x000e, "UI", "1.2.3"]];

/** An MR image; `elements` lie between its modality and its pixels. */
function gray(modality: string, elements: Element[] = []): Uint8Array {
  return dicomImage([[0x0008, 0x0008, "CS", "ORIGINAL\\PRIMARY\\M"], [0x0008, 0x0016, "UI", MR_IMAGE], [0x0008, 0x0060, "CS", modality], ...elements], SIDE, 1, RAMP);
}

describe("DICOM", () => {
  test.each(["MR", "mr", "MRI", "mri", "\\MR", "MR\\CT"])("%s is MR", async (modality) => {
    const { pixels, notes } = await readDicom("a", gray(modality));
    expect([...pixels]).toEqual([...RAMP]);
    expect(notes).toEqual([]);
  });

  test.each<[number, number, string, string, string]>([
    [0x0010, 0x2201, "LO", "Canis familiaris", "states another species (Canis familiaris)"],
    [0x0010, 0x2201, "LO", "Homo sapiens", ""],
    [0x0028, 0x0300, "CS", "YES", "states that it is a quality control image, such as one of a phantom"],
    [0x0028, 0x0300, "CS", "NO", ""],
    [0x0018, 0x0085, "SH", "23NA", "states another nucleus than that of hydrogen (23NA)"],
    [0x0018, 0x0085, "SH", "1H", ""],
  ])("of %i, %i %s %s", async (group, element, kind, value, told) => {
    const elements: Element[] = [...SERIES, [group, element, kind, value]];
    const { notes, origin } = await readDicom("a", gray("MR", elements.sort(([a, b], [c, d]) => a - c || b - d)));
    expect(notes).toEqual(told ? [`the file ${told}`] : []);
    expect(origin!.outsideTraining).toBe(told !== "");
  });

  test.each([["gray", 1, "RGB"], ["vivid", 0, "RGB"], ["tinted", 0.7, "RGB"], ["gray", 1, "MONOCHROME2"]])("three samples a pixel, %s %s %s", async (expected, others, photometric) => {
    const colors = Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, place) => RAMP[Math.floor(place / 3)] * (place % 3 ? others : 1));
    const part = await readDicom("a", dicomImage([[0x0008, 0x0060, "CS", "MR"]], SIDE, 3, colors, photometric));
    expect(part.color).toBe(expected);
    expect(imagesOf([part])[0]).toMatchObject({ color: expected, notes: expected === "tinted" ? [TINTED] : [] });
  });

  test.each([["ARGB", 4], ["ARGB", 1], ["RGB", 1], ["MONOCHROME1", 3]])("pixels that are %s, %i samples, are refused", async (photometric, samples) => {
    const pixels = new Uint8Array(samples * SIDE * SIDE);
    const data = dicomImage([[0x0008, 0x0060, "CS", "MR"]], SIDE, samples, pixels, photometric);
    await expect(readDicom("a", data)).rejects.toMatchObject({ kind: "unsupported_format", message: `pixels are ${samples} x ${photometric}, which is not supported; export it as MONOCHROME2 or RGB` });
  });

  test("a palette for colours on gray is left to the server", async () => {
    const palette: Element[] = [[0x0008, 0x9205, "CS", "COLOR"], [0x0028, 0x1101, "US", "\0\u0001\u00c8\0\u0010\0"]];
    await expect(readDicom("a", gray("MR", palette))).rejects.toMatchObject({ kind: "server_only" });
    expect((await readDicom("a", gray("MR", palette.slice(1)))).notes).toEqual([]);
  });

  test("samples of no stated width have 16 bits", async () => {
    const described = { height: SIDE, width: SIDE, samples: 1, photometric: "MONOCHROME2", allocated: 16, stored: 12 };
    const words = Uint8Array.from({ length: 2 * SIDE * SIDE }, (_, at) => (at % 2 ? 1 : RAMP[at / 2]));
    const data = Buffer.from(dicomPixels([[0x0008, 0x0060, "CS", "MR"]], described, words));
    const at = data.indexOf(Buffer.from([0x28, 0, 0, 1]));
    const { pixels } = await readDicom("a", Uint8Array.from([...data.subarray(0, at), ...data.subarray(at + 10)]));
    expect([...pixels]).toEqual([...RAMP].map((low) => 256 + low));
  });

  test.each([["PALETTE COLOR", 1], ["YBR_FULL", 3]])("%s is not read as if it were plain", async (photometric, samples) => {
    const pixels = new Uint8Array(samples * SIDE * SIDE);
    const data = dicomImage([[0x0008, 0x0060, "CS", "MR"]], SIDE, samples, pixels, photometric);
    await expect(readDicom("a", data)).rejects.toMatchObject({ kind: "server_only" });
  });

  test.each<[string, Element[], string]>([
    ["a number of images", [[0x0019, 0x0010, "LO", "SIEMENS MR HEADER"], [0x0019, 0x100a, "US", 25]], "a mosaic"],
    ["one image", [[0x0019, 0x0010, "LO", "SIEMENS MR HEADER"], [0x0019, 0x100a, "US", 1]], ""],
    ["an element of another maker", [[0x0019, 0x0010, "LO", "OTHER"], [0x0019, 0x100a, "US", 25]], ""],
  ])("a mosaic is refused by %s", async (_, elements, refusal) => {
    const read = readDicom("a", gray("MR", elements));
    if (refusal) await expect(read).rejects.toMatchObject({ kind: "unsupported_format", message: expect.stringContaining(refusal) });
    else expect((await read).pixels.length).toBe(SIDE * SIDE);
  });

  test.each([[0, "magnitude"], [1, "phase"], [2, "real"], [3, "imaginary"], [9, null]])("GE states component %i by its own element", async (value, component) => {
    const mr: Element[] = [[0x0008, 0x0008, "CS", "ORIGINAL\\PRIMARY\\OTHER"], [0x0008, 0x0016, "UI", MR_IMAGE], [0x0008, 0x0060, "CS", "MR"]];
    const own: Element[] = [[0x0043, 0x0010, "LO", "GEMS_PARM_01"], [0x0043, 0x102f, "US", value]];
    const data = dicomPixels(mr, { height: SIDE, width: SIDE, samples: 1, photometric: "MONOCHROME2", allocated: 8, stored: 8 }, RAMP, own);
    expect((await readDicom("a", data)).traits.get("component") ?? null).toBe(component);
  });

  test.each<[string, Element, Element, string, string | number]>([
    ["Philips", [0x2001, 0x0010, "LO", "Philips Imaging DD 001"], [0x2001, 0x1003, "FL", 1000], "b-value", 1000],
    ["United Imaging", [0x0065, 0x0010, "LO", "Image Private Header"], [0x0065, 0x1009, "FD", 1000], "b-value", 1000],
    ["Philips", [0x2005, 0x0010, "LO", "Philips MR Imaging DD 001"], [0x2005, 0x1011, "CS", "P"], "component", "phase"],
  ])("%s states it by an element of its own: %o", async (_, creator, own, trait, value) => {
    const mr: Element[] = [[0x0008, 0x0016, "UI", MR_IMAGE], [0x0008, 0x0060, "CS", "MR"]];
    const described = { height: SIDE, width: SIDE, samples: 1, photometric: "MONOCHROME2", allocated: 8, stored: 8 };
    expect((await readDicom("a", dicomPixels(mr, described, RAMP, [creator, own]))).traits.get(trait)).toBe(value);
  });

  test.each([[1, false], [2, true]])("%i frames with a time between them: told %s", async (frames, isTold) => {
    const times: Element[] = [[0x0008, 0x0060, "CS", "MR"], [0x0018, 0x1063, "DS", "100"]];
    const described = { height: SIDE, width: SIDE, samples: 1, photometric: "MONOCHROME2", allocated: 8, stored: 8, more: [] };
    const data = dicomPixels([...times, [0x0028, 0x0002, "US", 1], [0x0028, 0x0008, "IS", String(frames)]], described, Uint8Array.from([...RAMP, ...RAMP].slice(0, frames * RAMP.length)));
    const { notes } = await readDicom("a", data);
    expect(notes.some((note) => note.includes("points in time"))).toBe(isTold);
  });

  test("another modality is not", async () => {
    await expect(readDicom("a", gray("CT"))).rejects.toMatchObject({ kind: "not_mr" });
  });

  test("colour that does not say how its samples lie is interleaved", async () => {
    const colors = Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, place) => (7 * place + Math.floor(place / SIDE)) % 256);
    const { pixels } = await readDicom("a", dicomImage([[0x0008, 0x0060, "CS", "MR"]], SIDE, 3, colors));
    expect([...pixels]).toEqual([...RAMP.keys()].map((place) => luma(colors[3 * place], colors[3 * place + 1], colors[3 * place + 2])));
  });

  test.each([[0, false], [0, true], [1, false], [1, true]])("gray as RGB, stated as %i, planar: %s", async (stated, planar) => {
    const gray = Uint8Array.from(RAMP, (value) => value + 1);
    const colors = Uint8Array.from({ length: 3 * gray.length }, (_, at) => gray[planar ? at % gray.length : Math.floor(at / 3)]);
    const more: Element[] = [[0x0028, 0x0006, "US", stated]];
    const data = dicomPixels([[0x0008, 0x0060, "CS", "MR"]], { height: SIDE, width: SIDE, samples: 3, photometric: "RGB", allocated: 8, stored: 8, more }, colors);
    const { pixels, notes } = await readDicom("a", data);
    expect([...pixels]).toEqual([...gray]);
    expect(notes).toEqual([]);
  });

  const [height, width] = [64, 48];
  const described = { height, width, samples: 1, photometric: "MONOCHROME2", allocated: 16, stored: 16 };
  /** A soft disc, up to `highest`. */
  const disc = (highest: number) => Uint16Array.from({ length: height * width }, (_, at) => {
    const radius = Math.hypot(Math.floor(at / width) / height - 0.5, (at % width) / width - 0.5) / 0.5;
    return 20 + highest * Math.max(0, 1 - radius * radius);
  });
  const bytesOf = (values: Uint16Array, isBig = false) => {
    const view = new DataView(new ArrayBuffer(2 * values.length));
    values.forEach((value, at) => view.setUint16(2 * at, value, !isBig));
    return new Uint8Array(view.buffer);
  };
  const mr: Element[] = [[0x0008, 0x0060, "CS", "MR"], [0x0008, 0x0016, "UI", MR_IMAGE]];

  test.each([[true, 900], [true, 40000], [false, 900], [false, 40000]])("bytes in the other order than stated: %s, up to %i", async (isBig, highest) => {
    const stored = disc(highest);
    const { pixels, notes } = await readDicom("a", dicomPixels(mr, described, bytesOf(stored, isBig)));
    expect([...pixels]).toEqual([...stored]);
    expect(notes).toEqual(isBig ? [SWAPPED] : []);
  });

  test.each([0, 1])("values beyond the half of 16 bits, said to have the sign %i", async (signed) => {
    const stored = disc(60000);
    const { pixels, notes } = await readDicom("a", dicomPixels(mr, { ...described, signed }, bytesOf(stored)));
    expect([...pixels]).toEqual([...stored]);
    expect(notes).toEqual(signed ? [OTHER_SIGN] : []);
  });

  test.each([true, false])("samples of 16 bits that are said to have 8 are refused, %s", async (isBig) => {
    const data = dicomPixels(mr, { ...described, allocated: 8, stored: 8 }, bytesOf(disc(9000), isBig));
    await expect(readDicom("a", data)).rejects.toThrow("its samples have 16 bits, not 8");
  });

  test("values of more bits than stated do not wrap", async () => {
    const stored = disc(9000);
    const { pixels, notes } = await readDicom("a", dicomPixels(mr, { ...described, stored: 11 }, bytesOf(stored)));
    expect([...pixels]).toEqual([...stored]);
    expect(notes).toEqual([WIDER]);
  });

  test.each([7, 8, 9])("values of many more bits than %d are no overlay", async (bits) => {
    const stored = disc(4000);
    const { pixels, notes } = await readDicom("a", dicomPixels(mr, { ...described, stored: bits }, bytesOf(stored)));
    expect([...pixels]).toEqual([...stored]);
    expect(notes).toEqual([WIDER]);
  });

  test("three large overlays are no digits of the values", async () => {
    const stored = disc(1000);
    const overlaid = stored.map((value, at) => value + 0x1000 * ((at >> 3) % 8));
    const { pixels, notes } = await readDicom("a", dicomPixels(mr, { ...described, stored: 12 }, bytesOf(overlaid)));
    expect([...pixels]).toEqual([...stored]);
    expect(notes).toEqual([]);
  });

  test("bits beside the stored ones, such as an overlay, are left out", async () => {
    const stored = disc(1000);
    const overlaid = stored.map((value, at) => value + (at % 7 < 2 ? 0x8000 : 0));
    const { pixels, notes } = await readDicom("a", dicomPixels(mr, { ...described, stored: 12 }, bytesOf(overlaid)));
    expect([...pixels]).toEqual([...stored]);
    expect(notes).toEqual([]);
  });

  test("plain pixels that are said to be compressed", async () => {
    const stored = disc(900);
    const data = Buffer.from(dicomPixels(mr, described, bytesOf(stored)));
    data.write("1.2.840.10008.1.2.5", data.indexOf("1.2.840.10008.1.2.1"));
    expect([...(await readDicom("a", Uint8Array.from(data))).pixels]).toEqual([...stored]);
  });

  test("rows and columns exchanged are refused", async () => {
    const data = dicomPixels(mr, { ...described, height: width, width: height }, bytesOf(disc(900)));
    await expect(readDicom("a", data)).rejects.toMatchObject({ kind: "corrupt" });
  });
});
