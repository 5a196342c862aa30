/**
 * From an answer for each slice to one for the whole volume, and to the slices of the finding:
 * `tumorlens/inference/aggregation.py`, which says how the rule was chosen.
 *
 * 1. Probabilities are smoothed along the slice axis with a triangular window in millimetres.
 * 2. The volume is answered as its most suspicious run of neighbouring slices that span `runMm` is,
 *    on average (probability of a finding, smoothed).
 * 3. The finding is the slices around the run where a tumour keeps a share of its largest smoothed
 *    probability there, and its middle is their centre of mass.
 *
 * Slices that do not count (null) keep their place.
 */
import { argmax, sum } from "./postprocessing";
import { median, roundHalfEven } from "./preprocessing";
import { BRAIN_TUMORS, suspicionOf } from "./classes";

const TINY_MM = 1e-6;

export interface AggregationConfig {
  /** Half the base of the triangular window; 0 smooths nothing. */
  smoothingMm: number;
  /** From the first to the last slice of a run; a run has two slices at least. */
  runMm: number;
  /** Of the run's largest smoothed probability: below it a slice no longer belongs to the finding. */
  findingShare: number;
}

export const DEFAULT: AggregationConfig = { smoothingMm: 7.5, runMm: 15, findingShare: 0.5 };

/** Probabilities of a slice, in the order of the classes; null without an answer. */
export type Row = number[] | null;

export interface Aggregate {
  probabilities: number[];
  /** First, middle and last of the most suspicious slices, from 0. */
  finding: [number, number, number];
}

/** Throws where no slice has an answer. `alongMm` is where each slice lies on the normal. */
export function aggregate(table: Row[], alongMm: number[], config = DEFAULT, classes = BRAIN_TUMORS): Aggregate {
  const answered = table.flatMap((row, slot) => (row ? [slot] : []));
  if (answered.length === 0) throw new Error("no slice has an answer");
  const along = answered.map((slot) => alongMm[slot]);
  const smoothed = smooth(answered.map((slot) => table[slot]!), along, config.smoothingMm);
  const suspicion = smoothed.map((row) => suspicionOf(row, classes));
  const run = strongestRun(suspicion, along, config.runMm);
  const probabilities = smoothed[0].map((_, name) => mean(run.map((index) => smoothed[index][name])));
  const strength = Array<number | null>(table.length).fill(null);
  answered.forEach((slot, index) => (strength[slot] = suspicion[index]));
  const peak = answered[run[argmax(run.map((index) => suspicion[index]))]];
  return { probabilities, finding: findRun(strength, alongMm, config.findingShare, peak) };
}

/** Places of the neighbouring slices that are the most suspicious on average. */
export function strongestRun(suspicion: number[], alongMm: number[], runMm: number): number[] {
  const slices = suspicion.length;
  const apart = median(alongMm.slice(1).map((along, index) => Math.abs(along - alongMm[index])));
  const further = apart * slices < runMm ? slices : roundHalfEven(runMm / Math.max(apart, TINY_MM));
  const count = Math.min(Math.max(2, 1 + further), slices);
  const starts = Array.from({ length: slices - count + 1 }, (_, start) => start);
  const first = argmax(starts.map((start) => mean(suspicion.slice(start, start + count))));
  return Array.from({ length: count }, (_, offset) => first + offset);
}

/** Average with weights that fall linearly to 0 at `radiusMm`; rows sum to 1 still. */
export function smooth(table: number[][], alongMm: number[], radiusMm: number): number[][] {
  if (radiusMm <= 0) return table;
  return alongMm.map((here) => {
    const weights = alongMm.map((there) => 1 - Math.min(Math.abs(here - there), radiusMm) / radiusMm);
    const total = sum(weights);
    return table[0].map((_, name) => sum(weights.map((weight, index) => weight * table[index][name])) / total);
  });
}

/**
 * First, middle and last of the slices around `peak` that reach `share` of its strength. A slice
 * without an answer (null) inside the run does not end it.
 */
export function findRun(
  strength: (number | null)[], alongMm: number[], share: number, peak: number,
): [number, number, number] {
  const least = share * strength[peak]!;
  const reach = (step: number) => {
    let end = peak;
    for (let slot = peak; slot >= 0 && slot < strength.length; slot += step) {
      const here = strength[slot];
      if (here === null) continue;
      if (here < least) break;
      end = slot;
    }
    return end;
  };
  const [first, last] = [reach(-1), reach(1)];
  const inside = Array.from({ length: last - first + 1 }, (_, offset) => first + offset)
    .filter((slot) => strength[slot] !== null);
  const mass = inside.map((slot) => strength[slot]!);
  const center = sum(inside.map((slot, index) => mass[index] * alongMm[slot])) / sum(mass);
  const nearest = argmax(inside.map((slot) => -Math.abs(alongMm[slot] - center)));
  return [first, inside[nearest], last];
}

function mean(values: number[]): number {
  return sum(values) / values.length;
}
