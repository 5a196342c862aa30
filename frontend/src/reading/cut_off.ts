/** Whether stored values end before the image does, as of a file that was not copied completely. `imaging/samples/cut_off.py`. */

export const CUT_OFF = "all values behind some point of the head are the same; the file may not have been copied completely";

const LEAST = 0.05;
const LEAST_ROWS = 0.25;
const ROWS = 4;
const SAME_END = 0.04;
const SHORTER = 0.1;
const WIDE = 0.4;
const FILLED = 0.5;
const LAST_ROWS = 0.02;
const MARGIN = 0.5;

/** Whether `values`, planes of this height and width in the order of their file, end within the head. */
export function isCutOff(values: Float32Array, height: number, width: number): boolean {
  const last = values[values.length - 1];
  let end = values.length;
  while (end > 0 && values[end - 1] === last) end--;
  if (values.length - end < Math.max(1, Math.floor(LEAST * values.length))) return false;
  const [row, column] = [Math.floor(end / width), end % width];
  const inPlane = row % height;
  if (inPlane < ROWS || inPlane >= (1 - LAST_ROWS) * height - 1) return false;
  const isOther = (of: number, at: number) => values[of * width + at] !== last;
  const above = Array.from({ length: ROWS }, (_, index) => {
    const of = row - ROWS + index;
    let [start, stop] = [0, width];
    while (start < width && !isOther(of, start)) start++;
    while (stop > 0 && !isOther(of, stop - 1)) stop--;
    return { of, start, stop };
  });
  const contents = new Set(values.subarray((row - ROWS) * width, row * width));
  contents.delete(last);
  if (contents.size < 2) return false; // padding
  const starts = above.map(({ start }) => start);
  const stops = above.map(({ stop }) => stop);
  const [first, shortest] = [Math.max(...starts), Math.min(...stops)];
  const isFilled = (from: number) => {
    const others = above.reduce((sum, { of }) => sum + Array.from({ length: shortest - from }, (_, at) => isOther(of, from + at)).filter(Boolean).length, 0);
    return others >= FILLED * ROWS * (shortest - from);
  };
  if (Math.max(...stops) - shortest > SAME_END * width) return false;
  if (shortest - column >= SHORTER * width) return isFilled(column);
  let margin = (row - inPlane) * width;
  while (values[margin] === last) margin++;
  const missing = (height - inPlane) * width;
  if (values.length - end < LEAST_ROWS * values.length || margin - (row - inPlane) * width >= MARGIN * missing) return false;
  const narrowest = Math.min(...above.map(({ start, stop }) => stop - start));
  return narrowest >= WIDE * width && first - Math.min(...starts) <= SAME_END * width && isFilled(first);
}
