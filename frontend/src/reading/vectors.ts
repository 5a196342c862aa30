/** Points and directions in the patient, in millimetres. */
export type Vector = [number, number, number];

export function dot(one: Vector, other: Vector): number {
  return one[0] * other[0] + one[1] * other[1] + one[2] * other[2];
}

export function cross([a, b, c]: Vector, [d, e, f]: Vector): Vector {
  return [b * f - c * e, c * d - a * f, a * e - b * d];
}

/** Of length 1; as it is where it has none. */
export function unit(vector: Vector): Vector {
  const length = Math.hypot(...vector) || 1;
  return vector.map((part) => part / length) as Vector;
}

/** Millimetres to the four digits that records have. */
export function rounded(millimetres: number): number {
  return Math.round(millimetres * 1e4) / 1e4;
}
