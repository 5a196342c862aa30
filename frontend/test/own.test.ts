/** What tumorlens wrote into a study is told from its pictures. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { OWN_ANSWER, OWN_CLASSES, readDicom } from "../src/reading/dicom";

const CAPTURE = "1.2.840.10008.5.1.4.1.1.7";
const { own_classes }: { own_classes: string[] } = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url), "utf8"));

/** Explicit little endian, without pixels. */
function dicom(sopClass: string, maker: string): Uint8Array {
  const elements = [
    [0x0002, 0x0010, "UI", "1.2.840.10008.1.2.1\0"],
    [0x0008, 0x0016, "UI", sopClass + "\0".repeat(sopClass.length % 2)],
    [0x0008, 0x0070, "LO", maker + " ".repeat(maker.length % 2)],
  ] as const;
  const encoded = elements.map(([group, element, kind, value]) => [
    group & 255, group >> 8, element & 255, element >> 8, ...Buffer.from(kind), value.length, 0, ...Buffer.from(value),
  ]);
  return Uint8Array.from([...Buffer.alloc(128), ...Buffer.from("DICM"), ...encoded.flat()]);
}

describe("an answer of ours", () => {
  test("is of the classes that Python writes", () => {
    expect([...OWN_CLASSES].sort()).toEqual([...own_classes].sort());
  });

  test.each(own_classes)("%s is passed over", async (sopClass) => {
    await expect(readDicom("a", dicom(sopClass, "tumorlens"))).rejects.toMatchObject({ kind: OWN_ANSWER });
  });

  test.each([[CAPTURE, "another maker"], ["1.2.840.10008.5.1.4.1.1.4", "tumorlens"]])("%s of %s is not one", async (sopClass, maker) => {
    await expect(readDicom("a", dicom(sopClass, maker))).rejects.toMatchObject({ kind: "unsupported_format" });
  });
});
