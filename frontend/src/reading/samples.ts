/** Numbers as volumes store them. */
import { InputError } from "../types";
import { hasOtherSign, isSwapped, OTHER_SIGN, ofOtherSign, SWAPPED } from "./stored";

/** Signed, unsigned or floating, and its bytes: as numpy names them. */
export type SampleType = "i1" | "u1" | "i2" | "u2" | "i4" | "u4" | "i8" | "u8" | "f4" | "f8";
type Reader = (view: DataView, at: number, little: boolean) => number;

const READERS: Record<SampleType, Reader> = {
  i1: (view, at) => view.getInt8(at),
  u1: (view, at) => view.getUint8(at),
  i2: (view, at, little) => view.getInt16(at, little),
  u2: (view, at, little) => view.getUint16(at, little),
  i4: (view, at, little) => view.getInt32(at, little),
  u4: (view, at, little) => view.getUint32(at, little),
  i8: (view, at, little) => Number(view.getBigInt64(at, little)),
  u8: (view, at, little) => Number(view.getBigUint64(at, little)),
  f4: (view, at, little) => view.getFloat32(at, little),
  f8: (view, at, little) => view.getFloat64(at, little),
};

export function bytesOf(type: SampleType): number {
  return Number(type[1]);
}

const ROW = 64;
const ROWS = 1024;

/** How the first `count` numbers are stored: in the byte order and with the sign that are stated or that must be meant, and notes of it. `as_meant` in `stored.py`. */
export function storageOf(view: DataView, type: SampleType, little: boolean, count: number): { little: boolean; type: SampleType; notes: string[] } {
  const stated = { little, type, notes: [] };
  const rows = Math.floor(Math.min(count, view.byteLength / 2) / ROW);
  if (bytesOf(type) !== 2 || rows === 0) return stated;
  const step = Math.max(1, Math.floor(rows / ROWS));
  const sampleRows = (order: boolean) => Float32Array.from({ length: Math.ceil(rows / step) * ROW }, (_, at) => (
    READERS[type](view, 2 * (Math.floor(at / ROW) * step * ROW + (at % ROW)), order)
  ));
  const [words, swapped] = [sampleRows(little), sampleRows(!little)];
  const isOther = isSwapped(words, words, swapped, ROW, ROWS);
  const values = isOther ? swapped : words;
  const isSigned = type === "i2";
  const isTorn = hasOtherSign(values, ofOtherSign(values, 16, isSigned), ROW, false);
  return {
    little: isOther ? !little : little,
    type: !isTorn ? type : isSigned ? "u2" : "i2",
    notes: [...(isOther ? [SWAPPED] : []), ...(isTorn ? [OTHER_SIGN] : [])],
  };
}

/** Throw where fewer bytes follow than `needed`; those before count too, as in Python. */
export function checkLength({ byteOffset, byteLength }: DataView, needed: number): void {
  if (byteLength < needed) throw new InputError("corrupt", `damaged or cut off (${byteOffset + byteLength} of ${byteOffset + needed} bytes are there)`);
}

/** The first `count` numbers, scaled where that is said; memory is taken only for those that are there. */
export function numbers(
  view: DataView, type: SampleType, little: boolean, count: number, scaled?: (value: number) => number,
): Float32Array {
  const [bytes, get] = [bytesOf(type), READERS[type]];
  checkLength(view, count * bytes);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const value = get(view, i * bytes, little);
    out[i] = scaled ? scaled(value) : value;
  }
  return out;
}

/** Bytes one part after the other. */
export function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}
