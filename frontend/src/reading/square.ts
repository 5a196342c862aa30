/** Square pixels: the network has learned shapes. `tumorlens/imaging/geometry/resample.py`, line by line. */
import { roundHalfEven } from "../preprocessing";
import { InputError, type MedicalImage } from "../types";
import { checkSides } from "./gray";

/** Ratio of spacings up to which pixels count as square. */
const EQUAL = 1.01;
/** Ratio of a pixel's sides from which a head looks stretched ... */
const OBLONG = 1.1;
/** ... and beyond which the file may be wrong. */
const IMPLAUSIBLE = 4;
const f32 = Math.fround;

export interface Slices {
  depth: number;
  height: number;
  width: number;
  pixels: Float32Array;
}

/** `image` with square pixels and a note; itself where they look square. `pixelAspect`: their ratio, without millimetres. */
export function withSquarePixels(image: MedicalImage, pixelAspect: [number, number] | null): MedicalImage {
  const { height, width, pixelMm } = image;
  const spacing = pixelMm ?? pixelAspect;
  if (!spacing || Math.max(...spacing) < OBLONG * Math.min(...spacing)) return image;
  const [rowMm, columnMm] = spacing;
  const [down, across] = spacing.map((value) => Number(value.toPrecision(6)));
  const words = `pixels of ${pixelMm ? `${down} x ${across} mm` : `aspect ${down}:${across}`} are not square`;
  const square = Math.max(...spacing) > IMPLAUSIBLE * Math.min(...spacing) ? null : ifItFits(image, rowMm, columnMm);
  if (!square) return { ...image, notes: [...image.notes, `${words}: the head looks stretched`] };
  return {
    ...image, ...square, aspect: 1,
    pixelMm: pixelMm && [rowMm * height / square.height, columnMm * width / square.width],
    notes: [...image.notes, `${words}; the slices are resampled to square ones`],
  };
}

/** Null where the image would become too large. */
function ifItFits({ depth, height, width, pixels }: MedicalImage, rowMm: number, columnMm: number): Slices | null {
  try {
    return squarePixels({ depth, height, width, pixels }, rowMm, columnMm);
  } catch (error) {
    if (error instanceof InputError && error.kind === "limit") return null;
    throw error;
  }
}

/** Stretch rows or columns to the finer of the two spacings, which are in millimetres. */
export function squarePixels(slices: Slices, rowMm: number, columnMm: number): Slices {
  const [fine, coarse] = [Math.min(rowMm, columnMm), Math.max(rowMm, columnMm)];
  if (coarse <= EQUAL * fine) return slices;
  const [ratio, { height, width }] = [coarse / fine, slices];
  // Before memory is taken for them.
  if (rowMm > columnMm) checkSides(width, roundHalfEven(height * ratio));
  else checkSides(roundHalfEven(width * ratio), height);
  return rowMm > columnMm ? stretchRows(slices, ratio) : stretchColumns(slices, ratio);
}

function stretchRows({ depth, height, width, pixels }: Slices, ratio: number): Slices {
  const taps = tapsOf(height, ratio);
  const out = new Float32Array(depth * taps.length * width);
  let index = 0;
  for (let slice = 0; slice < depth; slice++) {
    for (const { low, high, share } of taps) {
      const [above, below] = [(slice * height + low) * width, (slice * height + high) * width];
      for (let column = 0; column < width; column++) {
        out[index++] = between(pixels[above + column], pixels[below + column], share);
      }
    }
  }
  return { depth, height: taps.length, width, pixels: out };
}

function stretchColumns({ depth, height, width, pixels }: Slices, ratio: number): Slices {
  const taps = tapsOf(width, ratio);
  const out = new Float32Array(depth * height * taps.length);
  let index = 0;
  for (let row = 0; row < depth * height; row++) {
    for (const { low, high, share } of taps) {
      out[index++] = between(pixels[row * width + low], pixels[row * width + high], share);
    }
  }
  return { depth, height, width: taps.length, pixels: out };
}

function between(before: number, after: number, share: number): number {
  return before + f32(f32(after - before) * share);
}

/** The outer edges stay where they were. */
function tapsOf(old: number, ratio: number) {
  const target = Math.max(1, roundHalfEven(old * ratio));
  return Array.from({ length: target }, (_, index) => {
    const at = Math.min(old - 1, Math.max(0, (index + 0.5) * (old / target) - 0.5));
    const low = Math.min(Math.floor(at), Math.max(0, old - 2));
    return { low, high: Math.min(low + 1, old - 1), share: f32(at - low) };
  });
}
