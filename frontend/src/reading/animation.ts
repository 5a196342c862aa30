/** Whether a file holds several images, of which a browser's decoder silently gives only the first. */

export function isAnimated(data: Uint8Array, kind: string): boolean {
  if (kind === "gif") return gifFrames(data) > 1;
  if (kind === "png") return chunk(data, 8, "acTL", true);
  return kind === "webp" && chunk(data, 12, "ANIM", false);
}

function tag(data: Uint8Array, at: number): string {
  return String.fromCharCode(...data.subarray(at, at + 4));
}

/** Whether a chunk of that name comes before the pixels: PNG 5.3, RIFF. */
function chunk(data: Uint8Array, start: number, name: string, big: boolean): boolean {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = start; at + 8 <= data.length; ) {
    const [length, type] = big ? [view.getUint32(at), tag(data, at + 4)] : [view.getUint32(at + 4, true), tag(data, at)];
    if (type === name) return true;
    if (type === "IDAT") return false;
    at += big ? length + 12 : length + (length & 1) + 8;
  }
  return false;
}

/** Image blocks of a GIF: GIF89a, 17 to 26. */
function gifFrames(data: Uint8Array): number {
  const table = (flags: number) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  let at = 13 + table(data[10]);
  let frames = 0;
  const skipBlocks = () => {
    while (at < data.length && data[at] > 0) at += data[at] + 1;
    at += 1;
  };
  while (at < data.length && frames < 2) {
    if (data[at] === 0x2c) {
      frames += 1;
      at += 10 + table(data[at + 9]) + 1;
      skipBlocks();
    } else if (data[at] === 0x21) {
      at += 2;
      skipBlocks();
    } else {
      break;
    }
  }
  return frames;
}
