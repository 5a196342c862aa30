/** Gzip in one member or several (RFC 1952 2.2), as parallel compressors write it. */
import { Gunzip } from "fflate";
import { InputError } from "../types";
import { joined } from "./samples";

export function gunzip(data: Uint8Array): ArrayBuffer {
  const parts: Uint8Array[] = [];
  try {
    const inflater = new Gunzip((part) => parts.push(part));
    inflater.push(data, true);
  } catch (error) {
    // What follows the last member is none of the file's voxels; too few of them are reported later.
    if (parts.length === 0) throw new InputError("corrupt", `damaged gzip (${(error as Error).message})`);
  }
  return joined(parts).buffer;
}
