/** Files that are chosen: their names. */
import { expect, test } from "vitest";
import { fromInput } from "../src/intake";

function chosen(...files: File[]): HTMLInputElement {
  return { files, value: "x" } as unknown as HTMLInputElement;
}

test("files of one name are told apart", () => {
  const names = ["a.png", "a.png", "a (2).png", "b", "b", ".hidden"];
  const dropped = fromInput(chosen(...names.map((name) => new File([name], name))));
  expect(dropped.map(({ name }) => name)).toEqual(["a.png", "a (2).png", "a (2) (2).png", "b", "b (2)"]);
});
