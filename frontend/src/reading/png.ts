/** PNG with all its bits: a canvas would keep only eight. */
import { type DecodedPng, decode, encode } from "fast-png";
import { InputError } from "../types";
import { checkSides, colorOf, luma, overBlack } from "./gray";
import type { RasterPlane } from "./raster";
import { isSwapped, SWAPPED } from "./stored";

/** Text in files that are answers, not images to classify: `SOFTWARE` in `tumorlens/imaging/raster/pillow.py`. */
const MARK = { Software: "tumorlens" };

/** An image with an answer, as a file that says so. */
export function writeAnswer({ width, height, data }: Pick<ImageData, "width" | "height" | "data">): Uint8Array {
  return encode({ width, height, data, channels: 4, text: MARK });
}

export function readPng(data: Uint8Array): RasterPlane {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.length >= 24) checkSides(view.getUint32(16), view.getUint32(20));
  const decoded = decode(data);
  if (decoded.text.Software === MARK.Software) {
    throw new InputError("unsupported_format", "an image with an answer of tumorlens; give the image that it was made from");
  }
  const stated = opaque(decoded);
  const png = inOrder(stated);
  const { height, width } = png;
  const notes = png === stated ? [] : [SWAPPED];
  return { height, width, pixels: grays(png), color: colorOf(height * width, channelsOf(png)), bits: png.depth, notes };
}

/** Without an opacity that is 0 everywhere: writers of bitmaps leave it unused, and what was copied keeps it. */
function opaque(png: DecodedPng): DecodedPng {
  const { data, channels, depth } = png;
  if (channels % 2 === 1 || data.some((value, at) => at % channels === channels - 1 && value !== 0)) return png;
  for (let at = channels - 1; at < data.length; at += channels) data[at] = 2 ** depth - 1;
  return png;
}

/** With the bytes of gray samples of 16 bits swapped, where that must be meant. */
function inOrder(png: DecodedPng): DecodedPng {
  if (png.depth !== 16 || png.channels !== 1) return png;
  const data = Uint16Array.from(png.data, (word) => (word >> 8) | ((word & 255) << 8));
  const words = Float32Array.from(png.data);
  return isSwapped(words, words, Float32Array.from(data), png.width) ? { ...png, data } : png;
}

/** The colour of each pixel; black where it is transparent. */
function channelsOf(png: DecodedPng): (at: number) => readonly number[] {
  const { data, channels, palette } = png;
  if (palette) {
    const indices = unpack(png);
    return (at) => (palette[indices[at]]?.[3] === 0 ? [0, 0, 0] : (palette[indices[at]] ?? [0, 0, 0]).slice(0, 3));
  }
  if (channels < 3) return () => [0];
  return (at) => (channels === 4 && data[4 * at + 3] === 0 ? [0, 0, 0] : [...data.slice(channels * at, channels * at + 3)]);
}

function grays(png: DecodedPng): Float32Array {
  if (png.palette) return fromPalette(png);
  if (png.depth < 8) return fromFewBits(png);
  return png.depth === 16 ? fromDeep(png) : fromBytes(png);
}

/** Whether the pixel whose samples begin at `at` has the colour that is stated as transparent. */
function isClear({ data, channels, transparency }: DecodedPng, at: number): boolean {
  if (!transparency || channels % 2 === 0) return false;
  return [...data.slice(at, at + channels)].every((sample, channel) => sample === transparency[channel]);
}

function fromBytes(png: DecodedPng): Float32Array {
  const { data, channels, height, width } = png;
  const out = new Float32Array(height * width);
  for (let i = 0; i < out.length; i++) {
    const at = i * channels;
    if (isClear(png, at)) continue;
    if (channels === 1) out[i] = data[at];
    else if (channels === 2) out[i] = overBlack(data[at], data[at], data[at], data[at + 1]);
    else if (channels === 3) out[i] = luma(data[at], data[at + 1], data[at + 2]);
    else out[i] = overBlack(data[at], data[at + 1], data[at + 2], data[at + 3]);
  }
  return out;
}

function fromDeep(png: DecodedPng): Float32Array {
  const { data, channels, height, width } = png;
  const out = new Float32Array(height * width);
  for (let i = 0; i < out.length; i++) {
    const at = i * channels;
    if (isClear(png, at)) continue;
    const gray = channels < 3 ? data[at] : luma(data[at], data[at + 1], data[at + 2]);
    const opaque = channels % 2 === 1 ? 65535 : data[at + channels - 1];
    out[i] = gray * Math.fround(opaque / 65535);
  }
  return out;
}

/** The samples of 1, 2 or 4 bits lie packed, each row from a byte of its own. */
function unpack({ data, depth, height, width }: DecodedPng): Uint8Array {
  if (data.length === height * width && depth === 8) return data as Uint8Array;
  const stride = Math.ceil((width * depth) / 8);
  const out = new Uint8Array(height * width);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const bit = column * depth;
      const byte = data[row * stride + (bit >> 3)];
      out[row * width + column] = (byte >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
    }
  }
  return out;
}

function fromFewBits(png: DecodedPng): Float32Array {
  const scale = 255 / ((1 << png.depth) - 1);
  return Float32Array.from(unpack(png), (value) => (value === png.transparency?.[0] ? 0 : value * scale));
}

function fromPalette(png: DecodedPng): Float32Array {
  const shades = png.palette!.map((color) => overBlack(color[0], color[1], color[2], color[3] ?? 255));
  return Float32Array.from(unpack(png), (index) => shades[index] ?? 0);
}
