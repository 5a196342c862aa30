/** Files whose last part is missing: what tests/imaging/test_cut_off.py asks of Python. */
import { describe, expect, test } from "vitest";
import { CUT_OFF, isCutOff } from "../src/reading/cut_off";
import { readDicom } from "../src/reading/dicom";
import { read } from "../src/reading/read";
import type { MedicalImage } from "../src/types";
import { dicomPixels } from "./made";

const [HEIGHT, WIDTH] = [100, 90];

/** A textured ellipse in air. */
function head(air: number): number[] {
  return Array.from({ length: HEIGHT * WIDTH }, (_, at) => {
    const [y, x] = [Math.floor(at / WIDTH) / 50 - 1, (at % WIDTH) / 45 - 1];
    return Math.hypot(y / 0.8, x / 0.65) < 1 ? 100 + ((at * at) % 97) : air;
  });
}

function cut(values: number[], share: number): number[] {
  return values.map((value, at) => (at < Math.floor(share * values.length) ? value : 0));
}

function endsEarly(values: number[]): boolean {
  return isCutOff(Float32Array.from(values), HEIGHT, WIDTH);
}

describe("a file that was not copied completely", () => {
  test.each([0.35, 0.501, 0.5025, 0.506, 0.6045, 0.7])("%d of it", (share) => {
    for (const air of [0, 3]) {
      expect(endsEarly(head(air))).toBe(false);
      expect(endsEarly(cut(head(air), share))).toBe(true);
      expect(endsEarly(cut([head(air), head(air), head(air)].flat(), (1 + share) / 3))).toBe(true);
    }
  });

  test("margins are none", () => {
    const rows = (count: number) => new Array<number>(count * WIDTH).fill(0);
    expect(isCutOff(Float32Array.from([...head(0), ...rows(45)]), HEIGHT + 45, WIDTH)).toBe(false);
    const part = head(0).slice(30 * WIDTH, 70 * WIDTH);
    expect(endsEarly([...rows(30), ...part, ...rows(30)])).toBe(false);
    expect(endsEarly([...head(0), ...rows(HEIGHT)])).toBe(false);
    expect(endsEarly(rows(HEIGHT))).toBe(false);
  });

  test("DICOM", async () => {
    const described = { height: HEIGHT, width: WIDTH, samples: 1, photometric: "MONOCHROME2", allocated: 8, stored: 8 };
    for (const [values, expected] of [[head(3), []], [cut(head(3), 0.5025), [CUT_OFF]]] as const) {
      const { notes } = await readDicom("a", dicomPixels([[0x0008, 0x0060, "CS", "MR"]], described, Uint8Array.from(values)));
      expect(notes).toEqual(expected);
    }
  });

  test("volumes", async () => {
    const volume = Array.from({ length: 34 }, () => head(3)).flat();
    const header = ["NRRD0005", "type: uchar", "dimension: 3", `sizes: ${WIDTH} ${HEIGHT} 34`, "encoding: raw", "", ""].join("\n");
    for (const [values, expected] of [[volume, false], [cut(volume, 0.6128), true]] as const) {
      const data = Uint8Array.from(Buffer.concat([Buffer.from(header), Uint8Array.from(values)]));
      const { notes } = (await read("a.nrrd", data)) as MedicalImage;
      expect(notes.includes(CUT_OFF)).toBe(expected);
    }
  });
});
