/** Reading and classifying, off the page's thread. Answers each message by its number. */
import type { BundleInfo, Network } from "./network";
import type { Plane } from "./preprocessing";
import type { Archive } from "./reading/archive";
import { contentsOf, type Member, type NamedFile } from "./reading/contents";
import { type Classified, failureOf, type Stated } from "./types";

export type Request =
  | { op: "read"; files: NamedFile[] }
  | { op: "unpack"; member: Member }
  | { op: "classify"; path: string; plane: Plane; stated: Stated; model: string }
  | { op: "load"; model: string };

/** By where their files lie. */
const networks = new Map<string, Promise<Network>>();

/** Those that were opened, by number. */
const archives: Archive[] = [];

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

async function handle(request: Request, progress: (done: number) => void): Promise<unknown> {
  switch (request.op) {
    case "read":
      return contentsOf(request.files, archives, progress);
    case "unpack":
      return new Blob([await archives[request.member.archive].read(request.member.member)]);
    case "classify":
      return classify(request.path, request.plane, request.stated, request.model);
    case "load":
      return (await load(request.model)).info;
  }
}

/** Pixels, which are handed over instead of copied. */
function pixelsOf(value: unknown): Transferable[] {
  const images = (value as { images?: { pixels: Float32Array<ArrayBuffer> }[] } | undefined)?.images ?? [];
  return [...new Set(images.map(({ pixels }) => pixels.buffer))];
}

self.onmessage = async ({ data }: MessageEvent<{ id: number; request: Request }>) => {
  const { id, request } = data;
  try {
    const value = await handle(request, (done) => self.postMessage({ id, done }));
    self.postMessage({ id, value }, pixelsOf(value));
  } catch (error) {
    self.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
};
