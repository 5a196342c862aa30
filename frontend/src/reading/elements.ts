/** Values of a data set; what cannot be read counts as missing. `tumorlens/imaging/dicom/tags.py`. */
import type { DataSet } from "dicom-parser";

/** The first value of the element that is not empty. */
export function text(set: DataSet, tag: string): string {
  return texts(set, tag)[0] ?? "";
}

/** All values of the element as words. */
export function texts(set: DataSet, tag: string): string[] {
  return stored(set, tag).split("\\").map((word) => word.trim()).filter((word) => word !== "");
}

/** All values of an element; none where one of them is no number. A comma is a decimal point that some exporters mean. */
export function numbers(set: DataSet, tag: string): number[] {
  const parts = stored(set, tag).split("\\").map((part) => part.trim().replace(",", "."));
  const values = parts.map((part) => (part === "" ? NaN : Number(part)));
  return values.every(Number.isFinite) ? values : [];
}

/** The first number of an element; null where there is none. */
export function number(set: DataSet, tag: string): number | null {
  const [first] = numbers(set, tag);
  return first === undefined ? null : first;
}

/** Numbers of eight bytes (FD); none where the element is something else. */
export function doubles(set: DataSet, tag: string): number[] {
  const element = set.elements[tag];
  if (!element || element.length % 8 || element.length === 0) return [];
  const values = Array.from({ length: element.length / 8 }, (_, index) => set.double(tag, index) ?? NaN);
  return values.every(Number.isFinite) ? values : [];
}

/** A number of two bytes (US), or a text, as some exporters write it. */
export function whole(set: DataSet, tag: string): number | null {
  const kind = set.elements[tag]?.vr ?? "US";
  return kind === "US" || kind === "SS" ? (set.uint16(tag) ?? null) : number(set, tag);
}

/** Whether the element holds something, sense or not. */
export function isStated(set: DataSet, tag: string): boolean {
  return stored(set, tag) !== "";
}

function stored(set: DataSet, tag: string): string {
  return set.string(tag)?.trim() ?? "";
}
