/** Names of files in folders and archives. `tumorlens/imaging/archive.py`. */
const HIDDEN = "__MACOSX";

/** Whether a file is not a hidden one, which systems put into folders. Some programs on Windows write backslashes. */
export function isShown(name: string): boolean {
  const parts = name.replaceAll("\\", "/").split("/").filter((part) => part !== ".");
  return name !== "" && !parts.some((part) => (part.startsWith(".") && part !== "..") || part === HIDDEN);
}

/** Further files of the same name get a number: answers are shown by name. */
export function distinct(names: string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let own = name;
    for (let number = 2; taken.has(own); number++) own = name.replace(/(\.[^./]*)?$/, ` (${number})$1`);
    taken.add(own);
    return own;
  });
}
