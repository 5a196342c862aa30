/** From logits to probabilities and an answer: `tumorlens/inference/postprocessing.py`. */

/** Softmax of `logits / temperature`. */
export function softmax(logits: ArrayLike<number>, temperature: number): number[] {
  const values = Array.from(logits);
  const largest = Math.max(...values);
  const exponentials = values.map((value) => Math.exp((value - largest) / temperature));
  const total = sum(exponentials);
  return exponentials.map((value) => value / total);
}

export function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Place of the largest; the first of equals. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
