/** Volumes as slices in radiological display: right is left, front or crown is up. `tumorlens/imaging/geometry/planes.py`. */
import { InputError, type MedicalImage, type SliceLocation } from "../types";
import { type Axis, orientation, type Placed } from "./affine";
import { CUT_OFF, isCutOff } from "./cut_off";
import { checkSides, type Color, finite, MIN_SIDE, tintNotes, withoutValue } from "./gray";
import { mend } from "./intensities";
import { checkNoComputedMap, checkNoLabelMap } from "./label_map";
import { lyingOf } from "./sides";
import { checkRows } from "./stored";
import { squarePixels } from "./square";
import { cross, dot, rounded, unit, type Vector } from "./vectors";

type Shape = readonly [number, number, number];

/** A volume as its file stores it. */
export interface Stored {
  name: string;
  /** For people: NIfTI. */
  format: string;
  /** Of a sample: of one channel, where they are colours. */
  bits: number;
  color: Color;
  /** In file order, the first axis fastest. */
  values: Float32Array;
  shape: Shape;
  placed: Placed;
  notes: string[];
  /** A note where more follows than is stated. */
  surplus: string[];
}

/** Distance of slices up to which other planes are sharp enough. */
export const FARTHEST_MM = 3;
/** Ratio of the distance of slices and the size of their pixels that tells which were acquired. */
const THICK = 1.5;
/** Distance of slices of which a head has too few for it to be right. */
const IMPLAUSIBLE_MM = 50;
/** `tumorlens/imaging/limits.py`. */
const MAX_SLICES = 4096;
const MAX_VOXELS = 1 << 27;
/** Longest first axis that holds contrasts or time points. */
const MOST_CHANNELS = 8;
export const MOST_HEADER_BYTES = 16 * 1024 * 1024;

export function checkVolume([x, y, z]: Shape): void {
  if (z > MAX_SLICES) throw new InputError("limit", `${z} slices are more than the limit of ${MAX_SLICES}`);
  if (x * y * z > MAX_VOXELS) throw new InputError("limit", `${z}x${y}x${x} voxels are more than the limit of ${MAX_VOXELS}`);
}

/** Refuse four axes along the first of which a few volumes seem to lie. `volumes/stored.py`. */
export function checkFirstAxis(sizes: readonly number[]): void {
  const [few, ...voxels] = sizes;
  if (sizes.length !== 4 || few > MOST_CHANNELS || Math.min(...voxels) <= MOST_CHANNELS || Math.min(voxels[0], voxels[1]) < MIN_SIDE) return;
  throw new InputError(
    "unsupported_format",
    `the first of the dimensions (${sizes.join(", ")}) seems to be of channels or time points, not of voxels; save each volume as its own file`,
  );
}

/** A note where a file holds several volumes. */
export function firstOf(volumes: number): string[] {
  return volumes > 1 ? [`the first of ${volumes} volumes is read`] : [];
}

/** A note where the volumes of a file are one slice each: they may be time points too. */
export function readAsSlices(volumes: number): string[] {
  return [`the ${volumes} volumes have one slice each; they are read as slices`];
}

/** A note where, of `bytes` from the first voxel on, as many as one slice has are beyond the voxels. */
export function surplus([x, y, z]: Shape, voxelBytes: number, bytes: number): string[] {
  if (bytes < (z + 1) * x * y * voxelBytes) return [];
  return ["the file holds more voxels than it states; the others are not read"];
}

/** Axial ones; those that were acquired where they lie too far apart for it. */
export function slicesOf(stored: Stored): MedicalImage {
  const { name, bits, color, values, shape, placed: { affine, isOriented, notes } } = stored;
  const { plane, axes, note } = cutOf(affine, shape);
  const [x, y, z] = axes.map(({ axis }) => shape[axis]);
  const [columnMm, rowMm] = axes.map(({ axis }) => Math.hypot(...along(affine, axis)));
  const endsEarly = isCutOff(finite(values), shape[1], shape[0]) ? [CUT_OFF] : [];
  const about = [...stored.notes, ...withoutValue(values), ...endsEarly, ...stored.surplus, ...notes, ...note];
  // Before pixels are made square, which may interpolate between labels.
  const [width, height, depth] = shape;
  const voxels = { pixels: finite(values), depth, height, width };
  checkRows(values, height, width);
  checkNoLabelMap(voxels);
  checkNoComputedMap(voxels);
  const square = squarePixels({ depth: z, height: y, width: x, pixels: turned(values, shape, axes) }, rowMm, columnMm);
  checkSides(square.width, square.height);
  const isStretched = square.width !== x || square.height !== y;
  const finest = Math.min(rowMm, columnMm);
  const mended = mend(square, bits);
  return {
    name, ...square, color, format: `${stored.format}, ${bits} bits`, aspect: 1, facts: [plane],
    ...lyingOn(affine, isOriented ? axes : null, plane), sources: [name],
    pixelMm: isStretched ? [finest, finest] : [rowMm, columnMm],
    locations: locationsOn(affine, axes, shape, name), notes: [...about, ...mended, ...tintNotes(color)],
  };
}

interface Cut {
  plane: "axial" | "coronal" | "sagittal";
  /** Along a row, a column and the slices. */
  axes: Axis[];
  note: string[];
}

function cutOf(affine: number[][], shape: Shape): Cut {
  const axes = orientation(affine);
  const [left, back, head] = axes;
  const down = { ...head, flip: !head.flip };
  const cuts: Omit<Cut, "note">[] = [
    { plane: "axial", axes }, { plane: "coronal", axes: [left, down, back] }, { plane: "sagittal", axes: [back, down, left] },
  ];
  const [axial, coronal, sagittal] = cuts;
  const sizes = [0, 1, 2].map((axis) => Math.hypot(...along(affine, axis)));
  const apart = Math.max(...sizes);
  const acquired = axes.findIndex(({ axis }) => axis === sizes.indexOf(apart));
  const median = [...sizes].sort((a, b) => a - b)[1];
  const isFar = apart > Math.max(FARTHEST_MM, THICK * median) && apart <= IMPLAUSIBLE_MM;
  if (isFar && acquired !== 2 && shape[axes[acquired].axis] > 1) {
    const kept = acquired === 0 ? sagittal : coronal;
    return { ...kept, note: [`${kept.plane} slices ${Number(apart.toPrecision(2))} mm apart, too far for axial ones, are kept`] };
  }
  const isWide = (cut: Omit<Cut, "note">) => narrowest(cut.axes, sizes, shape) >= MIN_SIDE;
  const fewest = [...cuts].sort((a, b) => shape[a.axes[2].axis] - shape[b.axes[2].axis]);
  const usable = isWide(axial) ? axial : (fewest.find(isWide) ?? axial);
  return { ...usable, note: usable === axial ? [] : [`too thin for axial slices; it is cut into ${usable.plane} ones`] };
}

/** Pixels of the narrower side of slices, once they are square. */
function narrowest([across, down]: Axis[], sizes: number[], shape: Shape): number {
  const [width, height] = [across, down].map(({ axis }) => shape[axis] * sizes[axis]);
  return Math.min(width, height) / Math.min(sizes[across.axis], sizes[down.axis]);
}

/** The voxels in the order of slices, rows and columns. */
export function turned(values: Float32Array, shape: Shape, axes: Axis[]): Float32Array {
  const [x, y, z] = axes.map(({ axis }) => shape[axis]);
  const [start, steps] = walk(axes, shape, [1, shape[0], shape[0] * shape[1]]);
  const pixels = new Float32Array(values.length);
  let index = 0;
  for (let slice = 0; slice < z; slice++) {
    for (let row = 0; row < y; row++) {
      let at = start + slice * steps[2] + row * steps[1];
      for (let column = 0; column < x; column++, at += steps[0]) pixels[index++] = values[at];
    }
  }
  return pixels;
}

/** The step in the patient from one voxel to the next of the file's `axis`; 3 is the first voxel. */
function along(affine: number[][], axis: number): Vector {
  return affine.map((row) => row[axis]) as Vector;
}

/** World axes point right, anterior, superior; those that letters are read off left, posterior, superior. */
export function lyingOn(affine: number[][], axes: Axis[] | null, plane = "axial"): ReturnType<typeof lyingOf> {
  if (!axes) return lyingOf(null);
  const [row, column] = axes.map((axis) => {
    const [x, y, z] = unit(stepAlong(affine, axis));
    return [-x, -y, z] as Vector;
  });
  // Axial slices are those that are nearest to axial ones, however oblique.
  return { ...lyingOf({ row, column }), headward: plane === "axial" ? Math.sign(cross(row, column)[2]) : 0 };
}

/** The step in the patient from one pixel to the next of a row, a column or the slices. */
function stepAlong(affine: number[][], { axis, flip }: Axis): Vector {
  return along(affine, axis).map((part) => (flip ? -part : part)) as Vector;
}

/** Where the slices are on their normal, and their middles. */
export function locationsOn(affine: number[][], axes: Axis[], shape: readonly number[], path: string): SliceLocation[] {
  const steps = axes.map((axis) => stepAlong(affine, axis));
  const normal = unit(cross(steps[0], steps[1]));
  const corner = axes.reduce(
    (sum, { axis, flip }) => sum + (flip ? (shape[axis] - 1) * dot(normal, along(affine, axis)) : 0),
    dot(normal, along(affine, 3)),
  );
  const step = dot(normal, steps[2]);
  return Array.from({ length: shape[axes[2].axis] }, (_, slice) => (
    { path, alongMm: rounded(corner + slice * step), centerMm: middleOf(affine, axes, shape, slice) }
  ));
}

/** The middle of a slice in the patient, whose x runs to the left and y to the back. */
function middleOf(affine: number[][], axes: Axis[], shape: readonly number[], slice: number): Vector {
  const voxel = shape.map((length) => (length - 1) / 2);
  const { axis, flip } = axes[2];
  voxel[axis] = flip ? shape[axis] - 1 - slice : slice;
  const [x, y, z] = affine.map((row) => dot(row.slice(0, 3) as Vector, voxel as Vector) + row[3]);
  return [-x, -y, z].map((part) => Math.round(part * 10) / 10) as Vector;
}

/** Where the first pixel lies in the file, and how far it is to the next column, row and slice. */
function walk(axes: Axis[], shape: readonly number[], strides: number[]): [number, number[]] {
  let start = 0;
  const steps = axes.map(({ axis, flip }) => {
    if (flip) start += (shape[axis] - 1) * strides[axis];
    return flip ? -strides[axis] : strides[axis];
  });
  return [start, steps];
}
