/** How slices become upright, the face or the crown on top: `tumorlens/imaging/geometry/turn.py`. */
import type { DicomPart } from "./dicom";
import { lyingOf, NAMED, sidesOf } from "./sides";
import type { Placement } from "./slice_ordering";
import { cross, dot, unit, type Vector } from "./vectors";

/** Directions along a row and down a column of upright sagittal, coronal and axial slices. */
const UPRIGHT: Array<[Vector, Vector]> = [
  [[0, 1, 0], [0, 0, -1]], [[1, 0, 0], [0, 0, -1]], [[1, 0, 0], [0, 1, 0]],
];

/** Rows and columns are exchanged first, and then reversed. */
export interface Turn {
  isExchanged: boolean;
  reversesRows: boolean;
  reversesColumns: boolean;
}

export type Axes = Pick<Placement, "row" | "column">;

/** Null where slices are upright, or have no named plane. */
export function turnOf({ row, column }: Axes): Turn | null {
  const cosines = unit(cross(row, column)).map(Math.abs);
  const nearest = cosines.indexOf(Math.max(...cosines));
  if (cosines[nearest] < NAMED) return null;
  const [across, down] = UPRIGHT[nearest];
  if (sidesOf(row, column).top.includes(sidesOf(across, down).top)) return null;
  const isExchanged = Math.abs(dot(row, down)) > Math.abs(dot(column, down));
  const [rows, columns] = isExchanged ? [column, row] : [row, column];
  return { isExchanged, reversesRows: dot(columns, down) < 0, reversesColumns: dot(rows, across) < 0 };
}

/** What a person should know of slices that were turned. */
export function turnNote({ isExchanged }: Turn): string {
  const how = isExchanged ? "rotated by 90 degrees" : "upside down";
  return `the slices are stored ${how}; they are turned upright`;
}

/** A file of one slice, turned; itself where `turn` is null. */
export function turnedBy(part: DicomPart, turn: Turn | null): DicomPart {
  if (!turn) return part;
  const { height, width, levels, aspect, placement } = part;
  const order = orderOf(turn, height, width);
  const exchanged = <T>(pair: [T, T]): [T, T] => (turn.isExchanged ? [pair[1], pair[0]] : pair);
  const [rows, columns] = exchanged([height, width]);
  const pixelMm = part.pixelMm ? exchanged(part.pixelMm) : part.pixelMm;
  const lying = placement && turnedPlacement(placement, turn, [rows, columns], pixelMm ?? [0, 0]);
  return {
    ...part, ...(lying && lyingOf(lying)), placement: lying, turn, height: rows, width: columns, pixelMm,
    pixels: Float32Array.from(order, (index) => part.pixels[index]),
    levels: { ...levels, empty: levels.empty && Uint8Array.from(order, (index) => levels.empty![index]) },
    aspect: turn.isExchanged ? 1 / aspect : aspect,
    pixelAspect: part.pixelAspect ? exchanged(part.pixelAspect) : null,
  };
}

/** For each pixel of the turned slice, the one of the stored slice. */
function orderOf({ isExchanged, reversesRows, reversesColumns }: Turn, height: number, width: number): Int32Array {
  const [rows, columns] = isExchanged ? [width, height] : [height, width];
  return Int32Array.from({ length: rows * columns }, (_, index) => {
    const [down, across] = [Math.floor(index / columns), index % columns];
    const row = reversesRows ? rows - 1 - down : down;
    const column = reversesColumns ? columns - 1 - across : across;
    return isExchanged ? column * width + row : row * width + column;
  });
}

/** `size` and `pixelMm` are those of the turned slice, (rows, columns). */
function turnedPlacement(stored: Placement, turn: Turn, size: [number, number], pixelMm: [number, number]): Placement {
  const [row, column] = turn.isExchanged ? [stored.column, stored.row] : [stored.row, stored.column];
  const down = turn.reversesRows ? (size[0] - 1) * pixelMm[0] : 0;
  const across = turn.reversesColumns ? (size[1] - 1) * pixelMm[1] : 0;
  return {
    row: turn.reversesColumns ? opposite(row) : row,
    column: turn.reversesRows ? opposite(column) : column,
    position: stored.position.map((at, axis) => at + down * column[axis] + across * row[axis]) as Vector,
  };
}

function opposite(direction: Vector): Vector {
  return direction.map((part) => 0 - part) as Vector;
}
