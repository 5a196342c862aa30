/** The page recognises what Python does: both answer the same table. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { NO_IMAGE, readDicom } from "../src/reading/dicom";
import { read } from "../src/reading/read";
import { claimsImage } from "../src/reading/signatures";
import { dicomImage, type Element } from "./made";

interface Table {
  /** Names of files, and whether they claim an image. */
  claims: [string, boolean][];
  formats: [number, string, string, string][];
  image_types: [string, boolean][];
  descriptions: [string, string, boolean][];
  localizers: [string, string, boolean][];
  body_parts: [string, boolean][];
  /** Keyword of an element, its value, and the part of the body that it names. */
  described_parts: [string, string, string][];
  /** Modality, SOP class, and what becomes of it. */
  kinds: [string, string, "read" | "noted" | "not MR" | "no image"][];
}

const table: Table = JSON.parse(readFileSync(new URL("recognised.json", import.meta.url), "utf8"));
const SIDE = 32;
const STUDY: Element[] = [[0x0020, 0x000d, "UI", "1.2"], [0x0020, 0x000e, "UI", "1.2.3"]];

const readWith = (elements: Element[]) =>
  readDicom("a", dicomImage([...elements, ...STUDY], SIDE, 1, new Uint8Array(SIDE * SIDE).map((_, at) => at % 251)));

/** What is told of an MR image of this type that has `elements`. */
async function told(imageType: string, elements: Element[]) {
  const { notes, origin } = await readWith([[0x0008, 0x0008, "CS", imageType], [0x0008, 0x0060, "CS", "MR"], ...elements]);
  return { notes, outsideTraining: origin!.outsideTraining };
}

const DESCRIPTIONS: Record<string, [number, number]> = {
  SeriesDescription: [0x0008, 0x103e], ProtocolName: [0x0018, 0x1030], PerformedProcedureStepDescription: [0x0040, 0x0254],
  StudyDescription: [0x0008, 0x1030], RequestedProcedureDescription: [0x0032, 0x1060],
};
const description = (words: string): Element => [0x0008, 0x103e, "LO", words];
const expected = (isTold: boolean, note: unknown) => ({ notes: isTold ? [note] : [], outsideTraining: isTold });

test.each(table.claims)("%s claims an image: %s", (name, claims) => {
  expect([name, name.toUpperCase()].map(claimsImage)).toEqual([claims, claims]);
});

describe("formats that are not read are named, and what to do is said", () => {
  test.each(table.formats)("%i %j: %s", async (at, start, name, advice) => {
    const data = Uint8Array.from("\0".repeat(at) + start + "\0".repeat(344), (char) => char.charCodeAt(0));
    await expect(read("a", data)).rejects.toMatchObject({
      kind: "unsupported_format", message: `is ${name}, which is not supported; ${advice}`,
    });
  });

  test("a long file that begins like Analyze is not named so", async () => {
    await expect(read("a", Uint8Array.from([0x5c, 1, ...new Uint8Array(2002)]))).rejects.toThrow("is not an image that the page reads");
  });
});

describe("images that were not acquired for diagnosis are told", () => {
  test.each(table.image_types)("of type %s: %s", async (word, isTold) => {
    expect(await told(`DERIVED\\PRIMARY\\${word}`, [])).toEqual(expected(isTold, `the image is computed from others (${word}), which the network was not trained on`));
  });

  test.each(table.descriptions)("%s, described as %s: %s", async (kind, words, isTold) => {
    expect(await told(`${kind}\\SECONDARY`, [description(words)])).toEqual(expected(isTold, expect.stringContaining("is computed from others")));
  });

  test.each(table.localizers)("of type %s, described as %s: %s", async (kind, words, isTold) => {
    expect(await told(`ORIGINAL\\PRIMARY\\${kind}`, [description(words)])).toEqual(expected(isTold, expect.stringContaining("is a localizer")));
  });

  test.each(table.body_parts)("of body part %s: %s", async (part, isTold) => {
    expect(await told("ORIGINAL\\PRIMARY\\M", [[0x0018, 0x0015, "CS", part]])).toEqual(expected(isTold, `the file states another part of the body (${part})`));
  });

  test.each(table.described_parts)("%s %s: %s", async (keyword, words, named) => {
    const stated = await told("ORIGINAL\\PRIMARY\\M", [[...DESCRIPTIONS[keyword], "LO", words]]);
    expect(stated).toEqual(expected(named !== "", `the file states another part of the body (${named})`));
    const withPart: Element[] = [[...DESCRIPTIONS[keyword], "LO", words], [0x0018, 0x0015, "CS", "HEAD"]];
    expect(await told("ORIGINAL\\PRIMARY\\M", withPart)).toEqual(expected(false, ""));
  });

  test("a calibration", async () => {
    const note = "the image is a calibration, which the network was not trained on";
    expect(await told("ORIGINAL\\PRIMARY\\M", [description("ASSET Calibration")])).toEqual(expected(true, note));
  });

  test("a mosaic of many slices is refused, not answered as one", async () => {
    await expect(told("ORIGINAL\\PRIMARY\\M\\ND\\MOSAIC", [])).rejects.toMatchObject({
      kind: "unsupported_format", message: "a mosaic of many slices in one image; export the slices as a volume",
    });
  });
});

describe("only MR images are answered, whatever else has rows and columns", () => {
  test.each(table.kinds)("modality %j, class %s: %s", async (modality, sopClass, outcome) => {
    const part = readWith([[0x0008, 0x0016, "UI", `1.2.840.10008.5.1.4.1.1.${sopClass}`], [0x0008, 0x0060, "CS", modality]]);
    if (outcome === "not MR") return expect(part).rejects.toMatchObject({ kind: "not_mr" });
    if (outcome === "no image") return expect(part).rejects.toMatchObject({ kind: NO_IMAGE });
    const noted = expect.stringContaining("the file does not state that it is MR");
    expect((await part).notes).toEqual(outcome === "noted" ? [noted] : []);
  });
});
