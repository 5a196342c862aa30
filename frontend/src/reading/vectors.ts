/** Points and directions in the patient, in millimetres. */
export type Vector = [number, number, number];

export function dot(a: Vector, b: Vector): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
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
