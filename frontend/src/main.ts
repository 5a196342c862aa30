/** The page: takes files, requests answers, shows them. */
import { byServer, type Deliver, inBrowser, wholeOf } from "./classify";
import { Engine, MODEL } from "./engine";
import { toCsv, toJson } from "./export";
import { History } from "./history";
import { fromInput, fromTransfer } from "./intake";
import { decisiveSlice, failedItem, isDone, type Item, itemOf, summary } from "./items";
import { groupBy } from "./reading/groups";
import type { Found, Member, NamedFile } from "./reading/contents";
import { MAX_FILES } from "./reading/limits";
import * as server from "./server";
import { decidingItem, Studies } from "./studies";
import { failureOf, isFailure, type Result, type StudyPrediction } from "./types";
import { answerPanel } from "./view/answer";
import { askToken, openHelp, openHistory, shortcutsOn } from "./view/dialogs";
import { byId, h, save } from "./view/dom";
import { listEntry, studyLine } from "./view/list";
import { report } from "./view/report";
import { Viewer } from "./view/viewer";

const PRIVATE = "tumorlens.private";
const THEME = "tumorlens.theme";
const THEMES = ["system", "light", "dark"];
/** The network that the examples were drawn for. */
const EXAMPLE_MODEL = "examples/model";
const EXAMPLES = ["glioma.png", "meningioma.png", "no-tumour.png", "pituitary.png"];

class Page {
  private items: Item[] = [];
  private selected: Item | null = null;
  /** Selected by the page, not by hand: the study's answer may open another. */
  private opened: Item | null = null;
  /** The list was scrolled to it. */
  private revealed: Item | null = null;
  /** What else is to be told of the files that came last: what was passed over, or not answered. */
  private remarks = new Set<string>();
  private hasServer = true;
  private readsStudies = false;
  private readonly engine = new Engine();
  private readonly studies = new Studies(this.engine);
  private readonly history = new History();
  private readonly viewer = new Viewer(byId("viewer"), () => this.drawAnswer());
  private queue: Promise<void> = Promise.resolve();

  async start(): Promise<void> {
    applyTheme(localStorage.getItem(THEME) ?? "system");
    this.setPrivate(localStorage.getItem(PRIVATE) !== null);
    this.listen();
    await this.findServer();
    document.documentElement.dataset.ready = "true";
  }

  /** Look for a server; without one, the browser classifies. */
  private async findServer(): Promise<void> {
    try {
      const { model, studies } = await server.describe();
      this.readsStudies = studies;
      this.showUse(model.intended_use);
    } catch (error) {
      if (error instanceof server.TokenNeeded) {
        const token = await askToken();
        if (token === null) return;
        server.setToken(token);
        return this.findServer();
      }
      this.hasServer = false;
      this.setPrivate(true);
      byId("server-kinds").hidden = true;
      byId<HTMLButtonElement>("private").disabled = true;
      const info = await this.engine.load(MODEL).catch(() => null);
      if (info) this.showUse(info.intended_use);
      else this.say("The model could not be loaded.");
    }
  }

  /** A model with a special intended use shows it beside the notice. */
  private showUse(use: string): void {
    const [special] = use.split("Research software");
    byId("model-use").textContent = special.trim() ? ` ${special.trim()}` : "";
  }

  private get private(): boolean {
    return byId("private").getAttribute("aria-checked") === "true";
  }

  private setPrivate(on: boolean): void {
    byId("private").setAttribute("aria-checked", String(on));
    byId("where").textContent = on
      ? "Images stay on this computer: the network runs in this browser."
      : `Images are sent to ${location.host}, classified there, and not kept.`;
  }

  /** Take the files, read them, and ask. */
  async take(files: NamedFile[], model = MODEL): Promise<void> {
    if (files.length === 0) return;
    if (files.length > MAX_FILES) return this.say(`${files.length} files are more than the limit of ${MAX_FILES}.`);
    this.say(`Reading ${files.length} ${files.length === 1 ? "file" : "files"}…`);
    const found = await this.engine.read(files, (done) => this.showProgress(`Reading file ${done + 1} of ${files.length}…`))
      .catch((error: Error) => this.say(`The files could not be read (${error.message}).`));
    if (!found) return;
    const added = this.itemsOf(found, files);
    if (this.items.every(isDone)) this.remarks.clear();
    for (const item of added) item.model = model;
    this.items.push(...added);
    this.selected = added[0] ?? this.selected;
    this.opened = this.selected;
    this.draw();
    this.remarks.add(skippedWords(found));
    if (this.items.every(isDone)) this.tellAnswers();
    for (const item of added) if (!isDone(item)) this.ask(item);
  }

  /** What could not be read here is left to the server, if it may be sent there. */
  private itemsOf({ images, failures, members }: Found, files: NamedFile[]): Item[] {
    const byName = new Map<string, NamedFile | Member>([...files, ...members].map((file) => [file.name, file]));
    const sources = (names: string[]) => names.flatMap((name) => byName.get(name) ?? []);
    const unread = failures.flatMap(({ failure, files: names }) => {
      const perhaps = !this.private && ["server_only", "unsupported_format"].includes(failure.error.kind);
      const asked = perhaps ? sources(names).map((file) => itemOf(file.name, null, [file])) : [];
      return asked.length > 0 ? asked : [failedItem(failure)];
    });
    return [...images.map((image) => itemOf(image.name, image, sources(image.sources))), ...unread];
  }

  /** Put the item in the queue: one after the other, in the order of the list. */
  private ask(item: Item): void {
    const run = ++item.run;
    const inside = this.private || item.model !== MODEL;
    item.where = inside ? "browser" : "server";
    item.results.fill(null);
    item.whole = null;
    this.studies.forget(item);
    const middle = item.slice;
    item.awaitsWhole = item.results.length > 1 && (inside || this.readsStudies);
    this.drawSoon();
    const current = () => item.run === run;
    const deliver: Deliver = (slice, result) => {
      if (!current()) return false;
      item.results[slice] = result;
      this.progress(item);
      return true;
    };
    this.queue = this.queue.then(async () => {
      if (!current()) return;
      try {
        const whole = inside ? await inBrowser(item, this.engine, deliver) : await this.askServer(item, deliver, current);
        if (current()) item.whole = whole;
        // Open on the slice that decides, as reports do, unless somebody has gone elsewhere meanwhile.
        const decides = decisiveSlice(item);
        if (current() && decides !== null && item.slice === middle) item.slice = decides;
        if (current()) await this.askStudy(item, inside);
      } catch (error) {
        const failure = inside ? failureOf(item.name, error) : server.failure(item.name, error);
        item.results.forEach((result, slice) => result === null && deliver(slice, failure));
      }
      if (!current() || !item.awaitsWhole) return;
      item.awaitsWhole = false;
      this.progress(item);
    });
  }

  /** Deliver the answers of the slices; the whole volume's is returned, null where there is none. */
  private async askServer(item: Item, deliver: Deliver, current: () => boolean): Promise<Result | null> {
    await this.withToken(() => byServer(item, this.engine, deliver));
    if (!item.awaitsWhole || !current()) return null;
    const members = this.studies.membersOf(item, this.items);
    const together = await this.studies.sent(members);
    if (members.length === 1 || !together.every(isFailure)) return wholeOf(item, together);
    // All series may be too much for the server where one is not.
    this.remarks.add(`No joint answer for the study: ${together[0].error.message}.`);
    return wholeOf(item, await this.studies.sent([item]));
  }

  /** The series of a visit are answered together once each has its answer. */
  private async askStudy(item: Item, inside: boolean): Promise<void> {
    if (!inside && !this.readsStudies) return;
    for (const examination of this.studies.examinationsOf(item, this.items)) {
      const { members } = examination;
      const answer = await this.studies.ask(examination, inside);
      const decides = answer && members.includes(item) && decidingItem(answer, members);
      if (decides && this.selected === this.opened && this.selected && members.includes(this.selected)) {
        this.selected = this.opened = decides;
      }
      if (answer) this.drawSoon();
    }
  }

  private progress(item: Item): void {
    if (isDone(item)) this.remember(item);
    this.drawSoon();
  }

  private async withToken(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof server.TokenNeeded)) throw error;
      const token = await askToken();
      if (token === null) throw new Error("the server requires a token");
      server.setToken(token);
      await work();
    }
  }

  private remember(item: Item): void {
    const answer = summary(item);
    this.history.add({ time: new Date().toISOString(), name: item.name, answer, where: item.where });
    if (this.items.every(isDone)) this.tellAnswers();
    else this.showProgress(`Answered ${this.items.filter(isDone).length} of ${this.items.length}…`);
  }

  private tellAnswers(): void {
    this.say([answersInWords(this.items), ...this.remarks].filter((words) => words !== "").join(" "));
  }

  private select(item: Item): void {
    this.selected = item;
    this.opened = null;
    this.draw();
  }

  /** Scroll the list to the selected image, once: somebody may scroll elsewhere. */
  private reveal(): void {
    this.revealed = this.selected;
    byId("items").querySelector<HTMLElement>("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  private stepItem(by: number): void {
    const index = this.selected ? this.items.indexOf(this.selected) : -1;
    const next = this.items[Math.min(this.items.length - 1, Math.max(0, index + by))];
    if (next) this.select(next);
  }

  private pending = false;

  private drawSoon(): void {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.draw();
    });
  }

  private draw(): void {
    const empty = this.items.length === 0;
    const started = !empty && byId("start").contains(document.activeElement);
    byId("start").hidden = !empty;
    byId("desk").hidden = empty;
    byId("count").textContent = String(this.items.length);
    const list = byId("items");
    const focused = list.contains(document.activeElement);
    const listed = new Set<StudyPrediction>();
    list.replaceChildren(...this.items.flatMap((item) => {
      const study = this.studies.answerOf(item);
      const line = study && !listed.has(study) ? [studyLine(study)] : [];
      if (study) listed.add(study);
      return [...line, listEntry(item, item === this.selected, () => this.select(item))];
    }));
    // What was pressed at the start is gone, and so are the entries of before.
    if (focused || started) list.querySelector<HTMLElement>("[aria-current]")?.focus();
    if (this.selected !== this.revealed) this.reveal();
    this.viewer.show(this.selected);
    this.drawAnswer();
  }

  private drawAnswer(): void {
    const panel = byId("answer");
    if (!this.selected) return panel.replaceChildren();
    const focused = panel.contains(document.activeElement) ? document.activeElement?.id : null;
    const goTo = (slice: number) => this.viewer.goTo(slice);
    panel.replaceChildren(...answerPanel(this.selected, this.studies.answerOf(this.selected), this.actions(), goTo));
    if (focused) document.getElementById(focused)?.focus();
  }

  private actions(): HTMLElement {
    const button = (id: string, text: string, action: () => void) =>
      h("button", { id, type: "button", class: "secondary", onclick: action }, text);
    return h(
      "div", { class: "actions", role: "group", "aria-label": "Export" },
      button("export-json", "JSON", () => save(new Blob([toJson(this.items, this.studies.all(this.items))], { type: "application/json" }), "tumorlens.json")),
      button("export-csv", "CSV", () => save(new Blob([toCsv(this.items, this.studies.all(this.items))], { type: "text/csv" }), "tumorlens.csv")),
      button("print", "Print or PDF", () => window.print()),
    );
  }

  /** For everyone; screen readers say it. */
  private say(text: string): void {
    byId("status").textContent = text;
    this.showProgress(text);
  }

  /** For the eyes alone: it changes too often to be said. */
  private showProgress(text: string): void {
    byId("progress").textContent = text;
    byId("progress").classList.toggle("busy", !this.items.every(isDone));
  }

  private listen(): void {
    const files = byId<HTMLInputElement>("file-input");
    const folder = byId<HTMLInputElement>("folder-input");
    for (const input of [files, folder]) input.addEventListener("change", () => void this.take(fromInput(input)));
    const on = (id: string, action: () => void) => byId(id).addEventListener("click", action);
    on("choose-files", () => files.click());
    on("more", () => files.click());
    on("choose-folder", () => folder.click());
    on("examples", () => void this.takeExamples());
    on("clear", () => this.clear());
    on("help-open", () => openHelp(this.hasServer));
    on("history-open", () => openHistory(this.history));
    on("theme", nextTheme);
    on("private", () => this.switchPrivate());
    // The same for Ctrl+P as for the button.
    window.addEventListener("beforeprint", () => byId("report").replaceChildren(...report(this.items, this.studies.all(this.items), this.viewer)));
    this.listenToDrops();
    document.addEventListener("keydown", (event) => this.key(event));
  }

  private listenToDrops(): void {
    let depth = 0;
    const mark = () => document.body.classList.toggle("dropping", depth > 0);
    document.addEventListener("dragenter", () => {
      depth++;
      mark();
    });
    document.addEventListener("dragleave", () => {
      depth = Math.max(0, depth - 1);
      mark();
    });
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", async (event) => {
      event.preventDefault();
      depth = 0;
      mark();
      if (event.dataTransfer) await this.take(await fromTransfer(event.dataTransfer));
    });
    document.addEventListener("paste", async (event) => {
      if (event.clipboardData?.files.length) await this.take(await fromTransfer(event.clipboardData));
    });
  }

  private async takeExamples(): Promise<void> {
    const files = await Promise.all(
      EXAMPLES.map(async (name) => {
        const blob = await (await fetch(`examples/${name}`)).blob();
        return { name: `example-${name}`, file: new File([blob], name) };
      }),
    );
    await this.take(files, EXAMPLE_MODEL);
  }

  private clear(): void {
    for (const item of this.items) item.run++;
    this.items = [];
    this.studies.clear();
    this.selected = null;
    this.remarks.clear();
    this.say("");
    this.draw();
    byId("choose-files").focus();
  }

  private switchPrivate(): void {
    const on = !this.private;
    this.setPrivate(on);
    if (on) localStorage.setItem(PRIVATE, "1");
    else localStorage.removeItem(PRIVATE);
    // Files that only the server can read keep their answers.
    for (const item of this.items) if (item.image) this.ask(item);
    this.draw();
  }

  private key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const typing = target.matches("input, textarea, select") || document.querySelector("dialog[open]") !== null;
    if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
    const inside = byId("desk").contains(target) || target === document.body;
    const arrows: Record<string, () => void> = {
      ArrowUp: () => this.stepItem(-1),
      ArrowDown: () => this.stepItem(1),
      ArrowLeft: () => this.viewer.step(-1),
      ArrowRight: () => this.viewer.step(1),
    };
    const letters: Record<string, () => void> = {
      k: () => this.stepItem(-1),
      j: () => this.stepItem(1),
      h: () => this.viewer.toggleHeat(),
      "[": () => this.viewer.stepOpacity(-1),
      "]": () => this.viewer.stepOpacity(1),
      m: () => this.viewer.toggleMarks(),
      v: () => this.viewer.nextPlane(),
      r: () => this.viewer.reset(),
      "+": () => this.viewer.zoomBy(1.25),
      "-": () => this.viewer.zoomBy(0.8),
      o: () => byId<HTMLInputElement>("file-input").click(),
      p: () => window.print(),
      "?": () => openHelp(this.hasServer),
    };
    const action = (inside && this.items.length > 0 ? arrows[event.key] : undefined)
      ?? (shortcutsOn() ? letters[event.key.toLowerCase()] : undefined);
    if (!action) return;
    event.preventDefault();
    action();
  }
}

/** The answer of a single item; of several, how many got which. */
function answersInWords(items: Item[]): string {
  if (items.length === 0) return "";
  if (items.length === 1) return `${items[0].name}: ${summary(items[0])}.`;
  const counts = [...groupBy(items, summary)].sort(([, one], [, other]) => other.length - one.length);
  return `All ${items.length} answered: ${counts.map(([words, { length }]) => `${length} ${words}`).join("; ")}.`;
}

/** As `tumorlens predict` says it. */
function skippedWords({ skipped, own }: Found): string {
  const counted = (count: number, one: string, many: string) => (count === 0 ? [] : [`Skipped ${count} ${count === 1 ? one : many}.`]);
  return [
    ...counted(skipped, "file that is not an image", "files that are not images"),
    ...counted(own, "file written by tumorlens", "files written by tumorlens"),
  ].join(" ");
}

function applyTheme(theme: string): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
}

function nextTheme(): void {
  const now = localStorage.getItem(THEME) ?? "system";
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  localStorage.setItem(THEME, next);
  applyTheme(next);
}

void new Page().start();
