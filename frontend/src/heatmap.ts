/** The class activation map in pixels of the image: `tumorlens/inference/heatmap.py`. */
import { argmax } from "./postprocessing";
import type { Heatmap, Square } from "./types";

const BOX_LEVEL = 0.5;

/** `cam` is the map of one class, (size, size). */
export function explain(
  cam: Float32Array, size: number, label: string, square: Square, height: number, width: number,
): Heatmap {
  const strongest = Math.max(0, ...cam);
  const evidence = Array.from(cam, (value) =>
    strongest > 0 ? Math.round((Math.max(0, value) / strongest) * 1e4) / 1e4 : 0,
  );
  const grid = rowsOf(evidence, size);
  const ranked = upsample(strongest > 0 ? grid : rowsOf([...cam], size), square, height, width, -Infinity);
  const peakIndex = argmax(ranked);
  const peak = { row: Math.floor(peakIndex / width), column: peakIndex % width };
  const box = strongest > 0 ? boxAround(ranked, peakIndex, height, width) : null;
  return { label, square, grid, peak, box, overlay_png: null };
}

function rowsOf(values: number[], size: number): number[][] {
  return Array.from({ length: values.length / size }, (_, row) => values.slice(row * size, (row + 1) * size));
}

/** Interpolate the cells of `square` linearly at each pixel; `outside` where the network saw none. */
export function upsample(
  grid: number[][], square: Square, height: number, width: number, outside = 0,
): Float32Array {
  const rows = cellPositions(height, square.top, square.side, grid.length);
  const columns = cellPositions(width, square.left, square.side, grid[0].length);
  const out = new Float32Array(height * width).fill(outside);
  rows.forEach((row, y) => {
    if (!row) return;
    const above = grid[row.cell];
    const below = grid[Math.min(row.cell + 1, grid.length - 1)];
    columns.forEach((column, x) => {
      if (!column) return;
      const next = Math.min(column.cell + 1, above.length - 1);
      const upper = above[column.cell] * (1 - column.share) + above[next] * column.share;
      const lower = below[column.cell] * (1 - column.share) + below[next] * column.share;
      out[y * width + x] = upper * (1 - row.share) + lower * row.share;
    });
  });
  return out;
}

/** One row (or column) of `upsample`. */
export function lineOf(
  grid: number[][], square: Square, height: number, width: number, isRow: boolean, index: number,
): Float32Array {
  const crossing = isRow
    ? cellPositions(height, square.top, square.side, grid.length)[index]
    : cellPositions(width, square.left, square.side, grid[0].length)[index];
  const along = isRow
    ? cellPositions(width, square.left, square.side, grid[0].length)
    : cellPositions(height, square.top, square.side, grid.length);
  const [last, end] = [grid.length - 1, grid[0].length - 1];
  const at = (near: number, far: number) => (
    isRow ? grid[Math.min(near, last)][Math.min(far, end)] : grid[Math.min(far, last)][Math.min(near, end)]
  );
  return Float32Array.from(along, (other) => {
    if (!crossing || !other) return 0;
    const mixed = (near: number) => at(near, other.cell) * (1 - other.share) + at(near, other.cell + 1) * other.share;
    return mixed(crossing.cell) * (1 - crossing.share) + mixed(crossing.cell + 1) * crossing.share;
  });
}

function cellPositions(pixels: number, start: number, side: number, cells: number) {
  return Array.from({ length: pixels }, (_, pixel) => {
    const relative = (pixel + 0.5 - start) / side;
    if (!(relative > 0 && relative < 1)) return null;
    const position = Math.min(cells - 1, Math.max(0, relative * cells - 0.5));
    const cell = Math.floor(position);
    return { cell, share: position - cell };
  });
}

/** Around the pixels at half the maximum or more that hang together with the peak, edge to edge. */
function boxAround(full: Float32Array, peak: number, height: number, width: number) {
  const level = BOX_LEVEL * full[peak];
  const visited = new Uint8Array(full.length);
  const waiting = [peak];
  visited[peak] = 1;
  const box = { top: height, left: width, bottom: 0, right: 0 };
  while (waiting.length > 0) {
    const at = waiting.pop()!;
    const row = Math.floor(at / width);
    const column = at % width;
    box.top = Math.min(box.top, row);
    box.left = Math.min(box.left, column);
    box.bottom = Math.max(box.bottom, row + 1);
    box.right = Math.max(box.right, column + 1);
    const near = [
      row > 0 ? at - width : -1, row < height - 1 ? at + width : -1,
      column > 0 ? at - 1 : -1, column < width - 1 ? at + 1 : -1,
    ];
    for (const next of near) {
      if (next >= 0 && !visited[next] && full[next] >= level) {
        visited[next] = 1;
        waiting.push(next);
      }
    }
  }
  return box;
}
