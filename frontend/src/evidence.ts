/** Putting evidence together, position by position where series are parallel: `tumorlens/inference/evidence.py`, which says why. */
import { aggregate, DEFAULT, type Row } from "./aggregation";
import { noFindingPlace } from "./classes";
import { sum } from "./postprocessing";
import { median } from "./preprocessing";
import { dot, unit, type Vector } from "./reading/vectors";
import type { ClassSet } from "./types";

const TINY = 1e-6;
const PARALLEL = 0.87;
const OVERLAP = 0.5;

/** The slices of a series that count, in their order; at least two. */
export interface Stack {
  centersMm: Vector[];
  table: number[][];
  /** Positions of series with different ones cannot be compared. */
  frame: string | null;
}

/** Probabilities out of those of several series. */
export function fuse(rows: number[][], weights: number[], classes: ClassSet): number[] {
  const total = sum(weights);
  const mean = (values: number[]) => sum(values.map((value, index) => value * (weights[index] / total)));
  const kinds = rows[0].map((_, name) => mean(rows.map((row) => row[name])));
  const noFinding = noFindingPlace(classes);
  if (noFinding < 0) return kinds;
  kinds[noFinding] = 0;
  return withOdds(kinds, mean(rows.map((row) => oddsOf(row[noFinding]))), noFinding);
}

function oddsOf(none: number): number {
  const clamped = Math.min(1 - TINY, Math.max(TINY, none));
  return Math.log((1 - clamped) / clamped);
}

/** Probabilities from shares of the kinds, 0 at `noFinding`, and log-odds. */
function withOdds(kinds: number[], odds: number, noFinding: number): number[] {
  const finding = 1 / (1 + Math.exp(-odds));
  const total = Math.max(sum(kinds), TINY ** 2);
  const row = kinds.map((share) => (share * finding) / total);
  row[noFinding] = 1 - sum(row);
  return row;
}

/** Which of `stacks` lie beside each other; one without geometry is alone. */
export function parallelGroups(stacks: (Stack | null)[]): number[][] {
  const groups: number[][] = [];
  stacks.forEach((stack, index) => {
    const group = groups.find(([first]) => {
      const other = stacks[first];
      return stack !== null && other !== null && areParallel(other, stack);
    });
    if (group) group.push(index);
    else groups.push([index]);
  });
  return groups;
}

function normalOf({ centersMm }: Stack): Vector {
  const [first, last] = [centersMm[0], centersMm[centersMm.length - 1]];
  return unit([0, 1, 2].map((axis) => last[axis] - first[axis]) as Vector);
}

export function areParallel(first: Stack, second: Stack): boolean {
  if (first.frame !== null && second.frame !== null && first.frame !== second.frame) return false;
  const normal = normalOf(first);
  if (Math.abs(dot(normal, normalOf(second))) < PARALLEL) return false;
  const [[low, high], [below, above]] = [first, second].map(({ centersMm }) => {
    const along = centersMm.map((center) => dot(center, normal));
    return [Math.min(...along), Math.max(...along)];
  });
  return Math.min(high, above) - Math.max(low, below) >= OVERLAP * Math.min(high - low, above - below);
}

/** Probabilities of parallel series as one: fused at each position, then aggregated. */
export function fusePositions(stacks: Stack[], weights: number[], classes: ClassSet): number[] {
  const finest = stacks.reduce((most, stack) => (stack.table.length > most.table.length ? stack : most));
  const normal = normalOf(finest);
  const along = positionsOf(stacks, normal);
  const resampled = stacks.map((stack) => resample(stack, along, normal, classes));
  const table = along.map((_, index) => {
    const present = resampled.flatMap((rows, k) => (rows[index] ? [k] : []));
    return fuse(present.map((k) => resampled[k][index]!), present.map((k) => weights[k]), classes);
  });
  return aggregate(table, along, DEFAULT, classes).probabilities;
}

/** Those of the stack with the most slices, and of others what lies beyond its ends. */
function positionsOf(stacks: Stack[], normal: Vector): number[] {
  const ofEach = stacks.map(({ centersMm }) => centersMm.map((center) => dot(center, normal)));
  const [along, ...others] = ofEach.sort((a, b) => b.length - a.length);
  return others.reduce((known, other) => {
    const [low, high] = [known[0], known[known.length - 1]];
    return ascending([...known, ...other.filter((at) => at < low || at > high)]);
  }, ascending(along));
}

function ascending(values: number[]): number[] {
  return [...values].sort((a, b) => a - b);
}

function resample(stack: Stack, along: number[], normal: Vector, classes: ClassSet): Row[] {
  const slices = stack.centersMm.map((center, index) => ({ at: dot(center, normal), row: stack.table[index] }));
  slices.sort((a, b) => a.at - b.at);
  const own = slices.map(({ at }) => at);
  const half = median(own.slice(1).map((at, index) => at - own[index])) / 2;
  const none = noFindingPlace(classes);
  const column = (name: number) => slices.map(({ row }) => row[name]);
  const odds = none < 0 ? [] : column(none).map(oddsOf);
  return along.map((at) => {
    if (at < own[0] - half || at > own[own.length - 1] + half) return null;
    const row = stack.table[0].map((_, name) => between(at, own, column(name)));
    if (none < 0) return row;
    row[none] = 0;
    return withOdds(row, between(at, own, odds), none);
  });
}

/** `numpy.interp`. */
function between(at: number, positions: number[], values: number[]): number {
  const next = positions.findIndex((position) => position > at);
  if (next === 0) return values[0];
  if (next < 0) return values[values.length - 1];
  const share = (at - positions[next - 1]) / (positions[next] - positions[next - 1]);
  return values[next - 1] + share * (values[next] - values[next - 1]);
}
