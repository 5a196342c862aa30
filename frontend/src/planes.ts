/** A volume cut along its three planes, for the eye: the network sees the slices as they are stored. */
import { UNKNOWN_SPACING_MM } from "./brain_slices";
import { lineOf } from "./heatmap";
import { heatmapOf, type Item } from "./items";
import { median } from "./preprocessing";
import { isFailure, type MedicalImage, locationsOf, type Sides } from "./types";

/** Along an axis of the patient, and whether the index grows to the left, the back or the head. */
interface Way {
  axis: number;
  grows: boolean;
}

/** One of the three ways to cut a volume. */
export interface Cut {
  /** `Axial`, `Coronal`, `Sagittal`; others where the file does not state its orientation. */
  name: string;
  count: number;
  /** Of the axes of the volume (slice, row, column): the one that is stepped along, those across and down. */
  step: number;
  across: number;
  down: number;
  /** Whether the image runs against the index. */
  flipAcross: boolean;
  flipDown: boolean;
  aspect: number;
  sides: Sides | null;
}

const LETTERS: [string, string][] = [["L", "R"], ["P", "A"], ["H", "F"]];
const NAMES = ["Sagittal", "Coronal", "Axial"];
const UNNAMED = ["As stored", "Across rows", "Across columns"];
const HEAD = 2;
const BACK = 1;

/** The cuts of a volume, that of its own slices first; none for a single image. */
export function cutsOf(image: MedicalImage): Cut[] {
  if (image.depth < 2) return [];
  const ways = waysOf(image);
  const [rowMm, columnMm] = image.pixelMm ?? [image.aspect, 1];
  const sizes = [image.depth, image.height, image.width];
  const lengths = [spacingOf(image, columnMm), rowMm, columnMm];
  return [0, 1, 2].map((step): Cut => {
    const [first, second] = [0, 1, 2].filter((axis) => axis !== step);
    // The head is up; where it is not in the image, the front is.
    const headward = [first, second].find((axis) => ways.known[axis].axis === HEAD);
    const down = headward ?? [first, second].find((axis) => ways.known[axis].axis === BACK)!;
    const across = down === first ? second : first;
    const own = step === 0;
    const [a, d] = own ? [2, 1] : [across, down];
    const flipAcross = !own && !ways.known[a].grows;
    const flipDown = !own && (ways.known[d].axis === HEAD) === ways.known[d].grows;
    return {
      name: ways.isStated ? NAMES[ways.known[step].axis] : UNNAMED[step],
      count: sizes[step], step, across: a, down: d, flipAcross, flipDown, aspect: own ? image.aspect : lengths[d] / lengths[a],
      sides: own ? image.sides : ways.isStated ? sidesOf(ways.known[a], flipAcross, ways.known[d], flipDown) : null,
    };
  });
}

/** Of slice, row and column. Without stated sides an axial stack from the feet up is assumed. */
function waysOf({ sides, locations }: MedicalImage): { known: Way[]; isStated: boolean } {
  const assumed = [{ axis: HEAD, grows: true }, { axis: BACK, grows: true }, { axis: 0, grows: true }];
  if (!sides) return { known: assumed, isStated: false };
  const [columns, rows] = [wayTo(sides.right), wayTo(sides.bottom)];
  const [first, last] = [locations[0].alongMm, locations[locations.length - 1].alongMm];
  if (columns.axis === rows.axis || first === null || last === null) return { known: assumed, isStated: false };
  const axis = 3 - columns.axis - rows.axis;
  const isCyclic = rows.axis === (columns.axis + 1) % 3;
  const normal = isCyclic === (columns.grows === rows.grows);
  return { known: [{ axis, grows: normal === (last >= first) }, rows, columns], isStated: true };
}

function wayTo(letters: string): Way {
  const axis = LETTERS.findIndex((pair) => pair.includes(letters[0]));
  return { axis, grows: LETTERS[axis]?.[0] === letters[0] };
}

function sidesOf(across: Way, flipAcross: boolean, down: Way, flipDown: boolean): Sides {
  const letter = ({ axis, grows }: Way, flip: boolean) => LETTERS[axis][grows === flip ? 1 : 0];
  return {
    left: letter(across, !flipAcross), right: letter(across, flipAcross),
    top: letter(down, !flipDown), bottom: letter(down, flipDown),
  };
}

function spacingOf({ locations }: MedicalImage, columnMm: number): number {
  const along = locations.map(({ alongMm }) => alongMm);
  const apart = along.slice(1).flatMap((at, index) => (at === null || along[index] === null ? [] : [Math.abs(at - along[index]!)]));
  return median(apart) || (columnMm > 0 ? UNKNOWN_SPACING_MM : 1);
}

/** What a cut shows: one image, and how strongly the network sees a finding in each of its pixels. */
export interface Shown {
  image: MedicalImage;
  heat: Float32Array | null;
}

export function shownBy(item: Item, cut: Cut, index: number): Shown {
  const image = item.image!;
  const sizes = [image.depth, image.height, image.width];
  const strides = [image.height * image.width, image.width, 1];
  const [width, height] = [sizes[cut.across], sizes[cut.down]];
  const pixels = new Float32Array(width * height);
  const lines = heatLines(item, cut.step, index);
  const heat = lines.some((line) => line !== null) ? new Float32Array(width * height) : null;
  for (let y = 0; y < height; y++) {
    const row = cut.flipDown ? height - 1 - y : y;
    for (let x = 0; x < width; x++) {
      const column = cut.flipAcross ? width - 1 - x : x;
      const at = y * width + x;
      pixels[at] = image.pixels[index * strides[cut.step] + row * strides[cut.down] + column * strides[cut.across]];
      if (heat) heat[at] = (cut.down === 0 ? lines[row]?.[column] : lines[column]?.[row]) ?? 0;
    }
  }
  const { name, color, format, facts, sources } = image;
  const cutImage = {
    name, depth: 1, height, width, pixels, color, format, aspect: cut.aspect, facts, sides: cut.sides, sources,
    locations: locationsOf(name, 1), notes: [],
  };
  return { image: cutImage, heat };
}

/** Of each slice, the heatmap where the cut crosses it, by how probable a finding is there. */
function heatLines(item: Item, step: number, index: number): (Float32Array | null)[] {
  const { height, width } = item.image!;
  return item.results.map((result) => {
    const map = heatmapOf(result);
    if (!map || !result || isFailure(result)) return null;
    const line = lineOf(map.grid, map.square, height, width, step === 1, index);
    return line.map((value) => value * (result.tumor_probability ?? 1));
  });
}

/** Where to open a cut: at the peak of the slice on the screen, or in the middle. */
export function opening(item: Item, cut: Cut): number {
  const map = heatmapOf(item.results[item.slice]);
  if (!map) return Math.floor(cut.count / 2);
  return cut.step === 1 ? map.peak.row : map.peak.column;
}
