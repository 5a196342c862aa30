/** Files that mislead: what tests/imaging asks of Python. */
import { encode } from "fast-png";
import { gzipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { INVERTED, LABELS, LINES, PANELS, refusalOf, VIVID } from "../src/layout";
import { planeOf } from "../src/items";
import { isAnimated } from "../src/reading/animation";
import { TINTED } from "../src/reading/gray";
import { coversTheHead, hiddenByWindow } from "../src/reading/grayscale";
import { gunzip } from "../src/reading/gunzip";
import { mend } from "../src/reading/intensities";
import { read } from "../src/reading/read";
import { SWAPPED } from "../src/reading/stored";
import { type Frame, split } from "../src/reading/slice_ordering";

const SIDE = 96;

/** A head on dark air, 0 to 200. */
function head(): Float32Array {
  return Float32Array.from({ length: SIDE * SIDE }, (_, at) => {
    const [row, column] = [Math.floor(at / SIDE), at % SIDE].map((place) => (2 * place) / (SIDE - 1) - 1);
    const radius = Math.hypot(row / 0.8, column / 0.65);
    return radius > 1 ? 2 + (at % 2) : 90 + 60 * Math.sin(7 * row) * Math.cos(5 * column) + (radius > 0.9 ? 50 : 0);
  });
}

const plane = (pixels: Float32Array) => ({ height: SIDE, width: SIDE, pixels });

test.each([[1, [], VIVID], [0.4, [TINTED], ""], [0.05, [], ""], [0, [], ""]])("an image of which %s is in colours", async (share, noted, reason) => {
  const data = new Uint8Array(3 * SIDE * SIDE);
  head().forEach((value, at) => data.fill(value, 3 * at, 3 * at + (at < share * SIDE * SIDE ? 2 : 3)));
  const image = await read("a.png", encode({ width: SIDE, height: SIDE, data, channels: 3, depth: 8 }));
  expect([image.notes, refusalOf(planeOf(image, 0))]).toEqual([noted, reason]);
});

test.each([[2, 8], [4, 8], [2, 16], [4, 16]] as const)("an opacity of %i channels, %i bits, that is 0 everywhere is not used", async (channels, depth) => {
  const values = head().map(Math.round);
  const data = new (depth === 8 ? Uint8Array : Uint16Array)(channels * SIDE * SIDE);
  values.forEach((value, at) => data.fill(value, channels * at, channels * at + channels - 1));
  const { pixels } = await read("a.png", encode({ width: SIDE, height: SIDE, data, channels, depth }));
  expect([...pixels]).toEqual([...values]);
});

test.each([[false, []], [true, [SWAPPED]]])("16-bit PNG whose bytes are swapped: %s", async (isOther, expected) => {
  const values = Uint16Array.from(head(), (value, at) => 40 * value + (at % 7));
  const data = isOther ? values.map((word) => (word >> 8) | ((word & 255) << 8)) : values;
  const { pixels, notes } = await read("a.png", encode({ width: SIDE, height: SIDE, data, channels: 1, depth: 16 }));
  expect(notes).toEqual(expected);
  expect([...pixels]).toEqual([...values]);
});

test.each([[1, 8], [3, 8], [1, 16], [3, 16]] as const)("a transparent colour of %i channels, %i bits, is black", async (channels, depth) => {
  const values = head().map((value) => Math.round(value) * (depth === 16 ? 200 : 1));
  const key = Math.max(...values);
  const data = new (depth === 8 ? Uint8Array : Uint16Array)(channels * SIDE * SIDE);
  values.forEach((value, at) => data.fill(value, channels * at, channels * (at + 1)));
  const plain = encode({ width: SIDE, height: SIDE, data, channels, depth });
  const keyed = withChunk(plain, "tRNS", Array.from({ length: channels }, () => [key >> 8, key & 255]).flat());
  const { pixels } = await read("a.png", keyed);
  expect([...pixels]).toEqual([...values].map((value) => (value === key ? 0 : value)));
});

/** A PNG with one more chunk behind its header. */
function withChunk(png: Uint8Array, name: string, body: number[]): Uint8Array {
  const named = [...Buffer.from(name), ...body];
  const checked = named.reduce((crc, byte) => {
    let next = crc ^ byte;
    for (let bit = 0; bit < 8; bit++) next = next & 1 ? (next >>> 1) ^ 0xedb88320 : next >>> 1;
    return next;
  }, -1) ^ -1;
  const word = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);
  const behind = 33;
  return Uint8Array.from([...png.subarray(0, behind), ...word(body.length), ...named, ...word(checked), ...png.subarray(behind)]);
}

describe("layout", () => {
  test("a head passes, its negative and panels do not", () => {
    expect(refusalOf(plane(head()))).toBe("");
    expect(refusalOf(plane(head().map((value) => 255 - value)))).toBe(INVERTED);
    const one = head();
    const pair = Float32Array.from({ length: 2 * SIDE * SIDE }, (_, at) => one[Math.floor(at / (2 * SIDE)) * SIDE + (at % SIDE)]);
    expect(refusalOf({ height: SIDE, width: 2 * SIDE, pixels: pair })).toBe(PANELS);
    const half = SIDE / 2;
    const unlike = Float32Array.from({ length: 1.5 * SIDE * SIDE }, (_, at) => {
      const [row, column] = [Math.floor(at / (1.5 * SIDE)), at % (1.5 * SIDE)];
      if (column < SIDE) return one[row * SIDE + column];
      return row < half ? one[2 * row * SIDE + 2 * (column - SIDE)] : one[0];
    });
    expect(refusalOf({ height: SIDE, width: 1.5 * SIDE, pixels: unlike })).toBe(PANELS);
  });
});

test("pages of letters or lines are no heads", () => {
  const strokes = Float32Array.from({ length: SIDE * SIDE }, (_, at) => {
    const [row, column] = [Math.floor(at / SIDE), at % SIDE];
    return row % 12 < 6 && (column * 7 + Math.floor(row / 12) * 5) % 11 < 4 && column > 4 ? 150 + ((at * at) % 97) : 0;
  });
  expect(refusalOf(plane(strokes))).toBe(LINES);
  expect(refusalOf(plane(head().map((value, at) => (at % 7 ? value : 255))))).not.toBe(LINES);
});

test("a slice that is dark but for a few bright pixels is no mask", () => {
  // Fewer than one pixel in a hundred is bright; those have many values.
  const pixels = head().map((_, at) => (Math.floor(at / SIDE) < 8 && at % SIDE < 8 ? 50 + ((37 * at) % 101) : at % 2));
  expect(refusalOf(plane(pixels))).toBe("");
  expect(refusalOf(plane(pixels.map((value) => (value < 50 ? value : 150))))).toBe(LABELS);
});

describe("intensities", () => {
  test("text at the top of 16 bits is blanked", () => {
    const pixels = head().map((value, at) => (at % SIDE < 30 && at < 12 * SIDE && at % 3 === 0 ? 65535 : 16 * value));
    expect(mend({ depth: 1, ...plane(pixels) }, 16)).toHaveLength(1);
    expect(Math.max(...pixels)).toBeLessThan(16 * 210);
  });

  test("a background between the others is dark", () => {
    const before = head();
    const pixels = before.map((value) => (value < 10 ? 0 : (value - 100) / 40));
    expect(mend({ depth: 1, ...plane(pixels) }, 32)).toHaveLength(1);
    expect(pixels[0]).toBe(Math.min(...pixels));
    expect(pixels[0]).toBeLessThan(-1);
  });

  test.each([[-900, "below all others", 0], [65535, "far above all others", 1]])("a background of %i is dark", (value, told) => {
    const pixels = head().map((one, at) => (at % SIDE < 30 ? value : 8 * one));
    const [note] = mend({ depth: 1, ...plane(pixels) }, 16);
    expect(note).toContain(told);
    expect(pixels[0]).toBe(Math.min(...pixels));
    expect(pixels[0]).toBeGreaterThanOrEqual(0);
  });

  test("usual images stay", () => {
    for (const bits of [8, 16]) {
      const pixels = head();
      expect(mend({ depth: 1, ...plane(pixels) }, bits)).toEqual([]);
      expect(pixels).toEqual(head());
    }
  });
});

test("a range of padding that covers part of the head", () => {
  const values = head();
  const upTo = (limit: number) => Uint8Array.from(values, (value) => (value <= limit ? 1 : 0));
  expect(coversTheHead(values, upTo(90))).toBe(true);
  expect(coversTheHead(values, upTo(5))).toBe(false);
  const flat = values.map((value) => (value < 60 ? 50 : value));
  expect(coversTheHead(flat, Uint8Array.from(flat, (value) => (value <= 50 ? 1 : 0)))).toBe(false);
});

test("a window that clips most of the head", () => {
  const before = head().map((value) => 16 * value);
  const through = (low: number, high: number) => before.map((value) => Math.min(1, Math.max(0, (value - low) / (high - low))));
  expect(hiddenByWindow(before, through(0, 255))).toBe("most of the head");
  expect(hiddenByWindow(before, through(9000, 9100))).toBe("everything");
  expect(hiddenByWindow(before, through(0, 3000))).toBe("");
});

test("gzip in several members", () => {
  const plain = Uint8Array.from({ length: 5000 }, (_, at) => at % 251);
  const members = [0, 1000, 2000, 3000, 4000].map((at) => gzipSync(plain.slice(at, at + 1000)));
  const joined = Uint8Array.from(members.flatMap((member) => [...member]));
  expect(new Uint8Array(gunzip(joined))).toEqual(plain);
});

test("animations are told from single images", () => {
  const image = [0x2c, 0, 0, 0, 0, 8, 0, 8, 0, 0, 2, 1, 0x44, 0];
  const gif = (images: number) => (
    Uint8Array.from([...Buffer.from("GIF89a"), 8, 0, 8, 0, 0x80, 0, 0, 0, 0, 0, 1, 1, 1, ...Array(images).fill(image).flat(), 0x3b])
  );
  expect([1, 2].map((count) => isAnimated(gif(count), "gif"))).toEqual([false, true]);
});

describe("series", () => {
  const frame = (z: number, more: Partial<Frame>): Frame => ({
    name: `${z}`, height: 64, width: 64, thicknessMm: 1, order: [0],
    placement: { row: [1, 0, 0], column: [0, 1, 0], position: [0, 0, z] }, ...more,
  });

  test("echoes a hair apart are two volumes, of which the first is kept", () => {
    const frames = [0, 1, 2, 3].flatMap((z) => [frame(z, { order: [1] }), frame(z + 0.02, { order: [2] })]);
    const [stack] = split(frames);
    expect(stack.frames.map(({ order }) => order[0])).toEqual([1, 1, 1, 1]);
    expect(stack.notes[0]).toBe("4 slices repeat the position of another and are left out");
    expect(stack.notes[1]).toContain("several volumes may be mixed"); // nothing but a number tells them apart
  });

  test.each([["SliceLocation", "locationMm"], ["InstanceNumber", "instance"]])("one position for all: %s stands in", (name, key) => {
    const [stack] = split([3, 1, 2].map((place) => frame(0, { [key]: place, name: `${place}` })));
    expect(stack.frames.map((one) => one.name)).toEqual(["1", "2", "3"]);
    expect(stack.notes).toContain(`positions of the slices are not plausible; they are in the order of ${name}`);
  });
});
