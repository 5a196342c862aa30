/** The page's side of the worker: promises instead of messages. */
import type { LoadedInfo } from "./network";
import type { Plane } from "./preprocessing";
import type { Classified, Stated } from "./types";
import type { Found, Member, NamedFile } from "./reading/contents";
import type { Request } from "./worker";

interface Waiting {
  progress: (done: number) => void;
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

/** Where the network of this page lies. */
export const MODEL = "model";

export class Engine {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private next = 0;

  constructor() {
    this.worker = new Worker(new URL("worker.js", document.baseURI), { type: "module" });
    this.worker.onmessage = ({ data }: MessageEvent<{ id: number; done?: number; value?: unknown; error?: string }>) => {
      const waiting = this.waiting.get(data.id);
      if (data.done !== undefined) return waiting?.progress(data.done);
      this.waiting.delete(data.id);
      if (data.error !== undefined) waiting?.reject(new Error(data.error));
      else waiting?.resolve(data.value as never);
    };
  }

  /** `progress` is called with the number of files that are read. */
  read(files: NamedFile[], progress: (done: number) => void): Promise<Found> {
    return this.ask({ op: "read", files }, [], progress);
  }

  /** What a file holds, also one of an archive. */
  async bytesOf(file: NamedFile | Member): Promise<Blob> {
    if ("file" in file) return file.file ?? new Blob();
    return this.ask({ op: "unpack", member: file }, []);
  }

  classify(path: string, plane: Plane, stated: Stated, model: string): Promise<Classified> {
    return this.ask({ op: "classify", path, plane, stated, model }, [plane.pixels.buffer as ArrayBuffer]);
  }

  load(model: string): Promise<LoadedInfo> {
    return this.ask({ op: "load", model }, []);
  }

  private ask<T>(request: Request, moved: Transferable[], progress: (done: number) => void = () => {}): Promise<T> {
    const id = this.next++;
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { progress, resolve: resolve as (value: never) => void, reject });
      this.worker.postMessage({ id, request }, moved);
    });
  }
}
