/** From colour to gray: the arithmetic of `tumorlens/imaging/samples/gray.py` and `raster/pillow.py`. */
import { InputError } from "../types";

export const MIN_SIDE = 32;
export const MAX_SIDE = 8192;
/** Magnitudes beyond are fill values or damage, never intensities, slopes or intercepts. */
export const LARGEST = 1e30;
/** Percent. */
const LEAST_SHOWN = 0.1;

/** ITU-R BT.601 in whole thousandths, halves rounded up. */
export function luma(red: number, green: number, blue: number): number {
  return Math.floor((299 * red + 587 * green + 114 * blue + 500) / 1000);
}

/** Gray over black of 8-bit RGBA. */
export function overBlack(red: number, green: number, blue: number, alpha: number): number {
  const gray = luma(red, green, blue);
  return alpha === 255 ? gray : Math.round(Math.fround(gray * Math.fround(alpha / 255)));
}

/** Whether an image of a head can have a side that long: `imaging/limits.py`. */
export function canBeAHead(sideMm: number): boolean {
  return sideMm >= 20 && sideMm <= 2000;
}

export function checkSides(width: number, height: number): void {
  if (Math.min(width, height) < MIN_SIDE || Math.max(width, height) > MAX_SIDE) {
    throw new InputError("limit", `${width}x${height} pixels; sides must be ${MIN_SIDE} to ${MAX_SIDE}`);
  }
}

/** A note where `finite` replaces values: a hole in the head may be NaN, or its brightest. `gray.without_value`. */
export function withoutValue(pixels: Float32Array): string[] {
  let usable = 0;
  for (const value of pixels) if (Math.abs(value) <= LARGEST) usable += 1;
  if (usable === 0 || usable === pixels.length) return [];
  const percent = 100 * (1 - usable / pixels.length);
  const part = percent >= LEAST_SHOWN ? `${percent.toFixed(1)}%` : `less than ${LEAST_SHOWN}%`;
  return [`${part} of the samples are not usable numbers and are treated as background`];
}

/** Replace NaN, infinities and fill values by the smallest usable value, in place. */
export function finite(pixels: Float32Array): Float32Array {
  let low = Infinity;
  let odd = false;
  for (const value of pixels) {
    if (Math.abs(value) <= LARGEST) {
      if (value < low) low = value;
    } else {
      odd = true;
    }
  }
  if (low === Infinity) throw new InputError("blank", "no pixel has a finite value");
  if (odd) {
    for (let i = 0; i < pixels.length; i++) if (!(Math.abs(pixels[i]) <= LARGEST)) pixels[i] = low;
  }
  return pixels;
}

/** How much of an image that is not black has a colour. Of vivid ones most has a strong colour, as no gray image has. */
export type Color = "gray" | "tinted" | "vivid";
export const TINTED = "the image is coloured, like a computed map; the network was trained on gray images";
/** A pixel has a colour from this part of the brightest on, and an image from this part of its pixels. */
const LEAST_COLOR = 0.125;
const MOSTLY_COLORED = 0.2;
/** The same of vivid colours, which no gray image has; the first as part of the pixel itself. */
const VIVID_COLOR = 0.4;
const MOSTLY_VIVID = 0.5;
const LOOKED_AT = 4096;

/** Of `count` pixels with the channels `channelsOf`. `color_of` in `gray.py`. */
export function colorOf(count: number, channelsOf: (at: number) => readonly number[]): Color {
  // Odd, or all samples of an image that is a power of two wide would lie in few columns.
  const step = Math.floor(count / LOOKED_AT) | 1;
  const samples: [number, number][] = [];
  for (let at = 0; at < count; at += step) {
    const channels = channelsOf(at);
    samples.push([Math.max(...channels), Math.max(...channels) - Math.min(...channels)]);
  }
  const least = LEAST_COLOR * samples.reduce((most, [bright]) => Math.max(most, bright), 0);
  const visible = samples.filter(([bright]) => bright > least);
  const vivid = visible.filter(([bright, difference]) => difference >= VIVID_COLOR * bright);
  if (visible.length && vivid.length > MOSTLY_VIVID * visible.length) return "vivid";
  const colored = samples.filter(([, difference]) => difference > least);
  return colored.length > MOSTLY_COLORED * visible.length ? "tinted" : "gray";
}

/** That of the images of one volume: vivid, which rejects it, only if all are. `Color.joint` in `gray.py`. */
export function jointColor(colors: Color[]): Color {
  if (colors.every((color) => color === "gray")) return "gray";
  return colors.every((color) => color === "vivid") ? "vivid" : "tinted";
}

export function tintNotes(color: Color): string[] {
  return color === "tinted" ? [TINTED] : [];
}
