/** Slices in space: what tests/imaging/test_stacks.py asks of Python. */
import { describe, expect, test } from "vitest";
import { type Frame, ROUNDED, split } from "../src/reading/slice_ordering";
import type { Vector } from "../src/reading/vectors";

const AXIAL: [Vector, Vector] = [[1, 0, 0], [0, 1, 0]];
const SAGITTAL: [Vector, Vector] = [[0, 1, 0], [0, 0, -1]];

function frame(position: Vector, [row, column] = AXIAL, more: Partial<Frame> = {}): Frame {
  const name = position.join();
  return { name, height: 64, width: 64, placement: { row, column, position }, thicknessMm: 5, order: [0], ...more };
}

describe("split", () => {
  test("sorts along the normal, whatever the names say", () => {
    const [stack] = split([10, 0, 5].map((z) => frame([0, 0, z])));
    expect(stack.alongMm).toEqual([0, 5, 10]);
    expect(stack.frames.map(({ name }) => name)).toEqual(["0,0,0", "0,0,5", "0,0,10"]);
    expect(stack.notes).toEqual([]);
  });

  test("a localizer becomes its directions, sizes apart, the largest first", () => {
    const stacks = split([
      frame([0, 0, 0]), frame([9, 0, 0], SAGITTAL), frame([4, 0, 0], SAGITTAL), frame([0, 0, 5], AXIAL, { width: 32 }),
    ]);
    expect(stacks.map(({ frames }) => frames.length)).toEqual([2, 1, 1]);
    // The normal of sagittal slices, rows to the back and columns to the feet, points to the right.
    expect(stacks[0].alongMm).toEqual([-9, -4]);
  });

  test("a small tilt is the same direction", () => {
    const tilted: [Vector, Vector] = [[0.99999, 0.004, 0], [-0.004, 0.99999, 0]];
    expect(split([frame([0, 0, 0]), frame([0, 0, 5], tilted)])).toHaveLength(1);
  });

  test("of several at one place the first by number stays", () => {
    const echoes = [2, 1].flatMap((order) => [0, 5].map((z) => frame([0, 0, z], AXIAL, { order: [order], name: `${z}-${order}` })));
    const [stack] = split(echoes);
    expect(stack.frames.map(({ name }) => name)).toEqual(["0-1", "5-1"]);
    expect(stack.repeats.map(({ name }) => name)).toEqual(["0-2", "5-2"]);
    expect(stack.notes).toEqual(["2 slices repeat the position of another and are left out"]);
  });

  test.each([
    ["instance number", (z: number, part: number) => 1 + z + 20 * part, "1 to 11", "21 to 31"],
    ["window", (_: number, part: number) => `${500 - part}/900`, "500/900", "499/900"],
    ["acquisition time", (z: number, part: number) => `10${10 + part}${10 + z}`, "101010 to 101020", "101110 to 101120"],
  ])("whole volumes that only %s tells apart", (name, value, first, second) => {
    const traits = (z: number, part: number) => new Map<string, number | string>([[name, value(z, part)], ...(name === "window" ? [["instance number", part] as const] : [])]);
    const frames = [1, 0].flatMap((part) => [0, 5, 10].map((z) => frame([0, 0, z], AXIAL, { name: `${z}-${part}`, traits: traits(z, part) })));
    const [stack] = split(frames);
    expect(stack.frames.map((one) => one.name)).toEqual(["0-0", "5-0", "10-0"]);
    expect(stack.notes).toEqual([`3 slices with ${name} ${second} lie at the positions of those with ${name} ${first} and are left out`]);
  });

  test.each([0.6, 0.9, 1.5, -1.5])("positions rounded to whole millimetres, slices %d mm apart", (step) => {
    const rounded = (thicknessMm: number) => split([...Array(20).keys()].map((at) => frame([0, 0, Math.round(at * step)], AXIAL, { name: `${at}`, instance: at + 1, thicknessMm })));
    const [stack, ...others] = rounded(Math.abs(step));
    expect([others, stack.notes]).toEqual([[], [ROUNDED]]);
    const inOrder = step > 0 ? [...Array(20).keys()] : [...Array(20).keys()].reverse();
    expect(stack.frames.map(({ name }) => Number(name))).toEqual(inOrder);
    expect(rounded(2)[0].notes).not.toContain(ROUNDED);
  });

  test("gaps are told", () => {
    const [stack] = split([0, 5, 10, 25].map((z) => frame([0, 0, z])));
    expect(stack.notes).toEqual(["gap of 15.0 mm between slices 3 and 4, counted from 1: about 2 missing"]);
    // Two slices 5 mm apart, then a gap of 10, again and again.
    const many = split([...Array(39).keys()].map((at) => frame([0, 0, 5 * at + 5 * Math.floor(at / 3)])))[0].notes;
    expect(many).toHaveLength(11);
    expect(many.at(-1)).toBe("2 more gaps");
    const uneven = split([0, 5, 15, 20, 30, 35, 45].map((z) => frame([0, 0, z])))[0];
    expect(uneven.notes).toEqual(["slices are 5.0 mm apart here and 10.0 mm there: some may be missing"]);
    const wide = split([0, 10, 20].map((z) => frame([0, 0, z])))[0];
    expect(wide.notes).toEqual(["slices are 10.0 mm apart but 5.0 mm thick: some may be missing"]);
  });

  test("nothing gives nothing", () => {
    expect(split([])).toEqual([]);
  });
});
