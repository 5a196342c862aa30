/** Files made for tests. */
import type { DicomPart } from "../src/reading/dicom";
import { group } from "../src/reading/series";
import type { Vector } from "../src/reading/vectors";
import type { MedicalImage } from "../src/types";

/** Group, element, value representation, value; in the order of a file. */
export type Element = [number, number, string, string | number];

/** DICOM, explicit little endian, with these elements and no pixels. */
export function dicomFile(elements: Element[]): Uint8Array {
  const all: Element[] = [[0x0002, 0x0010, "UI", "1.2.840.10008.1.2.1"], ...elements];
  return Uint8Array.from([...Buffer.alloc(128), ...Buffer.from("DICM"), ...all.flatMap(encoded)]);
}

/** An image of bytes, `side` wide and high, with more elements below group 0028. */
export function dicomImage(elements: Element[], side: number, samples: number, pixels: Uint8Array, photometric = samples === 3 ? "RGB" : "MONOCHROME2"): Uint8Array {
  return dicomPixels(elements, { height: side, width: side, samples, photometric, allocated: 8, stored: 8 }, pixels);
}

interface Described {
  height: number;
  width: number;
  samples: number;
  photometric: string;
  allocated: number;
  stored: number;
  more?: Element[];
  /** PixelRepresentation. */
  signed?: number;
}

/** An image as it is described, with `more` elements of group 0028 after Columns, and others `behind` that group. */
export function dicomPixels(elements: Element[], { height, width, samples, photometric, allocated, stored, signed = 0, more = [] }: Described, pixels: Uint8Array, behind: Element[] = []): Uint8Array {
  const described: Element[] = [
    [0x0028, 0x0002, "US", samples], [0x0028, 0x0004, "CS", photometric],
    [0x0028, 0x0010, "US", height], [0x0028, 0x0011, "US", width], ...more, [0x0028, 0x0100, "US", allocated],
    [0x0028, 0x0101, "US", stored], [0x0028, 0x0102, "US", stored - 1], [0x0028, 0x0103, "US", signed],
  ];
  const size = new Uint8Array(new Uint32Array([pixels.length]).buffer);
  const data = [0xe0, 0x7f, 0x10, 0x00, ...Buffer.from("OB"), 0, 0, ...size, ...pixels];
  return Uint8Array.from([...dicomFile([...elements, ...described, ...behind]), ...data]);
}

function number(kind: string, value: number): number[] {
  if (kind === "FL") return [...new Uint8Array(new Float32Array([value]).buffer)];
  if (kind === "FD") return [...new Uint8Array(new Float64Array([value]).buffer)];
  return [value & 255, value >> 8];
}

function encoded([group, element, kind, value]: Element): number[] {
  const text = String(value) + (kind === "UI" ? "\0" : " ").repeat(String(value).length % 2);
  const bytes = typeof value === "number" ? number(kind, value) : [...Buffer.from(text)];
  return [group & 255, group >> 8, element & 255, element >> 8, ...Buffer.from(kind), bytes.length, 0, ...bytes];
}

export const SIDE = 32;

/** Values of the last row of each slice, which others than labels have. */
const RAMP = 1000;

/** A slice at `z` whose pixels are all `value`, but for the last row, as `readDicom` gives it. */
export function slice(name: string, z: number | null, value: number, more: Partial<DicomPart> = {}): DicomPart {
  const levels = { window: null, inverted: false, ends: 0, empty: null };
  const axes = { row: [1, 0, 0] as Vector, column: [0, 1, 0] as Vector };
  return {
    name, depth: 1, height: SIDE, width: SIDE, pixels: pixelsOf(value), color: "gray", bits: 8, format: "DICOM, 8 bits",
    aspect: 1, facts: [], sides: null, sources: [name], locations: [{ path: name, alongMm: null }], notes: [],
    series: "1", description: "", study: "1", patient: "p", reference: "", uid: name, seriesNumber: 3, siblings: "", isMrStorage: true,
    examination: [more.study ?? "1"],
    traits: new Map(), levels, placement: z === null ? null : { ...axes, position: [0, 0, z] }, thicknessMm: 3,
    order: [0], locationMm: null, instance: null, ...more,
  };
}

function pixelsOf(value: number): Float32Array {
  return Float32Array.from({ length: SIDE * SIDE }, (_, at) => (at < SIDE * (SIDE - 1) ? value : RAMP + at));
}

/** The values of its slices, in order. */
export function valuesOf({ pixels }: MedicalImage): number[] {
  return [...new Set(pixels)].filter((value) => value < RAMP);
}

/** The volumes of a series, none of which may be refused. */
export function imagesOf(parts: DicomPart[]): MedicalImage[] {
  const { images, failures } = group(parts);
  if (failures.length > 0) throw new Error(failures[0].failure.error.message);
  return images;
}
