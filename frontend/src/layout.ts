/** Images that are not one slice on dark air, such as inverted ones, masks and pages. `tumorlens/imaging/samples/layout.py`. */
import { insideMargin } from "./margin";
import { cut, type Plane, quantile } from "./preprocessing";

export const VIVID = "is coloured all over, like a photograph or a computed map; give the gray image";
export const INVERTED = "has a bright background, as inverted images do; invert it first";
export const PANELS = "shows several images side by side; use one image at a time";
export const LINES = "shows letters or lines, as a page or a graph does, not a slice of a head";
export const LABELS = "has even areas of one brightness each: a mask or label map, not an image";

const SIDE = 128;
const CORNER = 0.03;
const BRIGHT = 0.7;
const UNIFORM = 0.08;
const END = 0.15;
const MUCH_AIR = 0.15;
const MORE_WHITE = 4;
const TISSUE = 0.12;
const OCCUPIED = 0.04;
const PANEL = 0.28;
const ALIKE = 0.75;
const SMALL_PANEL = 0.12;
const FILLED = 0.5;
const SHAPES = [0.65, 1.6];
const SOLID = 0.15;
const SPARSE = 0.3;
const EVEN = 0.9;

/** Empty where nothing speaks against the image; a bright margin around it does not. */
export function refusalOf(plane: Plane): string {
  if (plane.color === "vivid") return VIVID;
  const gray = reduced(cut(plane, insideMargin(plane)));
  if (!gray) return "";
  if (isInverted(gray)) return INVERTED;
  if (areBeside(gray) || areBeside(transposed(gray))) return PANELS;
  if (isOfLines(gray)) return LINES;
  return isEven(gray) && isEven(transposed(gray)) ? LABELS : "";
}

/** Whether hardly any of the tissue has tissue on all four sides. */
function isOfLines({ pixels, height, width }: Plane): boolean {
  let [count, inner] = [0, 0];
  for (let at = 0; at < pixels.length; at++) {
    if (pixels[at] <= TISSUE) continue;
    count++;
    const [row, column] = [Math.floor(at / width), at % width];
    if (row === 0 || column === 0 || row === height - 1 || column === width - 1) continue;
    if ([1, -1, width, -width].every((step) => pixels[at + step] > TISSUE)) inner++;
  }
  return count <= SPARSE * pixels.length && inner < SOLID * count;
}

/** Whether neighbours beside each other nearly all have the same value. */
function isEven({ pixels, width }: Plane): boolean {
  let inside = 0;
  let same = 0;
  for (let at = 1; at < pixels.length; at++) {
    if (at % width === 0 || pixels[at] <= TISSUE || pixels[at - 1] <= TISSUE) continue;
    inside++;
    if (pixels[at] === pixels[at - 1]) same++;
  }
  return inside > 0 && same >= EVEN * inside;
}

/** Some pixels, nearly all from 0 to 1; null where all have one value. */
function reduced({ pixels, height, width }: Plane): Plane | null {
  const step = Math.max(1, Math.floor(Math.max(height, width) / SIDE));
  const [rows, columns] = [Math.ceil(height / step), Math.ceil(width / step)];
  const small = Float32Array.from({ length: rows * columns }, (_, at) => (
    pixels[Math.floor(at / columns) * step * width + (at % columns) * step]
  ));
  const [low, high] = [0.01, 0.99].map((share) => quantile(small.slice().sort(), share));
  if (!(high > low)) return null;
  return { height: rows, width: columns, pixels: small.map((value) => (value - low) / (high - low)) };
}

function isInverted({ pixels, height, width }: Plane): boolean {
  const [rows, columns] = [height, width].map((side) => Math.max(2, Math.round(CORNER * side)));
  const corners = [[0, 0], [0, width - columns], [height - rows, 0], [height - rows, width - columns]];
  const bright = corners.map(([top, left]) => (
    Float32Array.from({ length: rows * columns }, (_, at) => (
      Math.min(1, Math.max(0, pixels[(top + Math.floor(at / columns)) * width + left + (at % columns)]))
    )).sort()
  )).filter((corner) => quantile(corner, 0.5) >= BRIGHT);
  if (bright.filter((corner) => spread(corner) <= UNIFORM).length >= 3) return true;
  const part = (holds: (value: number) => boolean) => pixels.filter(holds).length / pixels.length;
  const [white, black] = [part((value) => value >= 1 - END), part((value) => value <= END)];
  return bright.length >= 2 && white >= MUCH_AIR && white >= MORE_WHITE * black;
}

function spread(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

function transposed({ pixels, height, width }: Plane): Plane {
  const turned = pixels.map((_, at) => pixels[(at % height) * width + Math.floor(at / height)]);
  return { height: width, width: height, pixels: turned };
}

interface Panel {
  across: number;
  high: number;
  /** Part of it that is tissue. */
  filled: number;
}

/** Two heads beside each other, with dark air between. */
function areBeside(plane: Plane): boolean {
  const { width, height } = plane;
  const all = { top: 0, bottom: height, left: 0, right: width };
  const columns = Array.from({ length: width }, (_, column) => tissue(plane, { ...all, left: column, right: column + 1 }) >= OCCUPIED);
  const panels = runs(columns).filter(([start, stop]) => stop - start >= SMALL_PANEL * width).map((run) => panel(plane, run));
  const wide = panels.filter(({ across }) => across >= PANEL * width);
  if (areAlike(wide) && wide.every(isHeadShaped)) return true;
  return panels.filter((candidate) => isHeadShaped(candidate) && candidate.filled >= FILLED).length >= 2;
}

/** What lies in these columns: its longest stretch of rows. */
function panel(plane: Plane, [left, right]: [number, number]): Panel {
  const isOccupied = (row: number) => tissue(plane, { top: row, bottom: row + 1, left, right }) >= OCCUPIED;
  const rows = runs(Array.from({ length: plane.height }, (_, row) => isOccupied(row)));
  const [top, bottom] = rows.reduce((longest, row) => (row[1] - row[0] > longest[1] - longest[0] ? row : longest), [0, 0]);
  return { across: right - left, high: bottom - top, filled: bottom > top ? tissue(plane, { top, bottom, left, right }) : 0 };
}

/** Part of a rectangle that is brighter than air. */
function tissue({ pixels, width }: Plane, { top, bottom, left, right }: Record<"top" | "bottom" | "left" | "right", number>): number {
  let bright = 0;
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) if (pixels[row * width + column] > TISSUE) bright++;
  }
  return bright / ((bottom - top) * (right - left));
}

function areAlike(panels: Panel[]): boolean {
  const sides = [panels.map(({ across }) => across), panels.map(({ high }) => high)];
  return panels.length >= 2 && sides.every((side) => Math.min(...side) >= ALIKE * Math.max(...side));
}

function isHeadShaped({ across, high }: Panel): boolean {
  return high / across >= SHAPES[0] && high / across <= SHAPES[1];
}

/** Stretches of true. */
function runs(present: boolean[]): [number, number][] {
  const stretches: [number, number][] = [];
  present.forEach((isPresent, index) => {
    if (!isPresent) return;
    const last = stretches.at(-1);
    if (last && last[1] === index) last[1]++;
    else stretches.push([index, index + 1]);
  });
  return stretches;
}
