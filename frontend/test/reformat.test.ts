/** Thin sagittal and coronal series: what tests/imaging/test_reformat.py asks of Python. */
import { describe, expect, test } from "vitest";
import type { Vector } from "../src/reading/vectors";
import { imagesOf, slice } from "./made";

const [X, Y, Z] = [40, 38, 36];
const range = (count: number) => [...Array(count).keys()];
const value = (x: number, y: number, z: number) => x + 100 * y + 10000 * z;

/** A volume whose values tell its voxels, in slices from the right or the front, rows from the top. */
function stored(plane: "sagittal" | "coronal", mm: number) {
  const isSagittal = plane === "sagittal";
  const [count, width] = isSagittal ? [X, Y] : [Y, X];
  const row: Vector = isSagittal ? [0, 1, 0] : [1, 0, 0];
  return range(count).map((k) => {
    const pixels = Float32Array.from({ length: Z * width }, (_, at) => {
      const [z, across] = [Z - 1 - Math.floor(at / width), at % width];
      return isSagittal ? value(k, across, z) : value(across, k, z);
    });
    const position: Vector = isSagittal ? [k * mm, 0, 3 * (Z - 1)] : [0, k * mm, 3 * (Z - 1)];
    return slice(`${k}`, 0, 0, {
      pixels, height: Z, width, pixelMm: [3, 3], thicknessMm: mm, placement: { row, column: [0, 0, -1], position },
    });
  });
}

describe("series in slices that are not axial", () => {
  test.each(["sagittal", "coronal"] as const)("thin %s ones are cut into axial slices", (plane) => {
    const [image] = imagesOf(stored(plane, 3));
    expect([image.depth, image.height, image.width]).toEqual([Z, Y, X]);
    expect(range(Z * Y * X).every((at) => image.pixels[at] === value(at % X, Math.floor(at / X) % Y, Math.floor(at / (X * Y))))).toBe(true);
    expect(image.sides).toEqual({ left: "R", right: "L", top: "A", bottom: "P" });
    expect(image.headward).toBe(1);
    expect(image.locations[2]).toMatchObject({ alongMm: 6, centerMm: [58.5, 55.5, 6] });
    expect(image.sources).toHaveLength(plane === "sagittal" ? X : Y);
    expect(image.notes).toContain(`${plane} slices 3 mm apart; answered in axial slices made from them`);
  });

  test("thick ones and gaps keep their slices", () => {
    expect(imagesOf(stored("sagittal", 3.5))[0].depth).toBe(X);
    expect(imagesOf(stored("sagittal", 3).filter((_, k) => k !== 20))[0].depth).toBe(X - 1);
  });
});
