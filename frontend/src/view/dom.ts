/** A few lines instead of a framework. */

type Child = Node | string | null | false;
type Properties = Record<string, string | number | boolean | ((event: never) => void) | null>;

/** Make an element: `on...` are listeners, the rest attributes; true is an empty one. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag, properties: Properties = {}, ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== false));
  return element;
}

/** The element of the page with this id; it is in index.html. */
export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element #${id}`);
  return element as E;
}

/** Let the browser save `blob` under `name`. */
export function save(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** 0.9871 as "98.7%"; never a rounded-up certainty. */
export function percent(share: number): string {
  if (share > 0.999) return ">99.9%";
  return share < 0.001 ? "<0.1%" : `${(100 * share).toFixed(1)}%`;
}

const LONGEST = 56;

/** A long name without its middle: both of its ends tell it from others. */
export function shortened(name: string): string {
  if (name.length <= LONGEST) return name;
  return `${name.slice(0, LONGEST / 2)}…${name.slice(-LONGEST / 2)}`;
}
