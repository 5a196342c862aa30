/** MGH and MGZ volumes of FreeSurfer: `tumorlens/imaging/volumes/mgh.py`. */
import { InputError, type MedicalImage } from "../types";
import { centred, inMillimetres, type Placed, plausibleSizes, sensible } from "./affine";
import { gunzip } from "./gunzip";
import { bytesOf, numbers, type SampleType, storageOf } from "./samples";
import { isGzip } from "./signatures";
import { checkFirstAxis, checkVolume, firstOf, readAsSlices, slicesOf } from "./volume";

type Shape = readonly [number, number, number];

/** Types of samples by their code (mri.h). */
const TYPES: Record<number, SampleType> = { 0: "u1", 1: "i4", 3: "f4", 4: "i2", 10: "u2" };
const VOXELS_AT = 284;
/** The directions of x, y and z in its columns: left, down, front. */
const CORONAL = [[-1, 0, 0], [0, 0, 1], [0, -1, 0]];

export function readMgh(name: string, data: Uint8Array): MedicalImage {
  const file = isGzip(data) ? new Uint8Array(gunzip(data)) : data;
  if (file.length < VOXELS_AT) throw new InputError("corrupt", `damaged or cut off (${file.length} of ${VOXELS_AT} bytes are there)`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const [x, y, z, frames] = [4, 8, 12, 16].map((at) => view.getInt32(at));
  if (Math.min(x, y, z, frames) < 1) throw new InputError("corrupt", `damaged MGH (dimensions ${[x, y, z, frames].join(", ")})`);
  checkFirstAxis([x, y, z, frames]);
  const areSlices = z === 1 && frames > 1;
  const shape = [x, y, areSlices ? frames : z] as const;
  checkVolume(shape);
  const type = TYPES[view.getInt32(20)];
  if (!type) throw new InputError("unsupported_format", `MGH voxels of type ${view.getInt32(20)}`);
  const voxels = new DataView(file.buffer, file.byteOffset + VOXELS_AT, file.length - VOXELS_AT);
  const storage = storageOf(voxels, type, false, x * y * shape[2]);
  const values = numbers(voxels, storage.type, storage.little, x * y * shape[2]);
  // What follows the voxels are times of the scan and a history, of any length: no surplus.
  return slicesOf({
    name, format: "MGH", bits: 8 * bytesOf(type), color: "gray", values, shape, placed: placedBy(view, shape), notes: areSlices ? readAsSlices(frames) : firstOf(frames), surplus: storage.notes,
  });
}

/** From the directions, the voxel sizes and the centre; FreeSurfer's default without them. */
function placedBy(view: DataView, shape: Shape): Placed {
  const notes: string[] = [];
  const isStated = view.getInt16(28) > 0;
  const sizes = isStated ? plausibleSizes(floats(view, 30, 3), notes) : [1, 1, 1];
  const oriented = isStated ? sensible(stated(view, sizes, shape), "direction matrix", notes) : null;
  if (!oriented) {
    const size = isStated ? "" : ", 1 mm";
    notes.push(`the file does not state its orientation; FreeSurfer's default (coronal${size}) is assumed`);
  }
  const affine = oriented ?? centred(CORONAL.map((row) => row.map((part, axis) => part * sizes[axis])), shape);
  return { affine: inMillimetres(affine, 1, shape, notes), isOriented: oriented !== null, notes };
}

function stated(view: DataView, sizes: number[], shape: Shape): number[][] {
  const directions = floats(view, 42, 9);
  const centre = floats(view, 78, 3);
  return [0, 1, 2].map((row) => {
    const steps = sizes.map((size, axis) => directions[3 * axis + row] * size);
    // The centre is that of voxel (X / 2, Y / 2, Z / 2), whose index is whole where sides are even.
    return [...steps, centre[row] - steps.reduce((sum, step, axis) => sum + (step * shape[axis]) / 2, 0)];
  });
}

function floats(view: DataView, at: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => view.getFloat32(at + 4 * index));
}
