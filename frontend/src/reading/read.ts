/** Read any supported file by its first bytes, never by its suffix. */
import { InputError, type Picture, placesOf } from "../types";
import { isAnimated } from "./animation";
import { type DicomPart, readDicom } from "./dicom";
import { mend } from "./intensities";
import { readNifti } from "./nifti";
import { readPng } from "./png";
import { readRaster } from "./raster";

const MAX_BYTES = 512 * 1024 * 1024;

export type Kind = "png" | "jpeg" | "gif" | "bmp" | "webp" | "tiff" | "dicom" | "nifti" | "zip" | null;

export function sniff(data: Uint8Array): Kind {
  const text = (start: number, end: number) => String.fromCharCode(...data.subarray(start, end));
  if (text(0, 8) === "\x89PNG\r\n\x1a\n") return "png";
  if (text(0, 3) === "\xff\xd8\xff") return "jpeg";
  if (["GIF87a", "GIF89a"].includes(text(0, 6))) return "gif";
  if (text(0, 4) === "RIFF" && text(8, 12) === "WEBP") return "webp";
  if (["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(text(0, 4))) return "tiff";
  if (text(128, 132) === "DICM") return "dicom";
  if (text(0, 2) === "\x1f\x8b" || ["n+1\0", "ni1\0"].includes(text(344, 348))) return "nifti";
  if (text(4, 7) === "n+2") return "nifti";
  if (text(0, 4) === "PK\x03\x04") return "zip";
  if (text(0, 2) === "BM") return "bmp";
  return null;
}

/** Throws `InputError`, and nothing else. */
export async function read(name: string, data: Uint8Array): Promise<Picture | DicomPart> {
  if (data.length > MAX_BYTES) throw new InputError("limit", "more than 512 MiB");
  const kind = sniff(data);
  try {
    return await decode(name, data, kind);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError("corrupt", `damaged ${kind}`);
  }
}

async function decode(name: string, data: Uint8Array, kind: Kind): Promise<Picture | DicomPart> {
  switch (kind) {
    case null:
    case "zip":
      throw new InputError(
        "unsupported_format",
        data.length ? "is not a picture that the page reads (PNG, JPEG, WebP, BMP, GIF, DICOM, NIfTI)" : "is empty",
      );
    case "tiff":
      throw new InputError("server_only", "browsers do not read TIFF; let the server read it, or save it as PNG");
    case "dicom":
      return readDicom(name, data);
    case "nifti":
      return readNifti(name, data);
    default: {
      if (isAnimated(data, kind)) {
        throw new InputError("server_only", "an animation is a stack of pictures; let the server read it, or save one of them");
      }
      const plane = kind === "png" ? readPng(data) : await readRaster(data, kind);
      const notes = mend({ depth: 1, ...plane }, Number(/(\d+) bits/.exec(plane.format)?.[1] ?? 8));
      const about = { facts: [], sides: null, sources: [name], places: placesOf(name, 1), notes };
      return { name, depth: 1, ...plane, aspect: 1, ...about };
    }
  }
}
