/** One image, large: window and level by dragging, slices by scrolling, heatmap by slider. */
import { heatmapOf, type Item } from "../items";
import { writeAnswer } from "../reading/png";
import { type Cut, cutsOf, opening, type Shown, shownBy } from "../planes";
import { headline } from "../summary";
import { classesOf, displayName } from "../classes";
import { type Heatmap, isFailure, type MedicalImage, type Result, type Unit } from "../types";
import { captioned } from "./caption";
import { h, save, shortened } from "./dom";
import { drawSides, sidesInWords } from "./edges";
import { paint } from "./render";
import { drawTimeline } from "./timeline";

const OPACITY_STEP = 0.1;
const MAX_ZOOM = 8;
const ZOOM_STEP = 1.25;
/** Of the letters at the edges, in pixels of the page. */
const LETTER = 15;

export class Viewer {
  private item: Item | null = null;
  private opacity = 0.6;
  private before = 0.6;
  private marks = true;
  private zoom = 1;
  /** Of the image's middle from the stage's, as shares of the stage. */
  private pan = { x: 0, y: 0 };
  private readonly canvas = h("canvas", { class: "stage-canvas", role: "img" });
  private readonly stage = h("div", { class: "stage", tabindex: "0", role: "group" }, this.canvas);
  private readonly corner = {
    name: h("span", { class: "hud hud-name" }),
    slice: h("span", { class: "hud hud-slice" }),
    window: h("span", { class: "hud hud-window" }),
    facts: h("span", { class: "hud hud-facts" }),
  };
  private readonly legend = h("div", { class: "legend", "aria-hidden": "true" });
  private readonly empty = h("p", { class: "stage-empty" });
  private readonly heat = slider("Heatmap", "heat", 0, 100, 1);
  private readonly level = slider("Level", "level", 0, 1000, 1);
  private readonly width = slider("Window", "width", 1, 2000, 1);
  private readonly slices = slider("Slice", "slice", 1, 1, 1);
  /** The ways to cut the volume that is open; which one is shown, and where. The first are its own slices. */
  private cuts: Cut[] = [];
  private cut = 0;
  private index = 0;
  private readonly planes = h("div", { class: "planes", role: "group", "aria-label": "Plane" });
  private readonly timelineNames = h("ul", { class: "timeline-names" });
  private readonly timeline = h("canvas", { class: "timeline" });

  private readonly buttons = [
    h("button", { type: "button", class: "tool", id: "zoom-in", onclick: () => this.zoomBy(ZOOM_STEP) }, "Zoom in"),
    h("button", { type: "button", class: "tool", id: "zoom-out", onclick: () => this.zoomBy(1 / ZOOM_STEP) }, "Zoom out"),
    h("button", { type: "button", class: "tool", onclick: () => this.reset() }, "Reset view"),
    h("button", { type: "button", class: "tool", onclick: () => this.savePng() }, "Save image"),
  ];

  constructor(root: HTMLElement, private readonly changed: () => void) {
    this.stage.append(...Object.values(this.corner), this.empty);
    const controls = h(
      "div", { class: "controls" },
      this.heat.row, this.legend, this.width.row, this.level.row, h("div", { class: "control-buttons" }, ...this.buttons),
    );
    const slices = h(
      "div", { class: "slice-control" }, this.planes, this.slices.row,
      h("div", { class: "slices-at-once", "aria-hidden": "true" }, this.timelineNames, this.timeline),
    );
    root.append(this.stage, slices, controls);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.stage);
  }

  show(item: Item | null): void {
    if (item !== this.item) {
      this.fit();
      this.cut = 0;
    }
    if (item?.image !== this.item?.image || this.cuts.length === 0) this.cuts = item?.image ? cutsOf(item.image) : [];
    this.item = item;
    this.draw();
  }

  /** Move through a volume, in the plane that is shown. */
  step(by: number): void {
    if (this.item) this.moveThrough((this.cut > 0 ? this.index : this.item.slice) + by);
  }

  /** Cut the volume another way. */
  choosePlane(cut: number): void {
    if (!this.item || !this.cuts[cut]) return;
    this.cut = cut;
    this.index = cut > 0 ? opening(this.item, this.cuts[cut]) : 0;
    this.fit();
    this.draw();
  }

  nextPlane(): void {
    if (this.cuts.length > 0) this.choosePlane((this.cut + 1) % this.cuts.length);
  }

  /** An item as it stands on the screen, or would. */
  shownOf(item: Item): { image: MedicalImage; slice: number; heatmap: Heatmap | Float32Array | null; where: string } {
    const cut = item === this.item ? this.reformatted() : null;
    if (cut) return { image: cut.image, slice: 0, heatmap: cut.heat, where: this.positionText() };
    return { image: item.image!, slice: item.slice, heatmap: heatmapOf(item.results[item.slice]), where: "" };
  }

  private reformatted(): Shown | null {
    return this.item?.image && this.cut > 0 ? shownBy(this.item, this.cuts[this.cut], this.index) : null;
  }

  /** Where in the volume the screen is, in words. */
  private positionText(): string {
    const { item } = this;
    if (!item || item.results.length < 2) return "";
    if (this.cut === 0) return `slice ${item.slice + 1} of ${item.results.length}`;
    const { name, count } = this.cuts[this.cut];
    return `${name.toLowerCase()} ${this.index + 1} of ${count}`;
  }

  toggleHeat(): void {
    if (this.opacity > 0) this.before = this.opacity;
    this.setOpacity(this.opacity > 0 ? 0 : this.before);
  }

  setOpacity(share: number): void {
    this.opacity = Math.min(1, Math.max(0, share));
    this.draw();
  }

  stepOpacity(by: number): void {
    this.setOpacity(this.opacity + by * OPACITY_STEP);
  }

  toggleMarks(): void {
    this.marks = !this.marks;
    this.draw();
  }

  reset(): void {
    if (!this.item) return;
    this.item.displayRange = this.item.fullRange;
    this.fit();
    this.draw();
  }

  /** Zoom by a factor, towards a place in shares of the stage from its middle. */
  zoomBy(factor: number, at = { x: 0, y: 0 }): void {
    const zoom = Math.min(MAX_ZOOM, Math.max(1, this.zoom * factor));
    const grown = zoom / this.zoom;
    this.zoom = zoom;
    this.moveTo(at.x - (at.x - this.pan.x) * grown, at.y - (at.y - this.pan.y) * grown);
  }

  private fit(): void {
    this.zoom = 1;
    this.pan = { x: 0, y: 0 };
  }

  /** No further than the image's edge to the middle of the stage. */
  private moveTo(x: number, y: number): void {
    const most = (this.zoom - 1) / 2;
    const within = (value: number) => Math.min(most, Math.max(-most, value));
    this.pan = { x: within(x), y: within(y) };
    this.draw();
  }

  private listen(): void {
    this.heat.input.addEventListener("input", () => this.setOpacity(Number(this.heat.input.value) / 100));
    for (const { input } of [this.level, this.width]) {
      input.addEventListener("input", () =>
        this.setWindow(Number(this.width.input.value) / 1000, Number(this.level.input.value) / 1000),
      );
    }
    this.slices.input.addEventListener("input", () => this.moveThrough(Number(this.slices.input.value) - 1));
    this.timeline.addEventListener("click", ({ offsetX }) => {
      const depth = this.item?.results.length ?? 1;
      this.goTo(Math.floor((offsetX / this.timeline.clientWidth) * depth));
    });
    this.stage.addEventListener("wheel", (event) => this.scroll(event), { passive: false });
    this.stage.addEventListener("dblclick", () => this.reset());
    this.stage.addEventListener("pointerdown", (event) => this.drag(event));
  }

  private scroll(event: WheelEvent): void {
    if (event.ctrlKey || event.metaKey || (this.item?.results.length ?? 1) < 2) {
      event.preventDefault();
      const { left, top, width, height } = this.stage.getBoundingClientRect();
      const at = { x: (event.clientX - left) / width - 0.5, y: (event.clientY - top) / height - 0.5 };
      return this.zoomBy(ZOOM_STEP ** -Math.sign(event.deltaY), at);
    }
    event.preventDefault();
    this.step(Math.sign(event.deltaY));
  }

  /** Across: how wide the window is. Down: how dark the image is. With Shift, or once zoomed in: where it lies. */
  private drag(start: PointerEvent): void {
    if (start.button > 1 || !this.item?.image) return;
    const [width, level] = this.windowing();
    const pan = this.pan;
    const moves = start.shiftKey || start.button === 1 || this.zoom > 1;
    const side = Math.min(this.stage.clientWidth, this.stage.clientHeight);
    this.stage.setPointerCapture(start.pointerId);
    const move = (event: PointerEvent) => {
      if (moves) {
        const { clientWidth, clientHeight } = this.stage;
        return this.moveTo(
          pan.x + (event.clientX - start.clientX) / clientWidth, pan.y + (event.clientY - start.clientY) / clientHeight,
        );
      }
      const across = (event.clientX - start.clientX) / side;
      const down = (event.clientY - start.clientY) / side;
      this.setWindow(width * 4 ** across, level + down * width);
    };
    const ending = new AbortController();
    const { signal } = ending;
    this.stage.addEventListener("pointermove", move, { signal });
    for (const end of ["pointerup", "pointercancel"]) this.stage.addEventListener(end, () => ending.abort(), { signal });
  }

  /** Width and level as fractions of the useful range. */
  private windowing(): [number, number] {
    const { displayRange, fullRange } = this.item!;
    const range = fullRange.high - fullRange.low;
    const middle = (displayRange.low + displayRange.high) / 2;
    return [(displayRange.high - displayRange.low) / range, (middle - fullRange.low) / range];
  }

  private setWindow(width: number, level: number): void {
    if (!this.item) return;
    const { low, high } = this.item.fullRange;
    const range = high - low;
    const wide = Math.min(2, Math.max(0.001, width)) * range;
    const middle = low + Math.min(1, Math.max(0, level)) * range;
    this.item.displayRange = { low: middle - wide / 2, high: middle + wide / 2 };
    this.draw();
  }

  private moveThrough(index: number): void {
    if (this.cut === 0) return this.goTo(index);
    this.index = Math.min(this.cuts[this.cut].count - 1, Math.max(0, index));
    this.draw();
  }

  /** Show a slice as it is stored. */
  goTo(slice: number): void {
    if (!this.item) return;
    this.cut = 0;
    this.item.slice = Math.min(this.item.results.length - 1, Math.max(0, slice));
    this.draw();
    this.changed();
  }

  draw(): void {
    const { item } = this;
    const cut = this.reformatted();
    const image = cut?.image ?? item?.image ?? null;
    const heatmap = cut ? null : heatmapOf(item?.results[item.slice] ?? null);
    this.labels(heatmap, image, cut?.heat ?? null);
    this.empty.textContent = item && !image ? "This file cannot be shown." : "";
    this.canvas.hidden = image === null;
    if (!item || !image) return;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.stage;
    this.canvas.width = Math.max(1, Math.round(clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * ratio));
    const { context, box } = paint(
      this.canvas, image, cut ? 0 : item.slice, item.displayRange, cut ? cut.heat : heatmap, this.opacity,
      { zoom: this.zoom, ...this.pan },
    );
    if (heatmap && this.opacity > 0 && this.marks) {
      const scale = box.width / image.width;
      context.setTransform(scale, 0, 0, scale * image.aspect, box.left, box.top);
      drawMarks(context, heatmap, ratio / scale);
      context.resetTransform();
    }
    if (image.sides) drawSides(context, image.sides, box, LETTER * ratio);
  }

  private labels(heatmap: Heatmap | null, image: MedicalImage | null, heat: Float32Array | null): void {
    const { item, corner } = this;
    const depth = item?.results.length ?? 1;
    const result = item?.results[item.slice] ?? null;
    corner.name.textContent = shortened(item?.name ?? "");
    corner.slice.textContent = this.positionText();
    corner.facts.textContent = image
      ? [`${image.width} × ${image.height}`, image.format, ...image.facts].join(" · ")
      : "";
    const [wide, middle] = item?.image ? inUnits(item) : ["", ""];
    corner.window.textContent = item?.image ? `W ${wide}  L ${middle}` : "";
    const sides = image?.sides ? ` ${sidesInWords(image.sides)}` : "";
    const words = item ? `${item.name}: ${result && !isFailure(result) ? result.summary : headline(result)}${sides}` : "";
    this.canvas.setAttribute("aria-label", words);
    this.stage.setAttribute("aria-label", `${words} Arrow keys move through slices, H shows the heatmap, V another plane.`.trim());
    const isMapped = heatmap !== null || heat !== null;
    this.legend.classList.toggle("off", !isMapped || this.opacity === 0);
    this.legend.replaceChildren(
      h("span", {}, "low"), h("span", { class: "legend-bar" }),
      h("span", {}, heatmap ? `high: where the network sees ${sought(heatmap, result)}` : heat ? "high: evidence times probability" : "high"),
    );
    this.heat.set(Math.round(this.opacity * 100), `${Math.round(this.opacity * 100)}%`, !isMapped);
    this.slices.row.parentElement!.hidden = depth < 2;
    const count = this.cut > 0 ? this.cuts[this.cut].count : depth;
    const at = (this.cut > 0 ? this.index : (item?.slice ?? 0)) + 1;
    this.slices.input.max = String(count);
    this.slices.set(at, `${at} of ${count}: ${this.cut > 0 ? this.cuts[this.cut].name : headline(result)}`, false);
    this.drawPlanes();
    const [width, level] = item?.image ? this.windowing() : [0, 0];
    this.width.set(Math.round(width * 1000), wide, !item?.image);
    this.level.set(Math.round(level * 1000), middle, !item?.image);
    for (const button of this.buttons) button.disabled = !item?.image;
    if (item && depth > 1) drawTimeline(this.timeline, this.timelineNames, item);
  }

  private drawPlanes(): void {
    const buttons = this.cuts.map(({ name }, cut) => (
      h("button", {
        type: "button", class: "tool", "aria-pressed": String(cut === this.cut), onclick: () => this.choosePlane(cut),
      }, name)
    ));
    const focused = [...this.planes.children].indexOf(document.activeElement as Element);
    this.planes.replaceChildren(...buttons);
    if (focused >= 0) buttons[focused]?.focus();
  }

  /** With the answer and the notice below: the image may be shown without this page. */
  private savePng(): void {
    const { item } = this;
    if (!item?.image) return;
    const canvas = captioned(this.canvas, item.whole ?? item.results[item.slice]);
    const png = writeAnswer(canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height));
    save(new Blob([png as Uint8Array<ArrayBuffer>], { type: "image/png" }), `${item.name.replace(/[^\w.-]+/g, "_")}-${this.positionText().replaceAll(" ", "-") || "slice-1"}.png`);
  }
}

function drawMarks(context: CanvasRenderingContext2D, { peak, box }: Heatmap, pixel: number): void {
  const strokes: [string, number][] = [["rgba(0,0,0,0.7)", 3.5], ["#9ff3ff", 1.5]];
  for (const [color, thickness] of strokes) {
    context.strokeStyle = color;
    context.lineWidth = thickness * pixel;
    context.beginPath();
    const [x, y, arm] = [peak.column + 0.5, peak.row + 0.5, 9 * pixel];
    context.moveTo(x - arm, y);
    context.lineTo(x + arm, y);
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
    context.stroke();
    if (!box) continue;
    context.setLineDash([6 * pixel, 5 * pixel]);
    context.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    context.setLineDash([]);
  }
}

/** A labelled range input with its value in words. */
function slider(label: string, id: string, min: number, max: number, step: number) {
  const input = h("input", { type: "range", id: `${id}-slider`, min, max, step });
  // The input itself says its value; an output would say it once more, with each change.
  const value = h("span", { class: "control-value", "aria-hidden": "true" });
  const row = h("div", { class: "control" }, h("label", { for: `${id}-slider` }, label), input, value);
  const set = (number: number, words: string, disabled: boolean) => {
    input.value = String(number);
    input.disabled = disabled;
    input.setAttribute("aria-valuetext", words);
    value.textContent = words.split(":")[0];
  };
  return { row, input, set };
}

/** What the map points at: a tumour, or what else the classes are. */
function sought({ label }: Heatmap, result: Result | null): string {
  const classes = classesOf(result);
  return classes.no_finding === null ? displayName(classes, label) : classes.finding;
}

/** Width and level of the window, as text: in the file's own units, or in per cent of the file's window. */
function inUnits({ image, displayRange }: Item): [string, string] {
  const { slope, intercept, symbol = "" }: Unit = image?.unit ?? { slope: 1, intercept: 0 };
  const width = Math.abs(slope) * (displayRange.high - displayRange.low);
  const level = intercept + (slope * (displayRange.low + displayRange.high)) / 2;
  return [number(width) + symbol, number(level) + symbol];
}

function number(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
