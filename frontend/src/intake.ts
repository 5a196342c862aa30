/** Files from a drop, a dialog or the clipboard, folders included. */
import type { NamedFile } from "./reading/contents";
import { distinct, isShown } from "./reading/names";

export function fromInput(input: HTMLInputElement): NamedFile[] {
  const files = [...(input.files ?? [])].map((file) => ({ name: file.webkitRelativePath || file.name, file }));
  input.value = "";
  // Browsers list folders in any order.
  return shown(input.webkitdirectory ? files.sort(byName) : files);
}

export async function fromTransfer(transfer: DataTransfer): Promise<NamedFile[]> {
  // Entries must be taken before the first await: the list is empty afterwards.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return shown([...transfer.files].map((file) => ({ name: file.name, file })));
  const dropped: NamedFile[] = [];
  for (const entry of entries) await walk(entry, dropped);
  return shown(dropped);
}

async function walk(entry: FileSystemEntry, dropped: NamedFile[]): Promise<void> {
  const name = entry.fullPath.replace(/^\//, "");
  try {
    if (entry.isFile) dropped.push({ name, file: await fileOf(entry as FileSystemFileEntry) });
    else for (const child of await childrenOf(entry as FileSystemDirectoryEntry)) await walk(child, dropped);
  } catch {
    // Moved meanwhile, or not permitted: it costs the others nothing.
    dropped.push({ name, file: null });
  }
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

async function childrenOf(entry: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = entry.createReader();
  const children: FileSystemEntry[] = [];
  for (;;) {
    const more = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (more.length === 0) return children.sort(byName);
    children.push(...more);
  }
}

function byName(one: { name: string }, other: { name: string }): number {
  return one.name < other.name ? -1 : Number(one.name > other.name);
}

function shown(files: NamedFile[]): NamedFile[] {
  const visible = files.filter(({ name }) => isShown(name));
  const names = distinct(visible.map(({ name }) => name)); // those of different folders may be the same
  return visible.map(({ file }, index) => ({ name: names[index], file }));
}
