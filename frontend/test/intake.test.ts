/** Files that are chosen: their names, and those that cannot be opened. */
import { expect, test } from "vitest";
import { fromInput, fromTransfer } from "../src/intake";

function chosen(...files: File[]): HTMLInputElement {
  return { files, value: "x" } as unknown as HTMLInputElement;
}

test("files of one name are told apart", () => {
  const names = ["a.png", "a.png", "a (2).png", "b", "b", ".hidden"];
  const dropped = fromInput(chosen(...names.map((name) => new File([name], name))));
  expect(dropped.map(({ name }) => name)).toEqual(["a.png", "a (2).png", "a (2) (2).png", "b", "b (2)"]);
});

test("a file or folder that cannot be opened does not hold up the others", async () => {
  const named = (name: string) => ({ name, fullPath: `/in/${name}` });
  const refusing = (_: unknown, reject: (error: Error) => void) => reject(new DOMException("gone", "NotFoundError"));
  const children = [
    { ...named("gone.png"), isFile: true, file: refusing },
    { ...named("locked"), isFile: false, createReader: () => ({ readEntries: refusing }) },
    { ...named("a.png"), isFile: true, file: (resolve: (file: File) => void) => resolve(new File(["abc"], "a.png")) },
  ];
  const lists = [children, []];
  const readEntries = (resolve: (list: unknown) => void) => resolve(lists.shift());
  const entry = { name: "in", fullPath: "/in", isFile: false, createReader: () => ({ readEntries }) };
  const dropped = await fromTransfer({ items: [{ webkitGetAsEntry: () => entry }], files: [] } as unknown as DataTransfer);
  expect(dropped.map(({ name, file }) => [name, file?.size ?? null])).toEqual([["in/a.png", 3], ["in/gone.png", null], ["in/locked", null]]);
});
