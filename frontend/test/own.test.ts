/** What tumorlens wrote into a study is told from its images. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { OWN_ANSWER, OWN_CLASSES, readDicom } from "../src/reading/dicom";
import { readPng, writeAnswer } from "../src/reading/png";
import { dicomFile } from "./made";

const CAPTURE = "1.2.840.10008.5.1.4.1.1.7";
const { own_classes }: { own_classes: string[] } = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url), "utf8"));

/** Without pixels. */
function dicom(sopClass: string, maker: string): Uint8Array {
  return dicomFile([[0x0008, 0x0016, "UI", sopClass], [0x0008, 0x0070, "LO", maker]]);
}

describe("an answer of ours", () => {
  test("is of the classes that Python writes", () => {
    expect([...OWN_CLASSES].sort()).toEqual([...own_classes].sort());
  });

  test.each(own_classes)("%s is passed over", async (sopClass) => {
    await expect(readDicom("a", dicom(sopClass, "tumorlens"))).rejects.toMatchObject({ kind: OWN_ANSWER });
  });

  test.each([[CAPTURE, "another maker"], ["1.2.840.10008.5.1.4.1.1.4", "tumorlens"]])("%s of %s is not one", async (sopClass, maker) => {
    await expect(readDicom("a", dicom(sopClass, maker))).rejects.toMatchObject({ kind: "limit" });
  });

  test("is an image that the page saves", () => {
    const png = writeAnswer({ width: 64, height: 64, data: new Uint8ClampedArray(4 * 64 * 64).fill(255) });
    expect(Buffer.from(png).includes("tEXtSoftware\0tumorlens")).toBe(true);
    expect(() => readPng(png)).toThrow("give the image that it was made from");
  });
});
