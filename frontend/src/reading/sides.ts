/** Which side of the patient each edge of a picture shows: `sides_of` in `tumorlens/imaging/facts.py`. */
import type { Sides } from "../types";
import type { Vector } from "./vectors";

/** Where x, y and z decrease and increase: right, left, front, back, feet, head (LPS). */
const LETTERS = ["RL", "AP", "FH"];
/** Cosine from which a direction has a second letter: 30 degrees off the nearest axis. */
const SECOND_LETTER_FROM = 0.5;

/** Unit vectors along a row and down a column, in the patient: x to the left, y to the back, z to the head. */
export function sidesOf(row: Vector, column: Vector): Sides {
  return { left: letters(row, -1), right: letters(row, 1), top: letters(column, -1), bottom: letters(column, 1) };
}

function letters(direction: Vector, sense: number): string {
  const [first, ...others] = [0, 1, 2].sort((one, other) => Math.abs(direction[other]) - Math.abs(direction[one]));
  const axes = [first, ...others.filter((axis) => Math.abs(direction[axis]) >= SECOND_LETTER_FROM)].slice(0, 2);
  return axes.map((axis) => LETTERS[axis][sense * direction[axis] > 0 ? 1 : 0]).join("");
}
