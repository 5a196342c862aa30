/** The bright margin of a screenshot: what tests/imaging/test_margin.py asks of Python. */
import { expect, test } from "vitest";
import { insideMargin } from "../src/margin";
import type { Plane } from "../src/preprocessing";

const SIDE = 200;

/** White, but for a rectangle from dark to bright. */
function page(top: number, left: number, bottom: number, right: number): Plane {
  const pixels = new Float32Array(SIDE * SIDE).fill(255);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) pixels[y * SIDE + x] = (200 * (x - left)) / (right - left);
  }
  return { pixels, height: SIDE, width: SIDE };
}

test("a margin is left out", () => {
  const { top, bottom } = insideMargin(page(40, 30, 180, 190));
  expect([top, bottom]).toEqual([40, 180]);
});

test.each<[string, number, number, number, number]>([
  ["few rows", 99, 20, 101, 180], ["few columns", 20, 99, 180, 101], ["a dot", 90, 90, 110, 110], ["nothing", 0, 0, 0, 0],
])("the image is whole where the rest is small: %s", (_, top, left, bottom, right) => {
  expect(insideMargin(page(top, left, bottom, right))).toEqual({ top: 0, left: 0, bottom: SIDE, right: SIDE });
});
