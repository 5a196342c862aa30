/** Reading and classifying, off the page's thread. Answers each message by its number. */
import type { BundleInfo, Network } from "./network";
import type { Plane } from "./preprocessing";
import { type DicomPart, NO_IMAGE, OWN_ANSWER } from "./reading/dicom";
import { read } from "./reading/read";
import { group } from "./reading/series";
import { type Classified, type Failure, failureOf, type MedicalImage, type Stated } from "./types";

export interface NamedBytes {
  name: string;
  data: ArrayBuffer;
}

export interface Found {
  images: MedicalImage[];
  failures: Failure[];
  /** Files that tumorlens wrote itself, passed over. */
  own: number;
}

export type Request =
  | { op: "read"; files: NamedBytes[] }
  | { op: "classify"; path: string; plane: Plane; stated: Stated; model: string }
  | { op: "load"; model: string };

/** By where their files lie. */
const networks = new Map<string, Promise<Network>>();

/** Read files; DICOM files of one series become one volume. */
async function readAll(files: NamedBytes[]): Promise<Found> {
  const images: MedicalImage[] = [];
  const parts: DicomPart[] = [];
  const failures: Failure[] = [];
  const without: Failure[] = [];
  let own = 0;
  for (const { name, data } of files) {
    try {
      const decoded = await read(name, new Uint8Array(data));
      if ("series" in decoded) parts.push(decoded);
      else images.push(decoded);
    } catch (error) {
      const failure = failureOf(name, error);
      if (failure.error.kind === OWN_ANSWER) own++;
      else if (failure.error.kind === NO_IMAGE) without.push(failure);
      else failures.push(failure);
    }
  }
  // Reports and spectra beside images are no failures; alone they are what was asked about.
  const alone = images.length + parts.length + failures.length + own === 0;
  const series = group(parts);
  return { images: [...images, ...series.images], failures: alone ? without : [...failures, ...series.failures], own };
}

function load(model: string): Promise<Network> {
  const known = networks.get(model) ?? fetchNetwork(model).catch((error: unknown) => {
    networks.delete(model);
    throw error;
  });
  networks.set(model, known);
  return known;
}

/** The runtime is large, and fetched only by those who classify here. */
async function fetchNetwork(folder: string): Promise<Network> {
  const at = (path: string) => new URL(path, self.location.href).href;
  const [{ Network }, info, model] = await Promise.all([
    import("./network"),
    get(at(`${folder}/bundle.json`)).then((response) => response.json() as Promise<BundleInfo>),
    get(at(`${folder}/model.onnx`)).then((response) => response.arrayBuffer()),
  ]);
  const gate = info.gate ? await (await get(at(`${folder}/gate.onnx`))).arrayBuffer() : null;
  return Network.load(info, new Uint8Array(model), gate && new Uint8Array(gate), at("ort-wasm-simd-threaded.wasm"));
}

async function get(address: string): Promise<Response> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return response;
}

async function classify(path: string, plane: Plane, stated: Stated, folder: string): Promise<Classified> {
  const ready = await load(folder);
  try {
    return await ready.classify(path, plane, stated);
  } catch (error) {
    return { result: failureOf(path, error), sequenceShares: null };
  }
}

async function handle(request: Request): Promise<unknown> {
  switch (request.op) {
    case "read":
      return readAll(request.files);
    case "classify":
      return classify(request.path, request.plane, request.stated, request.model);
    case "load":
      return (await load(request.model)).info;
  }
}

self.onmessage = async ({ data }: MessageEvent<{ id: number; request: Request }>) => {
  try {
    self.postMessage({ id: data.id, value: await handle(data.request) });
  } catch (error) {
    self.postMessage({ id: data.id, error: error instanceof Error ? error.message : String(error) });
  }
};
