/** What folders and archives hold, as `tumorlens/imaging/finder.py` and `archive.py` find it. */
import { strToU8, zipSync, type Zippable } from "fflate";
import { describe, expect, test } from "vitest";
import { encode } from "fast-png";
import { Archive } from "../src/reading/archive";
import { contentsOf } from "../src/reading/contents";
import { type Element, dicomImage } from "./made";

const SIDE = 32;
const PIXELS = new Uint8Array(SIDE * SIDE).map((_, at) => at % 251);
const PNG = encode({ width: SIDE, height: SIDE, data: PIXELS, channels: 1, depth: 8 });

/** A slice of one series, `z` mm up. */
function slice(z: number, modality = "MR"): Uint8Array {
  const elements: Element[] = [
    [0x0008, 0x0016, "UI", "1.2.840.10008.5.1.4.1.1.4"], [0x0008, 0x0018, "UI", `1.2.3.${z}`], [0x0008, 0x0060, "CS", modality],
    [0x0020, 0x000d, "UI", "1.2"], [0x0020, 0x000e, "UI", "1.2.3"], [0x0020, 0x0013, "IS", String(z)],
    [0x0020, 0x0032, "DS", `0\\0\\${z}`], [0x0020, 0x0037, "DS", "1\\0\\0\\0\\1\\0"],
  ];
  return dicomImage(elements, SIDE, 1, PIXELS.map((value) => value ^ z));
}

async function read(files: Record<string, Uint8Array>) {
  const archives: Archive[] = [];
  const named = Object.entries(files).map(([name, data]) => ({ name, file: new Blob([data as Uint8Array<ArrayBuffer>]) }));
  const found = await contentsOf(named, archives, () => {});
  const errors = found.failures.map(({ failure, files: about }) => [failure.error.kind, failure.error.message, about.length]);
  return { ...found, archives, errors, names: found.images.map(({ name }) => name) };
}

const zipped = (files: Zippable) => zipSync(files, { level: 6 });

describe("an archive", () => {
  test("gives the images and series in it, by name", async () => {
    const series = Object.fromEntries([2, 0, 1].map((z) => [`head/${z}.dcm`, slice(z)]));
    const data = zipped({ ...series, "b.png": PNG, "a.png": PNG, "__MACOSX/._a.png": PNG, ".hidden/c.png": PNG, "notes.txt": strToU8("none") });
    const { names, errors, skipped, images, members, archives } = await read({ "study.zip": data });
    expect([names, errors, skipped]).toEqual([["study.zip/a.png", "study.zip/b.png", "study.zip/head (3 files)"], [], 1]);
    expect(images[2].sources).toEqual([0, 1, 2].map((z) => `study.zip/head/${z}.dcm`));
    const member = members.find(({ name }) => name === "study.zip/b.png")!;
    expect(await archives[member.archive].read(member.member)).toEqual(PNG);
  });

  test("within an archive is opened, one within that is not", async () => {
    const inner = zipped({ "a.png": PNG, "deeper.zip": zipped({ "b.png": PNG }) });
    const { names, errors } = await read({ "study.zip": zipped({ "inner.zip": inner, "c.png": PNG }) });
    expect(names).toEqual(["study.zip/c.png", "study.zip/inner.zip/a.png"]);
    expect(errors).toEqual([["unsupported_format", "study.zip/inner.zip/deeper.zip: an archive nested in two others; unpack it first", 0]]);
  });

  test("members of one name are told apart, and names are never paths", async () => {
    const two = zipped({ "../a.png": PNG, "../b.png": PNG });
    const { names } = await read({ "study.zip": replaced(two, "../b.png", "../a.png") });
    expect(names).toEqual(["study.zip/../a (2).png", "study.zip/../a.png"]);
  });

  test("without an image says so, and is passed over in a folder of others", async () => {
    const empty = zipped({ "notes.txt": strToU8("none") });
    expect((await read({ "study.zip": empty })).errors).toEqual([["missing", "study.zip: contains no image", 0]]);
    const { names, errors, skipped } = await read({ "head/a.png": PNG, "head/study.zip": empty });
    expect([names, errors, skipped]).toEqual([["head/a.png"], [], 2]);
  });

  test("that is encrypted is one error, one encrypted member another", async () => {
    const all = zipped({ "a.png": PNG, "b.png": PNG });
    expect((await read({ "study.zip": flagged(all, ["a.png", "b.png"]) })).errors).toEqual([
      ["unsupported_format", "study.zip: is encrypted; unpack it first", 0],
    ]);
    const { names, errors } = await read({ "study.zip": flagged(all, ["a.png"]) });
    expect([names, errors]).toEqual([["study.zip/b.png"], [["unsupported_format", "study.zip/a.png: is encrypted; unpack it first", 0]]]);
  });

  test("that is damaged costs no other file its answer", async () => {
    const data = zipped({ "a.png": PNG, "b.png": PNG });
    const end = await read({ "study.zip": data.slice(0, -30), "c.png": PNG });
    expect(end.names).toEqual(["c.png"]);
    expect(end.errors[0][1]).toMatch(/^study\.zip: damaged zip \(.+\)$/);
    const stored = zipSync({ "a.png": PNG, "b.png": PNG }, { level: 0 });
    const at = Buffer.from(stored).indexOf("IDAT") + 20;
    stored[at] ^= 1;
    const one = await read({ "study.zip": stored });
    expect(one.names).toEqual(["study.zip/b.png"]);
    expect(one.errors[0].slice(0, 2)).toEqual(["corrupt", expect.stringMatching(/^study\.zip\/a\.png: damaged zip \(.+\)$/)]);
  });

  test("is refused where it claims too many files or bytes", async () => {
    const many = Object.fromEntries(Array.from({ length: 20_001 }, (_, at) => [`${at}`, new Uint8Array(1)]));
    expect((await read({ "study.zip": zipSync(many, { level: 0 }) })).errors).toEqual([
      ["limit", "study.zip: 20001 files are more than the limit of 20000", 0],
    ]);
    const bomb = claiming(zipped({ "a.png": PNG, "b.png": PNG }), 3_000_000_000);
    expect((await read({ "study.zip": bomb })).errors).toEqual([["limit", "study.zip: decompresses to 6000000000 bytes; the limit is 4294967296", 0]]);
    const large = await Archive.open(new Blob([claiming(zipped({ "a.png": PNG }), 300_000_000)]));
    await expect(large.read("a.png")).rejects.toMatchObject({ kind: "limit", message: "300000000 bytes are more than the limit of 268435456" });
  });

  test("a member gives no more bytes than it claims", async () => {
    const archive = await Archive.open(new Blob([claiming(zipped({ a: new Uint8Array(5_000_000) }), 2000)]));
    await expect(archive.read("a")).rejects.toMatchObject({ kind: "corrupt" });
  });
});

describe("a folder", () => {
  test("files that are no images are counted, files that claim to be one are errors", async () => {
    const { names, errors, skipped } = await read({
      "head/a.png": PNG, "head/readme.txt": strToU8("none"), "head/DICOMDIR": slice(0), "head/b.png": new Uint8Array(),
    });
    expect([names, skipped]).toEqual([["head/a.png"], 2]);
    expect(errors).toEqual([["unsupported_format", "head/b.png: is empty", 1]]);
  });

  test("a series of another modality is one error", async () => {
    const { errors } = await read({ "head/a.png": PNG, "head/0": slice(0, "CT"), "head/1": slice(1, "CT"), "head/2": slice(2, "CT") });
    expect(errors).toEqual([["not_mr", "head/0: modality CT; only MR is classified (the same holds for 2 more files of the series)", 0]]);
  });

  test("without an image is one error", async () => {
    const { errors, skipped } = await read({ "head/a.txt": strToU8("none"), "head/b/c.txt": strToU8("none") });
    expect([errors, skipped]).toEqual([[["missing", "head: contains no image", 0]], 2]);
  });

  test("a file that is chosen by itself is answered for, whatever it is", async () => {
    expect((await read({ "readme.txt": strToU8("none"), "a.png": PNG })).errors[0][1]).toContain("readme.txt: is not an image that the page reads");
  });
});

describe("slices that cannot be read", () => {
  const cut = (data: Uint8Array) => data.slice(0, data.length - 100);

  test("are left out of their series, with a note", async () => {
    const { images: [image], errors, names } = await read({ "s/0": slice(0), "s/1": cut(slice(1)), "s/2": slice(2), "s/3": slice(3) });
    expect(names).toEqual(["s (4 files)"]);
    expect([image.depth, image.locations.map(({ alongMm }) => alongMm)]).toEqual([3, [0, 2, 3]]);
    expect(image.notes).toContain("1 of 4 slices could not be read and are left out");
    expect(image.sources).toHaveLength(4);
    expect(errors.map(([kind, message]) => [kind, message])).toEqual([["corrupt", expect.stringMatching(/^s\/1: /)]]);
  });

  test("are one error where none is left", async () => {
    const { errors, names } = await read({ "s/0": cut(slice(0)), "s/1": cut(slice(1)), "s/2": cut(slice(2)) });
    expect(names).toEqual([]);
    expect(errors).toEqual([["corrupt", expect.stringMatching(/^s\/0: .+ \(2 more files of the series cannot be read either\)$/), 3]]);
  });
});

/** Both names have as many characters. */
function replaced(data: Uint8Array, one: string, other: string): Uint8Array {
  return new Uint8Array(Buffer.from(Buffer.from(data).toString("latin1").replaceAll(one, other), "latin1"));
}

/** With the flag of encryption in the list of members. */
function flagged(data: Uint8Array, names: string[]): Uint8Array {
  return listed(data, (entry, name) => (names.includes(name) ? entry.writeUInt16LE(entry.readUInt16LE(8) | 1, 8) : 0));
}

/** With another size of the members in the list. */
function claiming(data: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  return listed(data, (entry) => entry.writeUInt32LE(size, 24));
}

function listed(data: Uint8Array, change: (entry: Buffer, name: string) => void): Uint8Array<ArrayBuffer> {
  const copy = Buffer.from(data);
  for (let at = copy.indexOf("PK\x01\x02"); at >= 0; at = copy.indexOf("PK\x01\x02", at + 4)) {
    const entry = copy.subarray(at);
    change(entry, entry.toString("latin1", 46, 46 + entry.readUInt16LE(28)));
  }
  return new Uint8Array(copy);
}
