/** The header of an NRRD file, and what its axes mean: `tumorlens/imaging/volumes/nrrd_header.py`. */
import { InputError } from "../types";
import type { SampleType } from "./samples";
import { checkFirstAxis, MOST_HEADER_BYTES } from "./volume";

export const MOST_LINES = 20_000;
const MOST_AXES = 16;
/** Characters of a field that are looked at. */
const LONGEST = 4096;
const SPELLINGS: Record<SampleType, string> = {
  i1: "signed char,int8,int8_t",
  u1: "uchar,unsigned char,uint8,uint8_t",
  i2: "short,short int,signed short,signed short int,int16,int16_t",
  u2: "ushort,unsigned short,unsigned short int,uint16,uint16_t",
  i4: "int,signed int,int32,int32_t",
  u4: "uint,unsigned int,uint32,uint32_t",
  i8: "longlong,long long,long long int,signed long long,signed long long int,int64,int64_t",
  u8: "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t",
  f4: "float",
  f8: "double",
};
const SPATIAL = new Set(["", "domain", "space"]);
/** Kinds of axes that hold channels, where there are as many and they are bytes. */
const COLORS: Record<string, number> = {
  "rgb-color": 3, "3-color": 3, "rgba-color": 4, "4-color": 4, vector: 3, "3-vector": 3, "": 3,
};
/** Kinds of axes along which whole volumes lie. */
const LISTS = new Set(["", "domain", "space", "time", "list"]);
const VECTOR = /none|\(([^()]*)\)/gi;
const NUMBER = /^[+-]?(\d+\.?\d*(e[+-]?\d+)?|\.\d+(e[+-]?\d+)?|nan|inf|infinity)$/i;

export type Direction = number[] | null;

/** The axes of the file, the fastest first, by what they mean. */
export interface Axes {
  sizes: number[];
  /** Two or three of them. */
  spatial: number[];
  color: number | null;
  /** Along all others. */
  volumes: number;
  shape: readonly [number, number, number];
}

export function damaged(what: string): InputError {
  return new InputError("corrupt", `damaged NRRD (${what})`);
}

function unread(what: string): InputError {
  return new InputError("unsupported_format", what);
}

/** A decimal number as Python reads it; NaN and infinities count. */
export function decimal(text: string): number {
  const word = text.trim();
  if (!NUMBER.test(word)) throw damaged(`not a number:  ${clean(word)}`);
  return /^[+-]?inf/i.test(word) ? (word.startsWith("-") ? -Infinity : Infinity) : Number(word);
}

/** Everything that is not printable replaced. */
function clean(text: string): string {
  return text.slice(0, 120).replace(/[^\x20-\x7e]/g, "?");
}

export class Header {
  private readonly fields = new Map<string, string>();
  /** The byte behind the empty line. */
  readonly end: number;

  constructor(data: Uint8Array) {
    this.end = this.parse(data);
    if (this.fields.has("datafile")) {
      throw unread("the header of NRRD data in other files; save both as one .nrrd file, or convert them to NIfTI (.nii.gz)");
    }
  }

  text(name: string): string {
    return this.fields.get(name) ?? "";
  }

  /** A whole number; 0 where it is missing. */
  whole(name: string): number {
    const text = this.text(name) || "0";
    if (!/^[+-]?\d+$/.test(text)) throw damaged(`${name} ${clean(text)}`);
    return Number(text);
  }

  type(): { type: SampleType; isLittle: boolean } {
    const name = this.text("type").toLowerCase().split(/\s+/).join(" ");
    if (!name) throw damaged("no type");
    const spelling = Object.entries(SPELLINGS).find(([, names]) => names.split(",").includes(name));
    if (!spelling) throw unread(`NRRD voxels of type ${clean(name)}`);
    const type = spelling[0] as SampleType;
    const order = this.text("endian").toLowerCase();
    if (!["little", "big"].includes(order) && type[1] !== "1" && !this.isText) throw damaged("no endian");
    return { type, isLittle: order === "little" };
  }

  get isText(): boolean {
    return ["txt", "text", "ascii"].includes(this.text("encoding").toLowerCase());
  }

  get isZipped(): boolean {
    return ["gz", "gzip"].includes(this.text("encoding").toLowerCase());
  }

  checkEncoding(): void {
    const name = this.text("encoding").toLowerCase();
    if (!name) throw damaged("no encoding");
    if (this.isText || this.isZipped || name === "raw") return;
    throw unread(`NRRD with encoding ${clean(name)}; save it with encoding gzip, or convert it to NIfTI (.nii.gz)`);
  }

  axes(type: SampleType): Axes {
    const sizes = this.sizes();
    const kinds = this.kinds(sizes.length);
    const steps = this.directions(sizes.length);
    if (!kinds[0] && !steps) checkFirstAxis(sizes);
    const known = kinds.flatMap((kind, axis) => (SPATIAL.has(kind) && (!steps || steps[axis]) ? [axis] : []));
    const spatial = known.slice(0, 3);
    let color: number | null = null;
    let volumes = 1;
    sizes.forEach((size, axis) => {
      if (spatial.includes(axis) || size === 1) return;
      // Without a kind, an axis behind the others holds volumes.
      const isColor = !known.includes(axis) && type === "u1" && COLORS[kinds[axis]] === size;
      if (isColor && color === null) color = axis;
      else if (LISTS.has(kinds[axis])) volumes *= size;
      else if (kinds[axis] === "complex") throw unread("complex voxels; save their magnitude instead");
      else throw unread(`NRRD with an axis of kind ${clean(kinds[axis])}, which does not hold intensities`);
    });
    if (spatial.length < 2) throw unread("NRRD with fewer than 2 axes in space");
    const [x, y, z] = [...spatial.map((axis) => sizes[axis]), 1];
    return { sizes, spatial, color, volumes, shape: [x, y, z] };
  }

  private words(name: string): string[] {
    return this.text(name).split(/\s+/).filter(Boolean);
  }

  private sizes(): number[] {
    const words = this.words("sizes");
    if (words.length < 1 || words.length > MOST_AXES) throw damaged(`${words.length} sizes`);
    const sizes = words.map((word) => (/^[+-]?\d+$/.test(word) ? Number(word) : 0));
    if (Math.min(...sizes) < 1 || ![0, sizes.length].includes(this.whole("dimension"))) throw damaged(`sizes ${clean(words.join(" "))}`);
    return sizes;
  }

  private kinds(count: number): string[] {
    const kinds = this.words("kinds").map((kind) => kind.toLowerCase());
    if (kinds.length === 0) return Array<string>(count).fill("");
    if (kinds.length !== count) throw damaged(`${kinds.length} kinds of ${count} axes`);
    return kinds.map((kind) => (["none", "???"].includes(kind) ? "" : kind));
  }

  /** The step along each axis, null along one that is not in space; null without any. */
  directions(count: number): Direction[] | null {
    const text = this.text("spacedirections");
    if (!text) return null;
    const vectors = [...text.matchAll(VECTOR)].map(([, parts]) => vector(parts));
    if (vectors.length !== count) throw damaged(`${vectors.length} space directions of ${count} axes`);
    return vectors;
  }

  origin(): Direction {
    const match = /^\(([^()]*)\)$/.exec(this.text("spaceorigin"));
    return match ? vector(match[1]) : null;
  }

  /** Voxel sizes; NaN where they are not stated. */
  spacings(count: number): number[] {
    const words = this.words("spacings");
    if (words.length === 0) return Array<number>(count).fill(NaN);
    if (words.length !== count) throw damaged(`${words.length} spacings of ${count} axes`);
    return words.map(decimal);
  }

  private parse(data: Uint8Array): number {
    const decoder = new TextDecoder();
    let at = 0;
    for (let line = 0; line < MOST_LINES; line++) {
      let end = data.indexOf(10, at);
      if (end < 0 || end >= MOST_HEADER_BYTES) {
        if (data.length > MOST_HEADER_BYTES) break;
        end = data.length;
      }
      const text = decoder.decode(data.subarray(at, end)).replace(/\r+$/, "");
      at = Math.min(end + 1, data.length);
      if (!text) return at;
      this.add(text);
    }
    throw new InputError("limit", `NRRD with a header of more than ${MOST_LINES} lines or ${MOST_HEADER_BYTES} bytes`);
  }

  /** A field has a colon and a space, remarks of other programs have :=. */
  private add(line: string): void {
    const colon = line.indexOf(":");
    if (colon < 0 || line[colon + 1] === "=" || line.startsWith("#")) return;
    const name = line.slice(0, colon).toLowerCase().replace(/\s+/g, "");
    if (!this.fields.has(name)) this.fields.set(name, line.slice(colon + 1, colon + 1 + LONGEST).trim());
  }
}

function vector(parts: string | undefined): Direction {
  return parts === undefined ? null : parts.split(",").map(decimal);
}
