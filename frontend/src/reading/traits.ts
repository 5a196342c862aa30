/** How an image was taken, as far as it tells volumes of one series apart. `tumorlens/imaging/dicom/traits.py`. */
import type { DataSet } from "dicom-parser";
import { AGENT, COMPONENT, IMAGE_TYPE, MAGNITUDE, NUMBER, type Traits, WINDOW } from "./contrasts";
import { doubles, number, numbers, text, texts } from "./elements";

const COMPONENTS: Record<string, string> = {
  M: MAGNITUDE, MAGNITUDE, P: "phase", PHASE: "phase", "PHASE MAP": "phase", PHASE_MAP: "phase",
  "VELOCITY MAP": "phase", R: "real", REAL: "real", I: "imaginary", IMAG: "imaginary", IMAGINARY: "imaginary",
};
const PREFIXES: Record<string, string> = { M_: MAGNITUDE, P_: "phase", R_: "real", I_: "imaginary" };

/** In the order in which volumes are separated. */
const NUMBERS: [string, string][] = [
  ["echo", "x00180086"], ["echo time", "x00180081"], ["echo time", "x00189082"], ["b-value", "x00189087"], ["inversion time", "x00180082"],
  ["flip angle", "x00181314"], ["repetition time", "x00180080"], ["time point", "x00200100"],
  ["averages", "x00180083"], ["trigger time", "x00181060"], ["acquisition", "x00200012"],
];
const TEXTS: [string, string][] = [
  ["sequence", "x00180024"], ["scanning sequence", "x00180020"], ["sequence variant", "x00180021"],
  ["scan options", "x00180022"], [AGENT, "x00180010"], ["gradient", "x00189089"], ["nucleus", "x00180085"],
  ["coil", "x00181250"], ["series number", "x00200011"], ["description", "x0008103e"], ["protocol", "x00181030"],
  ["frame of reference", "x00200052"], ["comment", "x00204000"],
];
/** AcquisitionDateTime, AcquisitionTime and ContentTime. */
const CLOCKS: [string, string][] = [["acquisition time", "x0008002a"], ["acquisition time", "x00080032"], ["content time", "x00080033"]];
/** Elements whose numbers are binary. */
const BINARY = new Set(["x00189082", "x00189087", "x00189089"]);
/** Group, creator and element of the b-value where makers have one of their own, and how it is read. */
const PRIVATE_B_VALUES: [string, string, string, (set: DataSet, tag: string) => number | null][] = [
  ["0019", "SIEMENS MR HEADER", "0c", number], ["0043", "GEMS_PARM_01", "39", number],
  ["2001", "Philips Imaging DD 001", "03", (set, tag) => set.float(tag) ?? null],
  ["0065", "Image Private Header", "09", (set, tag) => doubles(set, tag)[0] ?? null],
];
/** Values of GE's own element for the component, where ImageType has no word for it. */
const GE_COMPONENTS = [MAGNITUDE, "phase", "real", "imaginary"];
/** GE adds this to some b-values. */
const GE_OFFSET = 1e9;

export function traitsOf(set: DataSet): Traits {
  const imageType = texts(set, "x00080008").map((word) => word.toUpperCase());
  const traits: Traits = new Map();
  const component = componentOf(text(set, "x00089208").toUpperCase(), imageType) ?? privateComponent(set);
  if (component) traits.set(COMPONENT, component);
  const kinds = imageType.filter((word) => !(word in COMPONENTS));
  if (kinds.length) traits.set(IMAGE_TYPE, kinds.join("\\"));
  for (const [name, tag] of NUMBERS) {
    const value = BINARY.has(tag) ? (doubles(set, tag)[0] ?? null) : number(set, tag);
    if (value !== null && !traits.has(name)) traits.set(name, value);
  }
  const own = traits.has("b-value") ? null : privateBValue(set);
  if (own !== null) traits.set("b-value", own);
  for (const [name, tag] of TEXTS) {
    const words = BINARY.has(tag) ? doubles(set, tag).map(String) : texts(set, tag);
    if (words.length) traits.set(name, words.join("\\"));
  }
  const [step, other] = numbers(set, "x00280030");
  if (other !== undefined) traits.set("pixel size", String(Number(step.toPrecision(3))));
  for (const [name, value] of weak(set)) traits.set(name, value);
  const [bits, photometric] = [set.uint16("x00280100"), text(set, "x00280004")];
  // Without a window, values that are stored in another way are in another unit.
  if (!traits.has(WINDOW) && bits !== undefined && photometric) traits.set("samples", `${bits}-bit ${photometric.toUpperCase()}`);
  return traits;
}

/** What slices of one volume may differ in too: window, clock, number. */
function weak(set: DataSet): Traits {
  const traits: Traits = new Map();
  const window = [number(set, "x00281050"), number(set, "x00281051")];
  if (!window.includes(null)) traits.set(WINDOW, window.map((value) => String(Number(value!.toPrecision(6)))).join("/"));
  for (const [name, tag] of CLOCKS) {
    const stated = texts(set, tag)[0];
    if (stated && !traits.has(name)) traits.set(name, stated);
  }
  const counted = number(set, "x00200013");
  if (counted !== null) traits.set(NUMBER, counted);
  return traits;
}

function componentOf(stated: string, imageType: string[]): string | null {
  // The first two values say whether it was computed; what is shown comes after them.
  for (const word of [stated, ...imageType.slice(2)]) {
    const known = COMPONENTS[word] ?? PREFIXES[word.slice(0, 2)];
    if (known) return known;
  }
  return null;
}

function privateComponent(set: DataSet): string | null {
  const tag = privateTag(set, "0043", "GEMS_PARM_01", "2f");
  const stated = tag === null ? undefined : set.int16(tag);
  if (stated !== undefined) return GE_COMPONENTS[stated] ?? null;
  const philips = privateTag(set, "2005", "Philips MR Imaging DD 001", "11");
  return philips === null ? null : (COMPONENTS[text(set, philips)] ?? null);
}

function privateBValue(set: DataSet): number | null {
  for (const [group, creator, element, read] of PRIVATE_B_VALUES) {
    const tag = privateTag(set, group, creator, element);
    const value = tag === null ? null : read(set, tag);
    if (value !== null) return value % GE_OFFSET;
  }
  return null;
}

/** The tag of a maker's own element, whichever block its creator has; null if there is no such block. */
export function privateTag(set: DataSet, group: string, creator: string, element: string): string | null {
  for (let block = 0x10; block <= 0xff; block++) {
    const hex = block.toString(16);
    if (text(set, `x${group}00${hex}`) === creator) return `x${group}${hex}${element}`;
  }
  return null;
}
