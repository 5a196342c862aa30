/** MGH and NRRD: what tests/imaging/test_mgh.py and test_nrrd.py ask of Python. */
import { gzipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { read } from "../src/reading/read";
import { OTHER_SIGN, SWAPPED } from "../src/reading/stored";
import type { InputError, MedicalImage } from "../src/types";

const SHAPE = [40, 36, 34] as const;
const COUNT = SHAPE[0] * SHAPE[1] * SHAPE[2];
/** No two neighbours alike; whole numbers up to 250. */
const VALUES = Array.from({ length: COUNT }, (_, place) => (place * 7 + Math.floor(place / 97)) % 251);
/** Three rows of four, RAS: x to the back, y to the right, z up. */
const AFFINE = [[0, 2, 0, -30], [-2, 0, 0, 41], [0, 0, 2, -20]];
const NO_ORIENTATION = "the file does not state its orientation; the usual one (LAS) is assumed";

const DIRECTIONS = "(0,2,0) (-2,0,0) (0,0,2)";
const FIELDS: Record<string, string> = {
  type: "short", dimension: "3", space: "left-posterior-superior", sizes: SHAPE.join(" "), "space directions": DIRECTIONS,
  kinds: "domain domain domain", endian: "little", encoding: "raw", "space origin": "(30,-41,-20)",
};

function joined(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

function bytes(values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

function shorts(values: number[], little = true): Uint8Array {
  const data = new DataView(new ArrayBuffer(2 * values.length));
  values.forEach((value, place) => data.setInt16(2 * place, value, little));
  return new Uint8Array(data.buffer);
}

/** `fields` replace those of the header, or with null leave them out. */
function nrrd(fields: Record<string, string | null> = {}, behind: Uint8Array = shorts(VALUES)): Uint8Array {
  const lines = Object.entries({ ...FIELDS, ...fields }).flatMap(([name, value]) => (value === null ? [] : [`${name}: ${value}`]));
  return joined(Buffer.from(["NRRD0005", "# a remark", ...lines, "key:=value: 1", "", ""].join("\n")), behind);
}

interface Mgh {
  dims?: number[];
  type?: number;
  flag?: number;
  sizes?: number[];
  directions?: number[];
  behind?: Uint8Array;
}

function mgh(of: Mgh = {}): Uint8Array {
  const data = new DataView(new ArrayBuffer(284));
  data.setInt32(0, 1);
  (of.dims ?? [...SHAPE, 1]).forEach((side, place) => data.setInt32(4 + 4 * place, side));
  data.setInt32(20, of.type ?? 4);
  data.setInt16(28, of.flag ?? 1);
  (of.sizes ?? [2, 2, 2]).forEach((size, place) => data.setFloat32(30 + 4 * place, size));
  (of.directions ?? [0, -1, 0, 1, 0, 0, 0, 0, 1]).forEach((part, place) => data.setFloat32(42 + 4 * place, part));
  AFFINE.forEach((row, place) => data.setFloat32(78 + 4 * place, row[3] + SHAPE.reduce((sum, side, axis) => sum + (row[axis] * side) / 2, 0)));
  return joined(new Uint8Array(data.buffer), of.behind ?? shorts(VALUES, false));
}

function nifti(): Uint8Array {
  const data = new DataView(new ArrayBuffer(352));
  data.setInt32(0, 348, true);
  [3, ...SHAPE, 1, 1, 1, 1].forEach((side, place) => data.setInt16(40 + 2 * place, side, true));
  data.setInt16(70, 4, true);
  data.setInt16(72, 16, true);
  data.setFloat32(108, 352, true);
  data.setInt16(254, 1, true);
  AFFINE.flat().forEach((part, place) => data.setFloat32(280 + 4 * place, part, true));
  new Uint8Array(data.buffer).set(Buffer.from("n+1\0"), 344);
  return joined(new Uint8Array(data.buffer), shorts(VALUES));
}

/** `nifti()` in version 2, which states `length` as that of its header. */
function nifti2(length: number): Uint8Array {
  const data = new DataView(new ArrayBuffer(544));
  data.setInt32(0, length, true);
  new Uint8Array(data.buffer).set([...Buffer.from("n+2\0"), 13, 10, 26, 10], 4);
  data.setInt16(12, 4, true);
  data.setInt16(14, 16, true);
  [3, ...SHAPE, 1, 1, 1, 1].forEach((side, place) => data.setBigInt64(16 + 8 * place, BigInt(side), true));
  data.setBigInt64(168, 544n, true);
  data.setInt32(348, 1, true);
  AFFINE.flat().forEach((part, place) => data.setFloat64(400 + 8 * place, part, true));
  return joined(new Uint8Array(data.buffer), shorts(VALUES));
}

/** `nifti()` with an extension of 112 bytes, and numbers of its header replaced by place. */
function extended(stated: number, start: number): Uint8Array {
  const plain = nifti();
  const data = joined(plain.slice(0, 352), new Uint8Array(112), plain.slice(352));
  const view = new DataView(data.buffer);
  view.setUint8(348, 1);
  view.setInt32(352, stated, true);
  view.setFloat32(108, start, true);
  return data;
}

function changed(place: number, value: number, bytes: 2 | 4): Uint8Array {
  const data = nifti();
  const view = new DataView(data.buffer);
  if (bytes === 2) view.setInt16(place, value, true);
  else view.setInt32(place, value, true);
  return data;
}

const text = (values: number[], between = " ") => Uint8Array.from(Buffer.from(values.join(between)));
const image = async (data: Uint8Array) => (await read("a", data)) as MedicalImage;
const isSame = (one: MedicalImage, other: MedicalImage) => Buffer.from(one.pixels.buffer).equals(Buffer.from(other.pixels.buffer));
const notes = async (data: Uint8Array) => (await image(data)).notes;
const refusal = async (data: Uint8Array) => {
  const error = await read("a", data).then(() => null, (raised: InputError) => raised);
  return error ? `${error.kind}: ${error.message}` : "";
};

describe("NIfTI", () => {
  test.each([
    ["an extension", extended(112, 464), false], ["a longer extension", extended(2000, 464), true],
    ["an extension of no length", extended(0, 464), false], ["no length of its header", changed(0, 0, 4), false],
    ["a wrong number of bits", changed(72, 8, 2), false],
  ])("with %s", async (_, data, isTold) => {
    const [expected, found] = [await image(nifti()), await image(data)];
    expect(isSame(found, expected)).toBe(true);
    expect(found.notes).toEqual(isTold ? [expect.stringContaining("runs past the stated start")] : []);
  });

  test.each([540, 0])("of version 2, which states a length of %i", async (length) => {
    const [expected, found] = [await image(nifti()), await image(nifti2(length))];
    expect([isSame(found, expected), found.notes]).toEqual([true, []]);
  });

  test.each([[1, "gray"], [0, "vivid"]])("of colours has 8 bits a sample, times %i: %s", async (others, color) => {
    const header = changed(70, 128, 2).slice(0, 352);
    const found = await image(joined(header, bytes(VALUES.flatMap((value) => [value, others * value, others * value]))));
    expect([found.format, found.color, found.notes]).toEqual(["NIfTI, 8 bits", color, []]);
  });

  test("of two dimensions is one slice, whatever is stated of a third", async () => {
    const found = await image(changed(40, 2, 2));
    expect([found.depth, found.height, found.width]).toEqual([1, SHAPE[0], SHAPE[1]]);
  });

  test("whose voxels lie behind its extensions is refused", async () => {
    expect(await refusal(extended(112, 352))).toContain("correct vox_offset");
  });

  test("of a negative depth is damaged", async () => {
    expect(await refusal(changed(46, -34, 2))).toContain("dimensions");
  });
});

describe("one volume is the same slices", () => {
  test.each([
    ["MGH", mgh()], ["MGZ", gzipSync(mgh())], ["NRRD", nrrd()], ["NRRD", nrrd({ encoding: "gzip" }, gzipSync(shorts(VALUES)))],
    ["NRRD", nrrd({ endian: "big" }, shorts(VALUES, false))],
    ["NRRD", nrrd({ encoding: "text", endian: null }, text(VALUES, " \r\n "))],
    ["NRRD", nrrd({ "line skip": "2", byteskip: "3" }, joined(Buffer.from("one\n\nabc"), shorts(VALUES)))],
    ["NRRD", nrrd({ "byte skip": "-1" }, joined(Buffer.from("any"), shorts(VALUES)))],
    ["NRRD", nrrd({ space: "RAS", "space directions": "(0,-2,0) (2,0,0) (0,0,2)", "space origin": "(-30,41,-20)" })],
  ])("in %s", async (format, data) => {
    const [expected, found] = [await image(nifti()), await image(data)];
    expect({ ...found, pixels: null, format: "" }).toEqual({ ...expected, pixels: null, format: "" });
    expect(isSame(found, expected)).toBe(true);
    expect(found.format).toBe(`${format.replace("Z", "H")}, 16 bits`);
    expect(found.notes).toEqual([]);
    expect(found.sides).not.toBeNull();
  });
});

describe("volumes along the first axis", () => {
  const told = "unsupported_format: the first of the dimensions (2, 40, 36, 17) seems to be of channels or time points, not of voxels; save each volume as its own file";
  const sizes = [2, 40, 36, 17];
  const written = nifti();
  [4, ...sizes].forEach((side, place) => new DataView(written.buffer).setInt16(40 + 2 * place, side, true));
  const fields = { dimension: "4", sizes: sizes.join(" "), space: null, "space directions": null, "space origin": null };

  test.each([["NIfTI", written], ["MGH", mgh({ dims: sizes })], ["NRRD", nrrd({ ...fields, kinds: null })]])("of %s are refused", async (_, data) => {
    expect(await refusal(data)).toBe(told);
  });

  test("of NRRD are read if its kinds say that they are none", async () => {
    expect(await refusal(nrrd({ ...fields, kinds: "list domain domain domain" }))).not.toBe(told);
  });
});

describe("MGH", () => {
  test("of several frames the first is read", async () => {
    expect(await notes(mgh({ dims: [...SHAPE, 3] }))).toEqual(["the first of 3 volumes is read"]);
  });

  test("of frames of one slice each is a volume", async () => {
    const found = await image(mgh({ dims: [SHAPE[0], SHAPE[1], 1, SHAPE[2]] }));
    expect([found.depth, found.notes]).toEqual([SHAPE[2], [`the ${SHAPE[2]} volumes have one slice each; they are read as slices`]]);
  });

  test("without an orientation lies as FreeSurfer takes it", async () => {
    const found = await image(mgh({ flag: 0, sizes: [7, 8, 9] }));
    expect(found.notes).toEqual(["the file does not state its orientation; FreeSurfer's default (coronal, 1 mm) is assumed"]);
    expect([found.depth, found.height, found.width, found.sides]).toEqual([36, 34, 40, null]);
    expect(found.pixelMm).toEqual([1, 1]);
    // The top slice is the first row of each coronal one, the lowest comes first; the face is up.
    expect(found.pixels[35 * 34 * 40]).toBe(VALUES[33 * 36 * 40]);
  });

  test("passes over what is not plausible", async () => {
    expect(await notes(mgh({ sizes: [0, 0, 0] }))).toEqual(["a voxel size of the file is missing or not plausible; 1 is used"]);
    expect(await notes(mgh({ directions: [0, 0, 0, 1, 0, 0, 0, 0, 1] }))).toEqual([
      "the file's direction matrix is not plausible and is not used",
      "the file does not state its orientation; FreeSurfer's default (coronal) is assumed",
    ]);
  });

  test("is refused where it is damaged or not read", async () => {
    expect(await refusal(mgh().subarray(0, 284 + 2 * COUNT - 1))).toContain("corrupt: damaged or cut off");
    expect(await refusal(mgh().subarray(0, 100))).toContain("corrupt: damaged or cut off (100 of 284 bytes are there)");
    expect(await refusal(mgh({ type: 6 }))).toContain("unsupported_format: MGH voxels of type 6");
    expect(await refusal(mgh({ dims: [600, 600, 600, 1] }))).toContain("limit: 600x600x600 voxels are more than the limit");
    expect(await refusal(mgh({ dims: [64, 64, 5000, 1] }))).toContain("limit: 5000 slices are more than the limit of 4096");
    expect(await refusal(mgh({ sizes: [9e4, 1, 1] }))).toContain("limit: ");
    expect(await refusal(mgh({ type: 0, behind: bytes(VALUES.map((value) => value % 3)) }))).toContain("a label map or mask");
  });
});

describe("NRRD", () => {
  const bare = { space: null, "space directions": null, "space origin": null };

  test.each([
    ["the orientation", { space: null }, [NO_ORIENTATION]],
    ["a space of a patient", { space: "scanner-xyz" }, [NO_ORIENTATION]],
    ["all but spacings", { ...bare, spacings: "2 2 2" }, [NO_ORIENTATION]],
    ["voxel sizes", bare, ["a voxel size of the file is missing or not plausible; 1 is used", NO_ORIENTATION]],
    ["an origin", { "space origin": null }, ["the file's space origin is missing or not plausible; 0 is used"]],
    ["three directions", { "space directions": "(1,0,0) (1,0,0) (0,0,1)" }, [
      "the file's direction matrix is not plausible and is not used", NO_ORIENTATION,
    ]],
    ["a skewed head", { "space directions": "(1,0,0) (0.7,1,0) (0,0,1)" }, [
      "the axes of the file's direction matrix are not perpendicular: the head is skewed",
    ]],
    ["a unit that a head can have", { "space units": '"m" "m" "m"' }, [
      "the file's unit of length is not plausible; millimetres are assumed",
    ]],
    ["all its voxels", { sizes: "40 36 33" }, ["the file holds more voxels than it states; the others are not read"]],
  ])("without %s is read with a note", async (_, fields, expected) => {
    expect(await notes(nrrd(fields))).toEqual(expected);
  });

  test.each([
    ["coronal", "(0,6,0) (-2,0,0) (0,0,2)", [40, 34, 36], 6], ["sagittal", "(0,2,0) (-6,0,0) (0,0,2)", [36, 34, 40], 6],
    ["axial", "(0,2,0) (-2,0,0) (0,0,6)", [34, 40, 36], 6], ["axial", "(0,60,0) (-2,0,0) (0,0,2)", [], 60],
  ])("%s slices far apart are kept (%s)", async (plane, directions, sides, apart) => {
    const found = await image(nrrd({ "space directions": directions }));
    const isKept = plane !== "axial";
    expect(found.notes.filter((note) => note.includes("too far"))).toEqual(isKept ? [`${plane} slices ${apart} mm apart, too far for axial ones, are kept`] : []);
    expect([found.facts[0], found.headward]).toEqual([plane, isKept ? 0 : 1]);
    if (apart === 6) expect([found.depth, found.height, found.width]).toEqual(sides);
    // The crown is up, and the first slice is at the face or on the patient's right.
    if (isKept) expect(found.pixels[0]).toBe(VALUES[40 * (35 + 36 * 33)]);
  });

  test.each([["coronal", [4, 34, 36]], ["sagittal", [4, 34, 36]]])("that is too thin for axial slices is cut into %s ones", async (plane, sides) => {
    const directions = plane === "coronal" ? "(0,2,0) (2,0,0) (0,0,2)" : "(2,0,0) (0,2,0) (0,0,2)";
    const found = await image(nrrd({ sizes: "4 36 34", "space directions": directions }, shorts(VALUES.slice(0, 4 * 36 * 34))));
    expect(found.notes).toEqual([`too thin for axial slices; it is cut into ${plane} ones`]);
    expect([found.facts[0], found.headward, found.depth, found.height, found.width]).toEqual([plane, 0, ...sides]);
  });

  test("of implausible spacings", async () => {
    const found = await image(nrrd({ "space directions": null, space: null, "space origin": null, spacings: "2 1e-300 1e-9" }));
    expect(found.notes).toContain("a voxel size of the file is missing or not plausible; 1 is used");
    expect(found.pixelMm).toEqual([1, 1]);
  });

  test("in metres", async () => {
    const fields = { "space directions": "(0,0.002,0) (-0.002,0,0) (0,0,0.002)", "space units": '"m" "m" "m"' };
    const found = await image(nrrd(fields));
    expect([found.notes, found.pixelMm?.map((size) => size.toFixed(6))]).toEqual([[], ["2.000000", "2.000000"]]);
  });

  test.each(["RGB-color", "vector", "none"])("of three bytes along an axis of kind %s is gray", async (kind) => {
    const colors = VALUES.flatMap((value) => [value, 255 - value, 7]);
    const fields = { type: "uchar", dimension: "4", sizes: `3 ${FIELDS.sizes}`, kinds: `${kind} domain domain domain`,
      "space directions": `none ${DIRECTIONS}` };
    const lumas = VALUES.map((value) => Math.floor((299 * value + 587 * (255 - value) + 114 * 7 + 500) / 1000));
    const expected = await image(nrrd({ type: "uchar" }, bytes(lumas)));
    for (const data of [nrrd(fields, bytes(colors)), nrrd({ ...fields, encoding: "ascii" }, text(colors))]) {
      const found = await image(data);
      expect([isSame(found, expected), found.color, found.notes]).toEqual([true, "vivid", []]);
    }
  });

  test.each(["list", "time", "none"])("of several volumes along an axis of kind %s gives the first", async (kind) => {
    const expected = await image(nrrd());
    const last = { dimension: "4", sizes: `${FIELDS.sizes} 2`, kinds: `domain domain domain ${kind}`, "space directions": `${DIRECTIONS} none` };
    const first = { dimension: "4", sizes: `2 ${FIELDS.sizes}`, kinds: `${kind} domain domain domain`, "space directions": `none ${DIRECTIONS}` };
    const mixed = VALUES.flatMap((value) => [value, 9]);
    for (const data of [nrrd(last, shorts([...VALUES, ...VALUES])), nrrd(first, shorts(mixed))]) {
      const found = await image(data);
      expect(isSame(found, expected)).toBe(true);
      expect(found.notes).toEqual(["the first of 2 volumes is read"]);
    }
  });

  test("of two axes is an image", async () => {
    const found = await image(nrrd({ dimension: "2", sizes: "40 36", kinds: null, "space directions": "(2,0,0) (0,2,0)" }, shorts(VALUES.slice(0, 1440))));
    expect([found.depth, found.height, found.width, found.notes]).toEqual([1, 36, 40, []]);
  });

  test.each([
    ["unsupported_format: the header of NRRD data in other files", { "data file": "a.raw" }],
    ["unsupported_format: NRRD with encoding bzip2; save it with encoding gzip", { encoding: "bzip2" }],
    ["unsupported_format: NRRD voxels of type block", { type: "block" }],
    ["unsupported_format: complex voxels; save their magnitude instead", { sizes: "2 40 36 17", dimension: "4", kinds: "complex domain domain domain", "space directions": `none ${DIRECTIONS}` }],
    ["unsupported_format: NRRD with an axis of kind vector, which does not hold intensities", { sizes: "3 40 36 11", dimension: "4", kinds: "vector domain domain domain", "space directions": `none ${DIRECTIONS}` }],
    ["unsupported_format: NRRD with fewer than 2 axes in space", { sizes: "40", dimension: "1", kinds: null, "space directions": "(1,0,0)" }],
    ["limit: 600x600x600 voxels are more than the limit", { sizes: "600 600 600" }],
    ["limit: 27648000000 bytes of voxels", { sizes: "400000 40 36 24", dimension: "4", kinds: "list domain domain domain", "space directions": `none ${DIRECTIONS}` }],
    ["bytes are there", { sizes: "40 36 35" }],
    ["corrupt: damaged gzip", { encoding: "gzip" }],
    ["corrupt: damaged NRRD (no type)", { type: null }],
    ["corrupt: damaged NRRD (no endian)", { endian: null }],
    ["corrupt: damaged NRRD (no encoding)", { encoding: null }],
    ["corrupt: damaged NRRD (0 sizes)", { sizes: null }],
    ["corrupt: damaged NRRD (sizes 40 0 34)", { sizes: "40 0 34" }],
    ["corrupt: damaged NRRD (sizes 40 36 34)", { dimension: "4" }],
    ["corrupt: damaged NRRD (2 kinds of 3 axes)", { kinds: "domain domain" }],
    ["corrupt: damaged NRRD (byte skip -2)", { "byte skip": "-2" }],
    ["corrupt: damaged NRRD (line skip 30000)", { "line skip": "30000" }],
    ["corrupt: damaged NRRD", { "space directions": "(1,0,0) (0,x,0) (0,0,1)" }],
    ["corrupt: damaged or cut off", { encoding: "text" }],
  ])("gives %s", async (message, fields) => {
    const behind = ("encoding" in fields && fields.encoding === "text") ? text(VALUES.slice(1)) : shorts(VALUES);
    expect(await refusal(nrrd(fields, behind))).toContain(message);
  });

  test("has no header without end", async () => {
    expect(await refusal(Uint8Array.from(Buffer.from(`NRRD0004\n${"#\n".repeat(30_000)}`)))).toContain("limit: NRRD with a header of more than");
    expect(await refusal(Uint8Array.from(Buffer.from("NRRD0004\n")))).toContain("no type");
  });
});

test.each(["raw", "gzip"])("voxels in the other byte order than stated, %s", async (encoding) => {
  const soft = Array.from({ length: COUNT }, (_, place) => (place % SHAPE[0]) * 100 + Math.floor(place / SHAPE[0]) % 7);
  const written = (little: boolean) => (encoding === "gzip" ? gzipSync(shorts(soft, little)) : shorts(soft, little));
  const [wrong, right] = [await read("a.nrrd", nrrd({ encoding }, written(false))), await read("a.nrrd", nrrd({ encoding }, written(true)))];
  expect([...wrong.pixels]).toEqual([...right.pixels]);
  expect([wrong.notes, right.notes]).toEqual([[SWAPPED], []]);
});

test("voxels of the other sign than stated", async () => {
  const soft = Array.from({ length: COUNT }, (_, place) => Math.min(place % SHAPE[0], 39 - (place % SHAPE[0])) * 3200 + (Math.floor(place / SHAPE[0]) % 7));
  const [wrong, right] = [await read("a.nrrd", nrrd({ type: "short" }, shorts(soft))), await read("a.nrrd", nrrd({ type: "ushort" }, shorts(soft)))];
  expect([...wrong.pixels]).toEqual([...right.pixels]);
  expect([wrong.notes, right.notes]).toEqual([[OTHER_SIGN], []]);
});
