/** What files, folders and archives hold: images, and DICOM files grouped into series. `tumorlens/imaging/finder.py`. */
import { type Failure, failureOf, InputError, type MedicalImage } from "../types";
import { Archive } from "./archive";
import { type DicomPart, NO_IMAGE, NotMr, OWN_ANSWER, UnreadPixels } from "./dicom";
import { groupBy } from "./groups";
import { MAX_FILE_BYTES } from "./limits";
import { read } from "./read";
import { group, once, type Unused } from "./series";
import { claimsImage, type Kind, SNIFF_BYTES, sniff } from "./signatures";

const TWICE_NESTED = "an archive nested in two others; unpack it first";
/** Lists of what lies on a CD or in a folder, no images. */
const LISTS = /(^|\/)(DICOMDIR|Thumbs\.db)$/i;

/** A file with the name that it has below the folder that was chosen. */
export interface NamedFile {
  name: string;
  /** Null where the browser may not open it. */
  file: Blob | null;
}

/** A file of an archive that was opened: the number of the archive, and the name in it. */
export interface Member {
  name: string;
  archive: number;
  member: string;
}

export interface Found {
  images: MedicalImage[];
  failures: Unused[];
  /** The files that were read in archives. */
  members: Member[];
  /** Files that are no images. */
  skipped: number;
  /** Those that tumorlens wrote itself. */
  own: number;
}

/** Read files one after the other. Archives that are opened are added to `archives`. */
export async function contentsOf(files: NamedFile[], archives: Archive[], progress: (done: number) => void): Promise<Found> {
  const contents = new Contents(archives);
  for (const [done, file] of files.entries()) {
    progress(done);
    await contents.add(file);
  }
  return contents.found();
}

/** What was chosen as one: a folder, an archive, or the files that were chosen one by one. */
interface Whole {
  /** Empty for single files. */
  name: string;
  /** Whether it lies in a folder that was chosen. */
  isInFolder: boolean;
  /** Number of images, files of series and failures. */
  held: number;
  /** Files without an image, which are failures only where nothing else was chosen. */
  without: Unused[];
}

class Contents {
  private readonly images: MedicalImage[] = [];
  private readonly parts: DicomPart[] = [];
  private readonly failures: Unused[] = [];
  private readonly members: Member[] = [];
  /** Files of other modalities. */
  private readonly refused: { failure: Failure; series: string }[] = [];
  private readonly wholes = new Map<string, Whole>();
  private skipped = 0;
  private own = 0;

  constructor(private readonly archives: Archive[]) {}

  async add({ name, file }: NamedFile): Promise<void> {
    const folder = name.includes("/") ? name.split("/")[0] : "";
    const whole = this.wholeOf(folder, false);
    await this.guarded(name, whole, async () => {
      if (file === null) throw new InputError("missing", "cannot be opened");
      const kind = sniff(await bytesOf(file.slice(0, SNIFF_BYTES)));
      if (kind === "zip") await this.unpack(name, file, folder !== "");
      else if (!this.skips(name, kind, whole)) await this.read(name, whole, () => bytesOf(file));
    });
  }

  found(): Found {
    const series = group(this.parts);
    this.tellEmpty();
    const refused = [...groupBy(this.refused, ({ series: uid }) => uid).values()].map(once);
    const failures = [...this.failures, ...refused, ...series.failures];
    return { images: [...this.images, ...series.images], failures, members: this.members, skipped: this.skipped, own: this.own };
  }

  /** Folders and archives without an image; single files without one, where they are all that there is. */
  private tellEmpty(): void {
    const wholes = [...this.wholes.values()];
    const isFull = ({ name }: Whole) => wholes.some((other) => other.held > 0 && (other.name === name || other.name.startsWith(`${name}/`)));
    const isAlone = wholes.length === 1 && wholes[0].held + this.own === 0;
    for (const whole of wholes) {
      if (whole.name === "" && isAlone) this.failures.push(...whole.without);
      else this.skipped += whole.without.length;
      if (whole.name === "" || isFull(whole)) continue;
      if (whole.isInFolder) this.skipped++;
      else this.fail(whole.name, whole, new InputError("missing", "contains no image"), []);
    }
  }

  private wholeOf(name: string, isInFolder: boolean): Whole {
    const whole = this.wholes.get(name) ?? { name, isInFolder, held: 0, without: [] };
    this.wholes.set(name, whole);
    return whole;
  }

  private async unpack(name: string, file: Blob, isInFolder: boolean): Promise<void> {
    const archive = await Archive.open(file);
    const whole = this.wholeOf(name, isInFolder);
    const number = this.archives.push(archive) - 1;
    const waiting = archive.names.reverse();
    const inner = new Set<string>();
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const member = next;
      const path = `${name}/${member}`;
      await this.guarded(path, whole, async () => {
        const kind = sniff(await archive.head(member, SNIFF_BYTES));
        if (kind === "zip") {
          if (inner.has(member)) throw new InputError("unsupported_format", TWICE_NESTED);
          const names = await archive.openInner(member);
          for (const one of names) inner.add(one);
          waiting.push(...names.reverse());
        } else if (!this.skips(path, kind, whole)) {
          this.members.push({ name: path, archive: number, member });
          await this.read(path, whole, () => archive.read(member));
        }
      });
    }
  }

  /** Whether it is passed over, and counted: a file of a folder or archive that neither is an image nor claims to be one. */
  private skips(name: string, kind: Kind, whole: Whole): boolean {
    const isSkipped = LISTS.test(name) || (whole.name !== "" && kind === null && !claimsImage(name));
    if (isSkipped) this.skipped++;
    return isSkipped;
  }

  private async read(name: string, whole: Whole, load: () => Promise<Uint8Array>): Promise<void> {
    try {
      const decoded = await read(name, await load());
      if ("series" in decoded) this.parts.push(decoded);
      else this.images.push(decoded);
      whole.held++;
    } catch (error) {
      this.fail(name, whole, error, [name]);
    }
  }

  /** What cannot be opened costs no other file its answer. */
  private async guarded(name: string, whole: Whole, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.fail(name, whole, error, []);
    }
  }

  private fail(name: string, whole: Whole, error: unknown, files: string[]): void {
    const failure = failureOf(name, error);
    if (failure.error.kind === OWN_ANSWER) {
      this.own++;
    } else if (failure.error.kind === NO_IMAGE) {
      whole.without.push({ failure, files });
    } else {
      if (error instanceof UnreadPixels) this.parts.push(error.part);
      else if (error instanceof NotMr) this.refused.push({ failure, series: error.series || name });
      else this.failures.push({ failure, files });
      whole.held++;
    }
  }
}

async function bytesOf(file: Blob): Promise<Uint8Array> {
  if (file.size > MAX_FILE_BYTES) throw new InputError("limit", `${file.size} bytes are more than the limit of ${MAX_FILE_BYTES}`);
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch (error) {
    throw new InputError("missing", `cannot be opened (${error instanceof Error ? error.message : error})`);
  }
}
