/** Getting answers for an item, from the network here or from the server. */
import { locateSlices, upDirection } from "./brain_slices";
import type { Engine } from "./engine";
import { fuseStudy, type Series } from "./fusion";
import { type Item, itemOf, ownAnswer, planeOf, withNotes } from "./items";
import { VIVID } from "./layout";
import { readPng } from "./reading/png";
import * as server from "./server";
import {
  type Classified, failureOf, InputError, isFailure, isStudy, isVolume, type MedicalImage, locationsOf, type Result, type Stated,
  type StudyPrediction,
} from "./types";
import { notesOnTurns } from "./slices_in_turns";
import { answerWhole, type Rules } from "./volume";

const SLICES_A_REQUEST = 16;
/** Slices of two volumes of a series lie farther apart. */
const SAME_PLACE_MM = 0.01;

/** Called with each answer; false stops the work, because its result is no longer needed. */
export type Deliver = (slice: number, result: Result) => boolean;

/** From the middle outwards: the middle slice is on screen. */
export function order(depth: number): number[] {
  const middle = Math.floor(depth / 2);
  return Array.from({ length: depth }, (_, i) => i).sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle));
}

/** Deliver the answers of the slices; the whole volume's is returned, null for a single image. */
export async function inBrowser(item: Item, engine: Engine, deliver: Deliver): Promise<Result | null> {
  const { image, name, model } = item;
  if (!image) return null;
  const stated: Stated = { notes: image.notes, sequence: image.origin?.sequence ?? null };
  const isVolume = image.depth > 1;
  const ofSlice: Stated = isVolume ? { notes: [], sequence: null } : stated;
  const answers: Classified[] = [];
  for (const slice of order(image.depth)) {
    const plane = planeOf(image, slice);
    answers[slice] = await engine.classify(name, plane, ofSlice, model)
      .catch((error) => ({ result: failureOf(name, error), sequenceShares: null }));
    if (!deliver(slice, answers[slice].result)) return null;
  }
  return isVolume ? wholeInBrowser(name, image, stated, answers, await engine.load(model)) : null;
}

function wholeInBrowser(name: string, image: MedicalImage, stated: Stated, answers: Classified[], rules: Rules): Result {
  const { headward, locations } = image;
  const slices = locateSlices(image);
  const isUprightAxial = upDirection(headward, locations.map(({ alongMm }) => alongMm)) !== 0;
  const noted = { ...stated, notes: [...stated.notes, ...notesOnTurns(image)] };
  return answerWhole({ name, locations, slices, isUprightAxial, stated: noted }, answers, rules);
}

/** What the server says of the files of several items together. */
export async function studyByServer(items: Item[], engine: Engine): Promise<Result[]> {
  try {
    const files = items.flatMap((item) => item.files);
    const data = await Promise.all(files.map((file) => engine.bytesOf(file)));
    return await server.study(files.map(({ name }, index) => ({ name, data: data[index] })));
  } catch (error) {
    return [server.failure(items[0].name, error)];
  }
}

/** The whole volume's answer, of those for the files that it came with: one series may hold several volumes. */
export function wholeOf(item: Item, results: Result[]): Result | null {
  const uid = item.image?.origin?.series;
  const volumes = results.filter(isVolume).filter(({ slices }) => slices.length === item.results.length);
  const ofSeries = volumes.filter(({ series }) => uid !== undefined && series?.series_instance_uid === uid);
  const near = ofSeries.filter(({ slices }) => slices.every(({ along_mm }, slice) => isNear(along_mm, item.image?.locations[slice].alongMm)));
  const own = near.find(({ path }) => path === item.image?.origin?.folder);
  return own ?? near[0] ?? ofSeries[0] ?? volumes[0] ?? results.find((result) => !isStudy(result)) ?? null;
}

function isNear(first: number | null, second: number | null | undefined): boolean {
  return typeof first === "number" && typeof second === "number" && Math.abs(first - second) < SAME_PLACE_MM;
}

/** The answer of a study, from those of its series. */
export async function studyInBrowser(path: string, uid: string, items: Item[], engine: Engine): Promise<StudyPrediction | null> {
  const series = items.flatMap((item): Series[] => {
    const answer = ownAnswer(item);
    const origin = item.image?.origin;
    if (!answer || isFailure(answer) || isStudy(answer) || !origin) return [];
    return [{ answer, origin }];
  });
  return fuseStudy(path, uid, series, await engine.load(items[0].model));
}

export async function byServer(item: Item, engine: Engine, deliver: Deliver): Promise<void> {
  if (item.files.length === 1 && item.results.length === 1) {
    const data = await engine.bytesOf(item.files[0]);
    const [result] = await server.predict([{ name: item.name, data }], item.image === null);
    if (result.preview) adopt(item, result.preview);
    // A file of a kind that this server does not read, but the browser does, goes as PNG.
    const unread = isFailure(result) && result.error.kind === "unsupported_format";
    if (!unread || !item.image) {
      delete result.preview;
      deliver(0, withNotes(item, result));
      return;
    }
  }
  const { image } = item;
  if (!image) return;
  const slices = order(image.depth);
  // The server would get gray slices, and answer them.
  if (image.color === "vivid") {
    const refused = failureOf(item.name, new InputError("unsupported_format", VIVID));
    slices.every((slice) => deliver(slice, refused));
    return;
  }
  for (let start = 0; start < slices.length; start += SLICES_A_REQUEST) {
    const batch = slices.slice(start, start + SLICES_A_REQUEST);
    const files = batch.map((slice) => ({ name: item.name, data: server.slicePng(planeOf(image, slice)) }));
    const results = await server.predict(files, false);
    for (const [index, slice] of batch.entries()) if (!deliver(slice, withNotes(item, results[index]))) return;
  }
}

/** Show what the server has decoded. */
function adopt(item: Item, preview: server.Preview): void {
  const data = Uint8Array.from(atob(preview.png), (char) => char.charCodeAt(0));
  const { pixels } = readPng(data);
  const scale = (preview.high - preview.low) / 65535;
  for (let i = 0; i < pixels.length; i++) pixels[i] = preview.low + pixels[i] * scale;
  const { height, width, sides } = preview;
  const format = "decoded by the server";
  const about = { aspect: 1, facts: [], sides, sources: [item.name], locations: locationsOf(item.name, 1), notes: [] };
  const decoded = itemOf(item.name, { name: item.name, depth: 1, height, width, pixels, color: "gray", format, ...about }, []);
  Object.assign(item, { image: decoded.image, displayRange: decoded.displayRange, fullRange: decoded.fullRange });
}
