/** Thin sagittal and coronal series cut into axial slices: `tumorlens/imaging/geometry/reformat.py`. */
import type { MedicalImage } from "../types";
import { orientation } from "./affine";
import { headwardOf } from "./sides";
import { type Frame } from "./slice_ordering";
import { squarePixels } from "./square";
import { cross, dot, unit, type Vector } from "./vectors";
import { FARTHEST_MM, lyingOn, locationsOn, turned } from "./volume";

/** What the stack must extend over. */
const HEAD_MM = 110;
/** Of the usual step from slice to slice: how far each may be from it. */
const UNEVEN = 0.1;
/** Cosine between the normal and an axis of the patient from which slices have a plane. */
const NAMED = 0.8;
const NARROWEST = 32;

/** `image` in axial slices, where its own are sagittal or coronal, evenly spaced, close together, and cover a head. */
export function axial(image: MedicalImage, frames: Frame[]): MedicalImage {
  const plane = planeOf(frames[0]);
  const affine = plane === null ? null : affineOf(image, frames);
  if (!affine) return image;
  const shape = [image.width, image.height, image.depth] as const;
  const axes = orientation(affine);
  const [width, height, depth] = axes.map(({ axis }) => shape[axis]);
  const [columnMm, rowMm] = axes.map(({ axis }) => Math.hypot(...affine.map((row) => row[axis])));
  const finest = Math.min(columnMm, rowMm);
  if (Math.min(width * columnMm, height * rowMm) / finest < NARROWEST || depth < 2) return image;
  const square = squarePixels({ depth, height, width, pixels: turned(image.pixels, shape, axes) }, rowMm, columnMm);
  const isStretched = square.width !== width || square.height !== height;
  const apart = Number(Math.hypot(...affine.map((row) => row[2])).toPrecision(2));
  return {
    ...image, ...square, ...lyingOn(affine, axes), aspect: 1, pixelMm: isStretched ? [finest, finest] : [rowMm, columnMm],
    locations: locationsOn(affine, axes, shape, image.name),
    notes: [...image.notes, `${plane} slices ${apart} mm apart; answered in axial slices made from them`],
  };
}

/** Null where slices are axial or oblique, or do not say where they lie. */
function planeOf({ placement }: Frame): string | null {
  if (!placement || headwardOf(placement.row, placement.column) !== 0) return null;
  const [x, y] = unit(cross(placement.row, placement.column)).map(Math.abs);
  if (x >= NAMED) return "sagittal";
  return y >= NAMED ? "coronal" : null;
}

/** From column, row and slice to millimetres (right, front, head); null where they form no even grid. */
function affineOf({ pixelMm, depth }: MedicalImage, frames: Frame[]): number[][] | null {
  const corners = frames.flatMap(({ placement }) => (placement ? [placement.position] : []));
  const [first, last] = [corners[0], corners[corners.length - 1]];
  if (!pixelMm || corners.length !== depth || depth < 2) return null;
  const step = last.map((part, axis) => (part - first[axis]) / (depth - 1)) as Vector;
  const length = Math.hypot(...step);
  if (!(length > 0 && length <= FARTHEST_MM) || length * depth < HEAD_MM) return null;
  const { row, column } = frames[0].placement!;
  if (Math.abs(dot(cross(row, column), step)) < (1 - UNEVEN ** 2) * length) return null;
  const off = corners.slice(1).map((corner, k) => Math.hypot(...corner.map((part, axis) => part - corners[k][axis] - step[axis])));
  if (Math.max(...off) > UNEVEN * length) return null;
  return [0, 1, 2].map((axis) => {
    const sign = axis === 2 ? 1 : -1;
    return [row[axis] * pixelMm[1], column[axis] * pixelMm[0], step[axis], first[axis]].map((part) => sign * part);
  });
}
