/** How an image lies in the patient: `tumorlens/imaging/facts.py`. */
import type { MedicalImage, Sides } from "../types";
import { cross, unit, type Vector } from "./vectors";

/** Where x, y and z decrease and increase: right, left, front, back, feet, head (LPS). */
const LETTERS = ["RL", "AP", "FH"];
/** Cosine from which a direction has a second letter: 30 degrees off the nearest axis. */
const SECOND_LETTER_FROM = 0.5;
/** Cosine between the normal and one of the patient's axes from which slices have a plane. */
export const NAMED = 0.8;

/** Whether the normal of axial slices points to the head (1) or to the feet (-1); 0 of other slices. */
export function headwardOf(row: Vector, column: Vector): number {
  const z = unit(cross(row, column))[2];
  return Math.abs(z) >= NAMED ? Math.sign(z) : 0;
}

/** What an image says of how it lies; nothing is known without a placement. */
export function lyingOf(axes: { row: Vector; column: Vector } | null): Pick<MedicalImage, "sides" | "headward"> {
  if (!axes) return { sides: null, headward: 0 };
  return { sides: sidesOf(axes.row, axes.column), headward: headwardOf(axes.row, axes.column) };
}

/** Which side each edge shows, from unit vectors along a row and down a column, in the patient: x to the left, y to the back, z to the head. */
export function sidesOf(row: Vector, column: Vector): Sides {
  return { left: letters(row, -1), right: letters(row, 1), top: letters(column, -1), bottom: letters(column, 1) };
}

function letters(direction: Vector, sense: number): string {
  const [first, ...others] = [0, 1, 2].sort((a, b) => Math.abs(direction[b]) - Math.abs(direction[a]));
  const axes = [first, ...others.filter((axis) => Math.abs(direction[axis]) >= SECOND_LETTER_FROM)].slice(0, 2);
  return axes.map((axis) => LETTERS[axis][sense * direction[axis] > 0 ? 1 : 0]).join("");
}
