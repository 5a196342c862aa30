/** The server's interface, as /docs describes it. */
import { encode } from "fast-png";
import { extremes, type Plane } from "./preprocessing";
import type { Failure, Result, Sides } from "./types";

const TOKEN = "tumorlens.token";
const TRIES = 5;

export interface Server {
  model: { intended_use: string };
  /** Whether it answers for studies as a whole. */
  studies: boolean;
}

export interface Preview {
  png: string;
  low: number;
  high: number;
  height: number;
  width: number;
  sides: Sides | null;
}

export type ServerResult = Result & { preview?: Preview };

/** The server wants a token that it was not given. */
export class TokenNeeded extends Error {}

export function setToken(token: string): void {
  sessionStorage.setItem(TOKEN, token);
}

function authorization(): Record<string, string> {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** The model that answers; throws where the page lies on a host that classifies nothing. */
export async function describe(): Promise<Server> {
  const response = await fetch("v1/models", { headers: authorization() }).catch(() => null);
  if (response?.status === 401) throw new TokenNeeded();
  if (!response?.ok || !response.headers.get("content-type")?.startsWith("application/json")) throw new Error("no server");
  const { models, features } = await response.json();
  return { model: models[0], studies: features?.studies === true };
}

/** Classify files; those the browser cannot show come back with a preview. */
export function predict(files: NamedBlob[], preview: boolean): Promise<ServerResult[]> {
  return post(`v1/predictions?heatmap=grid&preview=${preview}`, files);
}

/** Answers for files that belong together. */
export function study(files: NamedBlob[]): Promise<Result[]> {
  return post("v1/studies", files);
}

interface NamedBlob {
  name: string;
  data: Blob;
}

/** Send, and send again where the server is too busy. */
async function post(address: string, files: NamedBlob[]): Promise<ServerResult[]> {
  const form = new FormData();
  for (const { name, data } of files) form.append("files", data, name);
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(address, { method: "POST", body: form, headers: authorization() });
    if (response.status === 503 && attempt < TRIES) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * (Number(response.headers.get("retry-after")) || 1)));
      continue;
    }
    if (response.status === 401) throw new TokenNeeded();
    // A proxy may answer with a page.
    const body = await response.json().catch(() => null);
    if (body?.predictions) return body.predictions as ServerResult[];
    throw new Error(body?.detail ?? `the server answered ${response.status}`);
  }
}

/** A slice as the server reads it: 16-bit PNG over the slice's own range. */
export function slicePng({ pixels, height, width }: Plane): Blob {
  const [low, high] = extremes(pixels);
  const scale = high > low ? 65535 / (high - low) : 0;
  const data = Uint16Array.from(pixels, (value) => Math.round((value - low) * scale));
  const png = encode({ width, height, data, depth: 16, channels: 1 }, { zlib: { level: 1 } });
  return new Blob([png as Uint8Array<ArrayBuffer>], { type: "image/png" });
}

export function failure(name: string, error: unknown): Failure {
  const words = error instanceof Error ? error.message : String(error);
  return { path: name, error: { kind: "server", message: `${name}: ${words}` } };
}
