/** Sides of the patient: what tests/imaging/test_facts.py asks of Python. */
import { expect, test } from "vitest";
import { sidesOf } from "../src/reading/sides";
import type { Vector } from "../src/reading/vectors";

test.each<[Vector, Vector, string]>([
  [[1, 0, 0], [0, 1, 0], "R L A P"],
  [[1, 0, 0], [0, 0, -1], "R L H F"],
  [[0, 1, 0], [0, 0, -1], "A P H F"],
  [[-1, 0, 0], [0, 1, 0], "L R A P"],
  [[1, 0, 0], [0, 0.97, 0.24], "R L A P"],
  [[1, 0, 0], [0, 0.8, -0.6], "R L AH PF"],
  [[0.6, -0.8, 0], [0, 0, -1], "PR AL H F"],
])("rows along %j and columns along %j", (row, column, expected) => {
  const { left, right, top, bottom } = sidesOf(row, column);
  expect([left, right, top, bottom].join(" ")).toBe(expected);
});
