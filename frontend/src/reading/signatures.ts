/** Formats by their first bytes: those of `tumorlens/imaging/formats/`, and which are read there. */
import { Gunzip } from "fflate";

export type Kind = "png" | "jpeg" | "gif" | "bmp" | "webp" | "tiff" | "dicom" | "bare dicom" | "nifti" | "mgh" | "nrrd" | "zip" | null;

const TO_NIFTI = "convert it to NIfTI (.nii.gz)";
const TO_PNG = "save it as PNG";
const UNPACK = "unpack it first";
const FETCH = "fetch the file that it stands for";
/** Where a signature begins, the signature, the format and what to do. */
const OTHERS: [number, string, string, string][] = [
  [0, "CDF\x01", "MINC", TO_NIFTI], [0, "\x89HDF", "MINC 2 or other HDF5", TO_NIFTI],
  [0, "ObjectType", "MetaImage", TO_NIFTI], [0, "NDims", "MetaImage", TO_NIFTI],
  [0, "# === DATA DESCRIPTION FILE", "the header of Philips PAR/REC", TO_NIFTI],
  [0, "\ntype  = ", "the header of AFNI", TO_NIFTI], [0, "type  = ", "the header of AFNI", TO_NIFTI],
  [0, "IMGF", "GE Signa (Genesis)", TO_NIFTI],
  [0, "MATLAB 5.0", "MATLAB", TO_NIFTI], [0, "\x93NUMPY", "an array of NumPy", TO_NIFTI],
  [4, "ftyphei", "HEIC", TO_PNG], [4, "ftypmif1", "HEIC", TO_PNG], [4, "ftypavi", "AVIF", TO_PNG],
  [0, "\0\0\0\x0cjP  ", "JPEG 2000", TO_PNG], [0, "\xff\x4f\xff\x51", "JPEG 2000", TO_PNG],
  [0, "\xff\x0a", "JPEG XL", TO_PNG], [0, "\0\0\0\x0cJXL ", "JPEG XL", TO_PNG],
  [0, "P5\n", "PGM", TO_PNG], [0, "P6\n", "PPM", TO_PNG], [0, "8BPS", "Photoshop", TO_PNG],
  [0, "%PDF", "PDF", "save its images as PNG"], [257, "ustar", "a tar archive", UNPACK],
  [0, "BZh", "compressed by bzip2", UNPACK], [0, "\xfd7zXZ", "compressed by xz", UNPACK],
  [0, "\x28\xb5\x2f\xfd", "compressed by zstd", UNPACK], [0, "7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK],
  [0, "Rar!", "a rar archive", UNPACK], [0, "PK\x07\x08", "a part of a zip archive in several parts", "join the parts first"],
  [32769, "CD001", "an image of a CD (ISO 9660)", UNPACK],
  [0, "version https://git-lfs", "a pointer of Git LFS", FETCH], [0, "/annex/objects/", "a pointer of git-annex", FETCH],
  [0, "<!DOCTYPE html", "a web page", FETCH], [0, "<!DOCTYPE HTML", "a web page", FETCH],
  [0, "<!doctype html", "a web page", FETCH], [0, "<html", "a web page", FETCH],
];
const ANALYZE = ["\x5c\x01\0\0", "\0\0\x01\x5c"];
const ANALYZE_BYTES = 1024;
const LARGEST_MGH_SIDE = 1 << 24;
const LARGEST_MGH_TYPE = 10;
export const SNIFF_BYTES = 1024;
/** Of names that claim an image: formats that are read, and others that are named. */
const CLAIMS = [
  ".bmp", ".dcm", ".dicom", ".gif", ".ima", ".jfif", ".jpe", ".jpeg", ".jpg", ".mgh", ".mgz", ".nhdr", ".nii", ".nii.gz",
  ".nrrd", ".png", ".tif", ".tiff", ".webp", ".7z", ".avif", ".dcm.gz", ".hdr", ".head", ".heic", ".heif", ".iso", ".j2k",
  ".jp2", ".jxl", ".mha", ".mhd", ".mnc", ".nii.bz2", ".nii.xz", ".nii.zst", ".par", ".pgm", ".ppm", ".psd", ".rar", ".tar",
  ".tar.bz2", ".tar.gz", ".tar.xz", ".tar.zst", ".tgz", ".txz", ".zip",
];
/** A DICOM data set, or file meta information, without the preamble (PS3.10 7.1). */
const BARE = /^(\x02\0\0\0UL\x04\0|\x02\0\x01\0OB\0\0|\x08\0[\0\x01\x05\x08\x16]\0((UL|CS|UI)|[\0-\x40]\0\0\0))/;

const TITLES: Record<string, string> = { webp: "WebP", nifti: "NIfTI" };

/** A kind as people write it. */
export function titleOf(kind: string): string {
  return TITLES[kind] ?? kind.toUpperCase();
}

export function words(data: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...data.subarray(start, end));
}

export function sniff(data: Uint8Array): Kind {
  const at = (start: number, end: number) => words(data, start, end);
  if (at(128, 132) === "DICM") return "dicom"; // the preamble may be that of a TIFF
  if (BARE.test(at(0, 8))) return "bare dicom";
  if (at(0, 8) === "\x89PNG\r\n\x1a\n") return "png";
  if (at(0, 3) === "\xff\xd8\xff") return "jpeg";
  if (["GIF87a", "GIF89a"].includes(at(0, 6))) return "gif";
  if (at(0, 4) === "RIFF" && at(8, 12) === "WEBP") return "webp";
  if (["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(at(0, 4))) return "tiff";
  if (at(0, 2) === "BM") return "bmp";
  const start = isGzip(data) ? firstInflated(data) : data;
  if (isNifti(start)) return "nifti";
  if (isMgh(start)) return "mgh";
  if (at(0, 7) === "NRRD000") return "nrrd";
  return ["PK\x03\x04", "PK\x05\x06"].includes(at(0, 4)) ? "zip" : null;
}

/** Whether a file's name claims an image, so that the user must know if it is none. */
export function claimsImage(name: string): boolean {
  const lower = name.toLowerCase();
  return CLAIMS.some((suffix) => lower.endsWith(suffix));
}

function isNifti(data: Uint8Array): boolean {
  return ["n+1\0", "ni1\0"].includes(words(data, 344, 348)) || ["n+2", "ni2"].some((magic) => words(data, 4, 12) === `${magic}\0\r\n\x1a\n`);
}

/** There is no signature but the version: the sides and the type after it must be plausible too. */
function isMgh(data: Uint8Array): boolean {
  if (data.length < 24) return false;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const isSide = (at: number) => view.getUint32(at) > 0 && view.getUint32(at) <= LARGEST_MGH_SIDE;
  return view.getUint32(0) === 1 && [4, 8, 12, 16].every(isSide) && view.getUint32(20) <= LARGEST_MGH_TYPE;
}

export function isGzip(data: Uint8Array): boolean {
  return words(data, 0, 3) === "\x1f\x8b\x08";
}

/** What the beginning of a gzip file unfolds to; nothing where it is damaged. */
function firstInflated(data: Uint8Array): Uint8Array {
  const parts: number[] = [];
  try {
    const stream = new Gunzip((part) => parts.push(...part.subarray(0, SNIFF_BYTES)));
    stream.push(data.subarray(0, 64 * SNIFF_BYTES));
  } catch {
    // What came before the damage tells.
  }
  return Uint8Array.from(parts.slice(0, SNIFF_BYTES));
}

/** Name a format that is not read, and what to do with it; empty for unknown ones. */
export function otherFormat(data: Uint8Array): string {
  const unsupported = (name: string, advice: string) => `is ${name}, which is not supported; ${advice}`;
  for (const [at, signature, name, advice] of OTHERS) {
    if (words(data, at, at + signature.length) === signature) return unsupported(name, advice);
  }
  if (ANALYZE.includes(words(data, 0, 4)) && data.length <= ANALYZE_BYTES) return unsupported("Analyze (a pair of .hdr and .img)", TO_NIFTI);
  return isGzip(data) ? unsupported("compressed by gzip, but neither NIfTI nor MGH", UNPACK) : "";
}
