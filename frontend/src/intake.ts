/** Files from a drop, a dialog or the clipboard, folders included. */
import { type Failure, failureOf, InputError } from "./types";

const MOST_FILES = 5000;

/** A dropped file under the name it has below the dropped folder. */
export interface Dropped {
  name: string;
  file: File;
}

export function fromInput(input: HTMLInputElement): Dropped[] {
  const files = [...(input.files ?? [])].map((file) => ({ name: file.webkitRelativePath || file.name, file }));
  input.value = "";
  return visible(files);
}

export async function fromTransfer(transfer: DataTransfer): Promise<Dropped[]> {
  // Entries must be taken before the first await: the list is empty afterwards.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return visible([...transfer.files].map((file) => ({ name: file.name, file })));
  const dropped: Dropped[] = [];
  for (const entry of entries) await walk(entry, dropped);
  return visible(dropped);
}

async function walk(entry: FileSystemEntry, dropped: Dropped[]): Promise<void> {
  if (dropped.length >= MOST_FILES) return;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    dropped.push({ name: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const children = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (children.length === 0) return;
    for (const child of children.sort((a, b) => a.name.localeCompare(b.name))) await walk(child, dropped);
  }
}

/** Their bytes; one that cannot be read any more, such as a file that was moved, does not hold up the others. */
export async function contents(files: Dropped[]): Promise<{ named: { name: string; data: ArrayBuffer }[]; lost: Failure[] }> {
  const lost: Failure[] = [];
  const read = await Promise.all(files.map(({ name, file }) => file.arrayBuffer().then(
    (data) => ({ name, data }),
    () => void lost.push(failureOf(name, new InputError("missing", "cannot be opened"))),
  )));
  return { named: read.filter((one) => one !== undefined), lost };
}

/** Without hidden files, which systems put into folders. */
function visible(files: Dropped[]): Dropped[] {
  const unhidden = files.filter(({ name }) => !name.split("/").some((part) => part.startsWith(".")));
  return distinct(unhidden.filter(({ name }) => !/(^|\/)(DICOMDIR|Thumbs\.db)$/i.test(name)).slice(0, MOST_FILES));
}

/** Files of one name, from different folders, get numbers: answers are shown by name. */
function distinct(files: Dropped[]): Dropped[] {
  const taken = new Set<string>();
  return files.map(({ name, file }) => {
    let own = name;
    for (let count = 2; taken.has(own); count++) own = name.replace(/(\.[^./]*)?$/, ` (${count})$1`);
    taken.add(own);
    return { name: own, file };
  });
}
