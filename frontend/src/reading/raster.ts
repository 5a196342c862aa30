/** JPEG, BMP, GIF and WebP, decoded by the browser: eight bits are all they have. */
import type { Plane } from "../preprocessing";
import { InputError } from "../types";
import { titleOf } from "./signatures";
import { checkSides, type Color, colorOf, overBlack } from "./gray";

/** A plain image as it is read. */
export interface RasterPlane extends Plane {
  color: Color;
  /** Of a sample as it was stored. */
  bits: number;
  notes: string[];
}

export async function readRaster(data: Uint8Array, kind: string): Promise<RasterPlane> {
  const bitmap = await bitmapOf(data, kind);
  try {
    const { width, height } = bitmap;
    checkSides(width, height);
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
    context.drawImage(bitmap, 0, 0);
    const rgba = context.getImageData(0, 0, width, height).data;
    const pixels = new Float32Array(width * height);
    for (let i = 0; i < pixels.length; i++) {
      pixels[i] = overBlack(rgba[4 * i], rgba[4 * i + 1], rgba[4 * i + 2], rgba[4 * i + 3]);
    }
    const color = colorOf(pixels.length, (at) => (rgba[4 * at + 3] > 0 ? [0, 1, 2].map((channel) => rgba[4 * at + channel]) : [0, 0, 0]));
    return { width, height, pixels, color, bits: 8, notes: [] };
  } finally {
    bitmap.close();
  }
}

async function bitmapOf(data: Uint8Array, kind: string): Promise<ImageBitmap> {
  const blob = new Blob([data as Uint8Array<ArrayBuffer>], { type: `image/${kind}` });
  try {
    return await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new InputError("corrupt", `damaged ${titleOf(kind)} (the browser cannot decode it)`);
  }
}
