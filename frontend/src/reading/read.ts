/** Read any supported file by its first bytes, never by its suffix. */
import { InputError, inputErrorOf, type MedicalImage, locationsOf } from "../types";
import { isAnimated } from "./animation";
import { type DicomPart, readDicom } from "./dicom";
import { tintNotes } from "./gray";
import { mend } from "./intensities";
import { readMgh } from "./mgh";
import { readNifti } from "./nifti";
import { readNrrd } from "./nrrd";
import { readPng } from "./png";
import { readRaster } from "./raster";
import { type Kind, otherFormat, sniff, titleOf } from "./signatures";

/** What the two files of a pair are called, of Analyze or NIfTI. */
const PAIR = /\.(img|hdr)(\.gz)?$/i;

/** Throws `InputError`, and nothing else. */
export async function read(name: string, data: Uint8Array): Promise<MedicalImage | DicomPart> {
  const kind = sniff(data);
  try {
    return await decode(name, data, kind);
  } catch (error) {
    throw inputErrorOf(error, titleOf(kind ?? ""));
  }
}

function refusal(name: string, data: Uint8Array): string {
  const other = otherFormat(data);
  if (other || data.length === 0) return other || "is empty";
  if (PAIR.test(name)) {
    return "has no header that can be read: of a pair of .hdr and .img one alone is of no use, and their names may be exchanged; convert the pair to one .nii file";
  }
  return "is not an image that the page reads (PNG, JPEG, WebP, BMP, GIF, DICOM, NIfTI, MGH, NRRD)";
}

async function decode(name: string, data: Uint8Array, kind: Kind): Promise<MedicalImage | DicomPart> {
  switch (kind) {
    case "zip":
      throw new InputError("unsupported_format", "an archive where an image was expected");
    case null:
      throw new InputError("unsupported_format", refusal(name, data));
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
      return { name, depth: 1, ...plane, format: `${titleOf(kind)}, ${bits} bits`, aspect: 1, ...about };
    }
  }
}
