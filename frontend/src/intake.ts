/** Files from a drop, a dialog or the clipboard, folders included. */
import { isShown } from "./reading/archive";
import type { NamedFile } from "./reading/contents";

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
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    dropped.push({ name: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const children: FileSystemEntry[] = [];
  for (;;) {
    const more = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (more.length === 0) break;
    children.push(...more);
  }
  for (const child of children.sort(byName)) await walk(child, dropped);
}

function byName(one: { name: string }, other: { name: string }): number {
  return one.name < other.name ? -1 : Number(one.name > other.name);
}

/** Without hidden files, which systems put into folders. Files of one name, from different folders, get numbers: answers are shown by name. */
function shown(files: NamedFile[]): NamedFile[] {
  const taken = new Set<string>();
  return files.filter(({ name }) => isShown(name)).map(({ name, file }) => {
    let own = name;
    for (let count = 2; taken.has(own); count++) own = name.replace(/(\.[^./]*)?$/, ` (${count})$1`);
    taken.add(own);
    return { name: own, file };
  });
}
