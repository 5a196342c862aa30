/** Files that are dropped: their names, and those that cannot be read any more. */
import { expect, test } from "vitest";
import { contents, fromInput } from "../src/intake";

function chosen(...files: File[]): HTMLInputElement {
  return { files, value: "x" } as unknown as HTMLInputElement;
}

test("files of one name are told apart", () => {
  const names = ["a.png", "a.png", "a (2).png", "b", "b", ".hidden"];
  const dropped = fromInput(chosen(...names.map((name) => new File([name], name))));
  expect(dropped.map(({ name }) => name)).toEqual(["a.png", "a (2).png", "a (2) (2).png", "b", "b (2)"]);
});

test("a file that was moved does not hold up the others", async () => {
  const gone = { arrayBuffer: () => Promise.reject(new DOMException("gone", "NotFoundError")) } as unknown as File;
  const { named, lost } = await contents([{ name: "gone.png", file: gone }, { name: "a.png", file: new File(["abc"], "a.png") }]);
  expect(named.map(({ name, data }) => [name, data.byteLength])).toEqual([["a.png", 3]]);
  expect(lost).toEqual([{ path: "gone.png", error: { kind: "missing", message: "gone.png: cannot be opened" } }]);
});
