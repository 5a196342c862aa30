/** Read any supported file by its first bytes, never by its suffix. */
import { InputError, type MedicalImage, locationsOf } from "../types";
import { isAnimated } from "./animation";
import { type DicomPart, readDicom } from "./dicom";
import { tintNotes } from "./gray";
import { mend } from "./intensities";
import { readMgh } from "./mgh";
import { readNifti } from "./nifti";
import { readNrrd } from "./nrrd";
import { readPng } from "./png";
import { readRaster } from "./raster";
import { type Kind, otherFormat, sniff } from "./signatures";

const MAX_BYTES = 512 * 1024 * 1024;

/** Throws `InputError`, and nothing else. */
export async function read(name: string, data: Uint8Array): Promise<MedicalImage | DicomPart> {
  if (data.length > MAX_BYTES) throw new InputError("limit", "more than 512 MiB");
  const kind = sniff(data);
  try {
    return await decode(name, data, kind);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError("corrupt", `damaged ${kind}`);
  }
}

function refusal(data: Uint8Array): string {
  if (data.length === 0) return "is empty";
  return otherFormat(data) || "is not an image that the page reads (PNG, JPEG, WebP, BMP, GIF, DICOM, NIfTI, MGH, NRRD)";
}

async function decode(name: string, data: Uint8Array, kind: Kind): Promise<MedicalImage | DicomPart> {
  switch (kind) {
    case "zip":
      throw new InputError("unsupported_format", "is an archive; unpack it, and choose the folder");
    case null:
      throw new InputError("unsupported_format", refusal(data));
    case "bare dicom":
      throw new InputError("server_only", "DICOM without its preamble; let the server read it");
    case "tiff":
      throw new InputError("server_only", "browsers do not read TIFF; let the server read it, or save it as PNG");
    case "dicom":
      return readDicom(name, data);
    case "nifti":
      return readNifti(name, data);
    case "mgh":
      return readMgh(name, data);
    case "nrrd":
      return readNrrd(name, data);
    default: {
      if (isAnimated(data, kind)) {
        throw new InputError("server_only", "an animation is a stack of images; let the server read it, or save one of them");
      }
      const { bits, notes: odd, ...plane } = kind === "png" ? readPng(data) : await readRaster(data, kind);
      const notes = [...odd, ...mend({ depth: 1, ...plane }, bits), ...tintNotes(plane.color)];
      const about = { facts: [], sides: null, sources: [name], locations: locationsOf(name, 1), notes };
      return { name, depth: 1, ...plane, format: `${kind.toUpperCase()}, ${bits} bits`, aspect: 1, ...about };
    }
  }
}
