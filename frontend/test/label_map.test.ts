/** Volumes whose voxels name regions are refused: what tests/imaging/test_nifti.py asks of Python. */
import { describe, expect, test } from "vitest";
import { checkNoComputedMap } from "../src/reading/label_map";
import { readNifti } from "../src/reading/nifti";
import { group } from "../src/reading/series";
import { slice } from "./made";

const SIDE = 32;
const DEPTH = 4;
const HEADER = 352;

/** NIfTI-1 of bytes, `value` at each voxel, whose columns are `columnMm` wide. */
function nifti(value: (place: number) => number, columnMm = 1): Uint8Array {
  const count = SIDE * SIDE * DEPTH;
  const data = new Uint8Array(HEADER + count);
  const view = new DataView(data.buffer);
  view.setInt32(0, 348, true);
  [3, SIDE, SIDE, DEPTH, 1, 1, 1, 1].forEach((side, place) => view.setInt16(40 + 2 * place, side, true));
  view.setInt16(70, 2, true);
  view.setInt16(72, 8, true);
  [1, columnMm, 1, 5].forEach((size, place) => view.setFloat32(76 + 4 * place, size, true));
  view.setFloat32(108, HEADER, true);
  data.set(Buffer.from("n+1\0"), 344);
  for (let place = 0; place < count; place++) data[HEADER + place] = value(place);
  return data;
}

/** Regions of a few voxels each, by `labels`. */
const regions = (labels: number[]) => (place: number) => labels[Math.floor(place / 7) % labels.length];

describe("a label map", () => {
  test.each([[[0, 1]], [[0, 1, 2, 4]], [[0, 255]]])("of %j is refused", (labels) => {
    for (const columnMm of [1, 2.5]) {
      expect(() => readNifti("a", nifti(regions(labels), columnMm))).toThrow(
        `a label map or mask, not an image (its only values are ${labels.join(", ")})`,
      );
    }
  });

  test("is no image of three bits, and no blank one", () => {
    expect(readNifti("a", nifti(regions([0, 1, 2, 3, 4, 5, 6, 7]))).depth).toBe(DEPTH);
    expect(readNifti("a", nifti(() => 3)).depth).toBe(DEPTH);
  });

  test.each([[30, true], [100, false]])("with soft edges up to %i is a mask: %s", (edge, isMask) => {
    // A block of 100 in the middle; its edge is one of many values, or all of it is.
    const value = (place: number) => {
      const [x, y, z] = [place % SIDE, Math.floor(place / SIDE) % SIDE, Math.floor(place / SIDE ** 2)];
      const inside = Math.min(x, y, SIDE - 1 - x, SIDE - 1 - y);
      return inside < 4 || z === 0 || z === DEPTH - 1 ? 0 : inside < 6 || edge === 100 ? (place * 7) % edge : 100;
    };
    const read = () => readNifti("a", nifti(value));
    if (isMask) expect(read).toThrow("a mask, not an image (most of what is bright has one value)");
    else expect(read().depth).toBe(DEPTH);
  });

  test.each([9, 45, 180])("of %i areas is refused, but no image that is as even", (count) => {
    const areas = (place: number) => {
      const [x, y] = [Math.floor((place % SIDE) / 8), Math.floor(place / SIDE) % SIDE];
      return y < 2 || y >= SIDE - 2 ? 0 : 1 + ((37 * (7 * x + 3 * Math.floor(y / 8) + Math.floor(place / SIDE ** 2))) % count);
    };
    expect(() => readNifti("a", nifti(areas))).toThrow("a label map, not an image (it has areas of one value each)");
    // Enlarged pixels of a ramp: neighbours are even, and their values are ordered.
    const ramp = (place: number) => Math.floor((place % SIDE) / 3) + (Math.floor(place / SIDE) % SIDE < 2 ? 0 : 1);
    expect(readNifti("a", nifti(ramp)).depth).toBe(DEPTH);
  });

  test.each([["probability", false], ["distance", false], ["", true]])("of a %s map is told apart: %s", (name, isImage) => {
    const inside = (place: number) => Math.min(
      place % SIDE, Math.floor(place / SIDE) % SIDE, SIDE - 1 - (place % SIDE), SIDE - 1 - (Math.floor(place / SIDE) % SIDE),
    );
    const noise = (place: number) => ((place * 7919) % 101) / 101;
    const value = (place: number) => {
      if (name === "distance") return Math.max(0, inside(place) - 4);
      return inside(place) < 4 ? 0 : name ? Math.round(noise(place)) * 0.97 + 0.03 * noise(place) : noise(place) ** 2;
    };
    const pixels = Float32Array.from({ length: SIDE * SIDE * DEPTH }, (_, place) => value(place));
    const check = () => checkNoComputedMap({ pixels, depth: DEPTH, height: SIDE, width: SIDE });
    if (isImage) expect(check).not.toThrow();
    else expect(check).toThrow(`a ${name} map, not an image`);
  });

  // Pixels of 1 x 2 mm: made square, labels would lie between each other.
  test("costs no other series its answer", () => {
    const series = (name: string, labels: number[]) => [0, 1].map((z) => slice(`${name}/${z}`, 3 * z, 0, {
      pixels: Float32Array.from({ length: SIDE * SIDE }, (_, place) => labels[(place * 7 + Math.floor(place / 5)) % labels.length]),
      series: name, seriesNumber: null, pixelMm: [1, 2],
    }));
    const found = group([...series("mask", [0, 1]), ...series("head", [...Array(20).keys()])]);
    expect(found.images.map(({ name, width }) => [name, width])).toEqual([["head (2 files)", 2 * SIDE]]);
    expect(found.failures.map(({ failure }) => failure)).toEqual([{
      path: "mask (2 files)",
      error: { kind: "unsupported_format", message: "mask (2 files): a label map or mask, not an image (its only values are 0, 1)" },
    }]);
  });
});
