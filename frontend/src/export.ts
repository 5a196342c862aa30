/** Answers as JSON and CSV, with the columns of `tumorlens predict`. */
import type { Item } from "./items";
import { type Prediction, CLASSES, decisionOf, isFailure, type Result } from "./types";

const DIGITS = 1e6;
const NOTICE = "Research software, not a medical device: not for diagnosis or treatment decisions.";

interface Row {
  result: Result;
  slice: number | null;
}

function rows(items: Item[]): Row[] {
  return items.flatMap((item) => {
    const volume = item.results.length > 1;
    const slices = item.results.flatMap((result, place) => (result ? [{ result, slice: volume ? place + 1 : null }] : []));
    const whole = item.whole ? [{ result: item.whole, slice: null }] : [];
    return [...whole, ...slices].map(({ result, slice }) => ({ result: { ...result, path: item.name }, slice }));
  });
}

export function toJson(items: Item[]): string {
  const predictions = rows(items).map(({ result, slice }) => (slice === null ? rounded(result) : { ...rounded(result), slice }));
  return `${JSON.stringify({ predictions, notice: NOTICE }, null, 2)}\n`;
}

/** Probabilities with six digits, as records have them. */
function rounded(result: Result): Result {
  if (isFailure(result)) return result;
  const slices = result.slices?.map((slice) => ({ ...slice, ...roundedProbabilities(slice) }));
  return { ...result, ...roundedProbabilities(result), ...(slices ? { slices } : {}) };
}

function roundedProbabilities({ probabilities }: Pick<Prediction, "probabilities">): Pick<Prediction, "probabilities"> {
  if (!probabilities) return {};
  const entries = Object.entries(probabilities).map(([name, share]) => [name, Math.round(share * DIGITS) / DIGITS]);
  return { probabilities: Object.fromEntries(entries) };
}

export function toCsv(items: Item[]): string {
  const columns = [
    "path", "slice", "decision", "label", ...CLASSES, "prediction_set", "reason",
    "model_name", "model_version", "model_sha256", "error_kind", "error_message",
  ];
  return [columns, ...rows(items).map(csvRow)].map((row) => row.map(field).join(",")).join("\n") + "\n";
}

function csvRow({ result, slice }: Row): string[] {
  const place = slice === null ? "" : String(slice);
  if (isFailure(result)) {
    return [result.path, place, ...Array<string>(11).fill(""), result.error.kind, result.error.message];
  }
  const probabilities = CLASSES.map((name) => result.probabilities?.[name]?.toFixed(6) ?? "");
  const { name, version, sha256 } = result.model;
  return [
    result.path, place, decisionOf(result), result.label ?? "", ...probabilities,
    result.prediction_set?.join(" ") ?? "", result.reason ?? "",
    name, version, sha256, "", "",
  ];
}

/** Quoted where needed; a leading = + - @ could start a formula in a spreadsheet. */
function field(value: string): string {
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
