/** Slices that are turned upright or resampled: what tests/imaging/test_turn.py asks of Python. */
import { expect, test } from "vitest";
import { readDicom } from "../src/reading/dicom";
import { turnOf } from "../src/reading/turn";
import type { Vector } from "../src/reading/vectors";
import { dicomPixels, type Element, imagesOf, slice } from "./made";

const [HEIGHT, WIDTH] = [40, 32];
const RAMP = Uint8Array.from({ length: HEIGHT * WIDTH }, (_, place) => place % 251);

/** An MR image, with `geometry` of group 0020 and `more` of group 0028. */
function file(geometry: Element[], more: Element[], pixels = RAMP, height = HEIGHT, width = WIDTH): Uint8Array {
  const described = { height, width, samples: 1, photometric: "MONOCHROME2", allocated: 8, stored: 8, more };
  return dicomPixels([[0x0008, 0x0016, "UI", "1.2.840.10008.5.1.4.1.1.4"], [0x0008, 0x0060, "CS", "MR"], ...geometry], described, pixels);
}

async function read(axes: string, spacing: string, pixels = RAMP, height = HEIGHT, width = WIDTH) {
  const geometry: Element[] = [[0x0020, 0x0032, "DS", "-90\\-100\\5"], [0x0020, 0x0037, "DS", axes]];
  return readDicom("a", file(geometry, [[0x0028, 0x0030, "DS", spacing]], pixels, height, width));
}

test.each<[Vector, Vector, [boolean, boolean, boolean] | null]>([
  [[1, 0, 0], [0, 1, 0], null],
  [[-1, 0, 0], [0, 1, 0], null],
  [[1, 0, 0], [0, -1, 0], [false, true, false]],
  [[-1, 0, 0], [0, -1, 0], [false, true, true]],
  [[0, 1, 0], [1, 0, 0], [true, false, false]],
  [[0, -1, 0], [1, 0, 0], [true, true, false]],
  [[1, 0, 0], [0, 0, -1], null],
  [[1, 0, 0], [0, 0, 1], [false, true, false]],
  [[0, 0, -1], [1, 0, 0], [true, false, false]],
  [[0, 1, 0], [0, 0, -1], null],
  [[0, 0, 1], [0, 1, 0], [true, true, false]],
  [[1, 0, 0], [0, 0.8, -0.6], null],
  [[0.8, -0.6, 0], [-0.6, -0.8, 0], [false, true, false]],
  [[0.7, 0.7, 0], [0, 0, 1], null],
])("rows along %j and columns along %j", (row, column, turn) => {
  const [isExchanged, reversesRows, reversesColumns] = turn ?? [];
  expect(turnOf({ row, column })).toEqual(turn && { isExchanged, reversesRows, reversesColumns });
});

test.each([
  ["1\\0\\0\\0\\-1\\0", "upside down"], ["-1\\0\\0\\0\\-1\\0", "upside down"], ["0\\1\\0\\1\\0\\0", "rotated by 90 degrees"],
  ["0\\0\\-1\\1\\0\\0", "rotated by 90 degrees"], ["1\\0\\0\\0\\1\\0", null],
])("each pixel of slices along %s stays where it is", async (axes, how) => {
  const part = await read(axes, "1\\1.05");
  const [image] = imagesOf([part]);
  expect(image.notes).toEqual(how ? [`the slices are stored ${how}; they are turned upright`] : []);
  expect("AH").toContain(image.sides!.top);
  const numbers = axes.split("\\").map(Number);
  const { row, column, position } = part.placement!;
  for (const [y, x] of [[0, 0], [0, 31], [20, 9], [39, 5]]) {
    const point = [-90, -100, 5].map((at, axis) => at + y * numbers[3 + axis] + x * 1.05 * numbers[axis]);
    const offset = point.map((at, axis) => at - position[axis]);
    const along = (direction: Vector) => direction.reduce((sum, part, axis) => sum + part * offset[axis], 0);
    const [down, across] = [along(column) / part.pixelMm![0], along(row) / part.pixelMm![1]];
    expect(down).toBeCloseTo(Math.round(down), 6);
    expect(across).toBeCloseTo(Math.round(across), 6);
    expect(image.pixels[Math.round(down) * image.width + Math.round(across)]).toBe(RAMP[y * WIDTH + x]);
  }
});

test("turned slices of oblong pixels", async () => {
  const transposed = Uint8Array.from({ length: RAMP.length }, (_, at) => RAMP[(at % HEIGHT) * WIDTH + Math.floor(at / HEIGHT)]);
  const [turned] = imagesOf([await read("0\\1\\0\\1\\0\\0", "1\\2", transposed, WIDTH, HEIGHT)]);
  const [upright] = imagesOf([await read("1\\0\\0\\0\\1\\0", "2\\1")]);
  expect([turned.height, turned.width, turned.pixelMm, turned.aspect]).toEqual([2 * HEIGHT, WIDTH, [1, 1], 1]);
  expect([...turned.pixels]).toEqual([...upright.pixels]);
  expect(upright.notes).toEqual(["pixels of 2 x 1 mm are not square; the slices are resampled to square ones"]);
});

test("a slice without a position is turned as the others", () => {
  const turn = { isExchanged: false, reversesRows: true, reversesColumns: false };
  const upward = (name: string, z: number) => slice(name, z, 1, { turn, instance: z, width: 2, height: 4, pixels: Float32Array.of(7, 8, 5, 6, 3, 4, 1, 2) });
  const unplaced = slice("d", null, 1, { instance: 9, width: 2, height: 4, pixels: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8) });
  const [image] = imagesOf([upward("a", 0), upward("b", 3), upward("c", 6), unplaced]);
  expect([...image.pixels]).toEqual([0, 1, 2, 3].flatMap(() => [7, 8, 5, 6, 3, 4, 1, 2]));
});

test.each([
  ["2\\1", 2, "; the slices are resampled to square ones"], ["100\\101", 1, null], ["0\\1", 1, null],
  ["9\\1", 1, ": the head looks stretched"],
])("pixels of aspect %s alone", async (ratio, rows, end) => {
  const [image] = imagesOf([await readDicom("a", file([], [[0x0028, 0x0034, "IS", ratio]]))]);
  expect([image.height, image.width]).toEqual([rows * HEIGHT, WIDTH]);
  expect(image.notes).toEqual(end ? [`pixels of aspect ${ratio.replace("\\", ":")} are not square${end}`] : []);
});

test("an image that would become too large is noted", () => {
  const tall = slice("a", 0, 1, { height: 8000, width: 32, pixels: new Float32Array(8000 * 32), pixelMm: [0.9, 0.45] });
  const [image] = imagesOf([tall]);
  expect([image.height, image.notes]).toEqual([8000, ["pixels of 0.9 x 0.45 mm are not square: the head looks stretched"]]);
});
