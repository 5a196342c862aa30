/** Slices of several volumes in turns: what tests/imaging/test_slices_in_turns.py asks of Python. */
import { describe, expect, test } from "vitest";
import { notesOnTurns } from "../src/slices_in_turns";

const [DEPTH, SIDE] = [16, 32];

/** Slices that change little by little. */
const volume = Array.from({ length: DEPTH }, (_, slice) => (
  Array.from({ length: SIDE * SIDE }, (_, at) => 100 + 50 * Math.sin((at % SIDE) / 3 + slice / 5) * Math.cos(Math.floor(at / SIDE) / 4))
));
const other = volume.map((slice) => slice.map((value, at) => 100 + 50 * Math.sin(value / 9 + at / 70)));

function notes(slices: number[][]): string[] {
  return notesOnTurns({ pixels: Float32Array.from(slices.flat()), depth: slices.length, height: SIDE, width: SIDE });
}

const mixed = volume.flatMap((slice, index) => [slice, other[index]]);
const note = "slices are less like their neighbours than like those 2 further on; 2 volumes may be mixed";

describe("slices in turns", () => {
  test.each([
    ["one volume", volume, []], ["of changing brightness", volume.map((slice, index) => slice.map((value) => value * (index % 2 ? 1 : 5))), []],
    ["equal slices", volume.map(() => volume[0]), []], ["blank slices", volume.map((slice) => slice.map(() => 3)), []],
    ["few slices", mixed.slice(0, 7), []], ["two volumes", mixed, [note]],
  ])("%s", (_, slices, expected) => {
    expect(notes(slices)).toEqual(expected);
  });
});
