/** Help, history, and the dialog for a token. */
import type { History } from "../history";
import { byId, h } from "./dom";

export const SHORTCUTS: [string, string][] = [
  ["O", "choose files"],
  ["↑ ↓ or K J", "previous or next image"],
  ["← →", "previous or next slice"],
  ["H", "heatmap on or off"],
  ["[ ]", "heatmap weaker or stronger"],
  ["M", "markers on or off"],
  ["V", "another plane of a volume"],
  ["+ −", "zoom in or out"],
  ["R", "reset window, level and zoom"],
  ["P", "print, or save as PDF"],
  ["?", "this help"],
];

const KEYS_OFF = "tumorlens.keys-off";

export function shortcutsOn(): boolean {
  return localStorage.getItem(KEYS_OFF) === null;
}

export function openHelp(hasServer: boolean): void {
  const toggle = h("input", { type: "checkbox", id: "keys-on", checked: shortcutsOn() });
  toggle.addEventListener("change", () => {
    if (toggle.checked) localStorage.removeItem(KEYS_OFF);
    else localStorage.setItem(KEYS_OFF, "1");
  });
  show(
    "help", "Help",
    h("p", {}, "Drag over the image: horizontally for the window, vertically for the level; double-click to reset them. Scroll to move through a volume."),
    h("p", {}, "The heatmap shows where the network's evidence comes from, relative to the maximum. It is coarse, and not an outline of a tumour."),
    h("p", {}, "“Keep images on this computer” runs the same network in this browser; no image is sent anywhere. Probabilities agree with the server's to 0.001."),
    h("h3", {}, "Keys"),
    h("table", { class: "keys" }, h("tbody", {}, ...SHORTCUTS.map(([key, what]) => h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, key)), h("td", {}, what))))),
    h("p", {}, toggle, " ", h("label", { for: "keys-on" }, "Use single-key shortcuts")),
    h("p", {}, hasServer && h("a", { href: "docs" }, "HTTP API"), hasServer && " · ", h("a", { href: "licences.txt" }, "Licences of the libraries")),
  );
}

export function openHistory(history: History): void {
  const entries = history.entries();
  const keep = h("input", { type: "checkbox", id: "history-keep", checked: history.kept });
  keep.addEventListener("change", () => history.keep(keep.checked));
  const clear = h("button", { type: "button", class: "secondary" }, "Clear history");
  clear.addEventListener("click", () => {
    history.clear();
    openHistory(history);
  });
  const rows = entries.map((entry) =>
    h(
      "tr", {},
      h("td", {}, new Date(entry.time).toLocaleString()), h("td", { class: "cut" }, entry.name),
      h("td", {}, entry.answer), h("td", {}, entry.where),
    ),
  );
  const heads = ["Time", "Image", "Answer", "Answered by"].map((text) => h("th", { scope: "col" }, text));
  show(
    "history", "History",
    h("p", {}, "File names and answers, no images. The history is stored only in this browser, and deleted when this tab is closed unless you keep it."),
    h("p", {}, keep, " ", h("label", { for: "history-keep" }, "Keep it after the tab is closed")),
    entries.length === 0
      ? h("p", { class: "quiet" }, "Nothing yet.")
      : h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Past answers" },
        h("table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows))),
    clear,
  );
}

/** Ask until there is a token; null where the user gives up. */
export function askToken(): Promise<string | null> {
  const input = h("input", { type: "password", id: "token-input", autocomplete: "off", required: true });
  return new Promise((resolve) => {
    const form = h(
      "form", { method: "dialog" },
      h("p", {}, h("label", { for: "token-input" }, "This server requires a token:")), input,
      h("p", {}, h("button", { class: "primary" }, "Use it")),
    );
    show("token", "Token", form);
    byId<HTMLDialogElement>("token").addEventListener("close", () => resolve(input.value.trim() || null), { once: true });
  });
}

function show(id: string, title: string, ...content: HTMLElement[]): void {
  const dialog = byId<HTMLDialogElement>(id);
  const close = h("button", { type: "button", class: "tool dialog-close", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(h("div", { class: "dialog-head" }, h("h2", { id: `${id}-title` }, title), close), ...content);
  if (!dialog.open) dialog.showModal();
}
