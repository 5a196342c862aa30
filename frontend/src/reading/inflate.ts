/** Deflated DICOM (PS3.5 A.5): raw, with a header of zlib or gzip, or not deflated at all. `dicom/parse.py`. */
import { Gunzip, Inflate, Unzlib } from "fflate";
import { InputError } from "../types";
import { joined } from "./samples";

const MOST_BYTES = 512 * 1024 * 1024;
const PIECE = 1 << 16;
/** What a data set begins with, and no deflate stream: group 8 with a value representation. */
const PLAIN = /^\x08\0[\x05\x08\x16]\0(CS|UI)/;

/** The file with its data set, which begins at `start`, unfolded. */
export function inflated(file: Uint8Array, start: number): Uint8Array {
  const data = file.subarray(start);
  const begin = String.fromCharCode(...data.subarray(0, 6));
  if (PLAIN.test(begin)) return file;
  const kind = begin.startsWith("\x1f\x8b") ? Gunzip : isZlib(data) ? Unzlib : Inflate;
  const parts = [file.subarray(0, start)];
  let total = 0;
  const stream = new kind((part: Uint8Array) => {
    total += part.length;
    parts.push(part);
  });
  for (let at = 0; at < data.length; at += PIECE) {
    stream.push(data.subarray(at, at + PIECE), at + PIECE >= data.length);
    if (total > MOST_BYTES) throw new InputError("limit", "decompresses to more than 512 MiB");
  }
  return joined(parts);
}

/** RFC 1950 2.2: the method, and a check over the first two bytes. */
function isZlib(data: Uint8Array): boolean {
  return (data[0] & 15) === 8 && (data[0] >> 4) <= 7 && ((data[0] << 8) | data[1]) % 31 === 0;
}
