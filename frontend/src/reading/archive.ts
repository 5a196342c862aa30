/** Zip archives, read in place: only the list and one member at a time are in memory. `tumorlens/imaging/archive.py`. */
import type { FileEntry, Reader } from "@zip.js/zip.js";
import { InputError } from "../types";
import { MAX_ARCHIVE_BYTES, MAX_FILE_BYTES, MAX_FILES, MAX_UNFOLDED_BYTES } from "./limits";
import { distinct, isShown } from "./names";
import { joined } from "./samples";

const STORED = 0;
const DEFLATED = 8;
const MAX_LIST_BYTES = 1024 * MAX_FILES;
/** Members may lie anywhere in the file, as for Python; their names are never paths. */
const OPTIONS = { useWebWorkers: false, checkSignature: true, strictness: "tolerant" } as const;

/** A zip file, and those within it. Throws `InputError` for what it refuses, and nothing else. */
export class Archive {
  private readonly members = new Map<string, FileEntry>();
  /** Bytes of the archives within. */
  private held = 0;

  private constructor() {}

  /** Read the list of members; check what they claim. */
  static async open(file: Blob): Promise<Archive> {
    checkSize(file.size, MAX_ARCHIVE_BYTES);
    const archive = new Archive();
    await archive.add(file, "");
    return archive;
  }

  /** Members, sorted; without folders and hidden files. */
  get names(): string[] {
    return [...this.members.keys()].sort();
  }

  /** All bytes of a member. */
  async read(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const size = this.members.get(name)!.uncompressedSize;
    checkSize(size, MAX_FILE_BYTES);
    return this.head(name, size);
  }

  /** The first `size` bytes of a member. */
  async head(name: string, size: number): Promise<Uint8Array<ArrayBuffer>> {
    const entry = this.members.get(name)!;
    checkReadable([entry]);
    return beginning(entry, size);
  }

  /** Add the members of an archive within this one as `name/member`; their names. */
  async openInner(name: string): Promise<string[]> {
    const data = await this.read(name);
    this.held += data.length;
    if (this.held > MAX_FILE_BYTES) throw new InputError("limit", `the archives within hold more than ${MAX_FILE_BYTES} bytes`);
    return this.add(new Blob([data]), `${name}/`);
  }

  private async add(file: Blob, prefix: string): Promise<string[]> {
    const entries = (await entriesOf(file)).filter(({ filename }) => isShown(filename));
    checkReadable(entries);
    const names = distinct(entries.map(({ filename }) => filename)).map((name) => prefix + name);
    entries.forEach((entry, index) => this.members.set(names[index], entry));
    this.checkClaims();
    return names.sort();
  }

  private checkClaims(): void {
    if (this.members.size > MAX_FILES) throw new InputError("limit", `${this.members.size} files are more than the limit of ${MAX_FILES}`);
    // No more bytes than a member claims are taken, so the sum bounds the work.
    const total = [...this.members.values()].reduce((sum, { uncompressedSize }) => sum + uncompressedSize, 0);
    if (total > MAX_UNFOLDED_BYTES) throw new InputError("limit", `decompresses to ${total} bytes; the limit is ${MAX_UNFOLDED_BYTES}`);
  }
}

function checkSize(size: number, limit: number): void {
  if (size > limit) throw new InputError("limit", `${size} bytes are more than the limit of ${limit}`);
}

async function entriesOf(file: Blob): Promise<FileEntry[]> {
  // Here, not above: most people open no archive.
  const { ZipReader } = await import("@zip.js/zip.js/lib/zip-core-reader.js");
  return decoding(async () => {
    const reader = new ZipReader(new Slices(file) as unknown as Reader<Blob>, OPTIONS);
    return (await reader.getEntries()).filter((entry): entry is FileEntry => !entry.filename.endsWith("/"));
  });
}

/** A file for the library, which reads a list of members at once; its own readers come with all that writes archives. */
class Slices {
  readonly size: number;

  constructor(private readonly file: Blob) {
    this.size = file.size;
  }

  async readUint8Array(start: number, length: number): Promise<Uint8Array> {
    if (length > MAX_LIST_BYTES) throw new InputError("limit", `lists more files than the limit of ${MAX_FILES}`);
    return new Uint8Array(await this.file.slice(start, start + length).arrayBuffer());
  }

  createReadable({ offset, size }: { offset: number; size: number }): ReadableStream<Uint8Array> {
    return this.file.slice(offset, offset + size).stream();
  }
}

/** Unfold a member no further than needed. */
async function beginning(entry: FileEntry, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let length = 0;
  let isEnough = false;
  const sink = new WritableStream<Uint8Array>({
    write(part) {
      isEnough = length >= size;
      if (isEnough) throw new Error("more than asked for");
      parts.push(part);
      length += part.length;
    },
  });
  await decoding(() => entry.getData(sink, OPTIONS).catch((error: unknown) => {
    if (!isEnough) throw error;
  }));
  return joined(parts).slice(0, size);
}

async function decoding<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError("corrupt", `damaged zip (${error instanceof Error ? error.message : error})`);
  }
}

/** Refuse members of which none can be read, all for the same reason: an encrypted archive is one error. */
function checkReadable(entries: FileEntry[]): void {
  const [reason, ...others] = new Set(entries.map(unreadable));
  if (reason && others.length === 0) throw new InputError("unsupported_format", reason);
}

function unreadable({ encrypted, compressionMethod }: FileEntry): string {
  if (encrypted) return "is encrypted; unpack it first";
  return [STORED, DEFLATED].includes(compressionMethod) ? "" : "unsupported compression; create the zip with deflate";
}
