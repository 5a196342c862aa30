/** Answers as JSON and CSV, with the columns of `tumorlens predict`. */
import type { Item } from "./items";
import { classesOf, namesOf } from "./classes";
import { isFailure, isVolume, NOTICE, type Prediction, type Result, type StudyPrediction } from "./types";

const DIGITS = 1e6;

interface Row {
  result: Result;
  slice: number | null;
}

/** A study's answer goes before those of its series. */
function rows(items: Item[], studies: StudyPrediction[]): Row[] {
  const together = studies.map((result) => ({ result, slice: null }));
  return [...together, ...items.flatMap((item) => {
    const volume = item.results.length > 1;
    const slices = item.results.flatMap((result, index) => (result ? [{ result, slice: volume ? index + 1 : null }] : []));
    const whole = item.whole ? [{ result: item.whole, slice: null }] : [];
    return [...whole, ...slices].map(({ result, slice }) => ({ result: { ...result, path: item.name }, slice }));
  })];
}

export function toJson(items: Item[], studies: StudyPrediction[]): string {
  const predictions = rows(items, studies).map(({ result, slice }) => (slice === null ? rounded(result) : { ...rounded(result), slice }));
  return `${JSON.stringify({ predictions, notice: NOTICE }, null, 2)}\n`;
}

/** Probabilities with six digits, as records have them. */
function rounded(result: Result): Result {
  if (isFailure(result)) return result;
  if (!isVolume(result)) return { ...result, ...roundedShares(result) };
  return { ...result, ...roundedShares(result), slices: result.slices.map((slice) => ({ ...slice, ...roundedShares(slice) })) };
}

type Shares = Pick<Prediction, "probabilities" | "tumor_probability">;

function roundedShares({ probabilities, tumor_probability }: Shares): Shares {
  const round = (share: number) => Math.round(share * DIGITS) / DIGITS;
  const entries = Object.entries(probabilities ?? {}).map(([name, share]) => [name, round(share)]);
  return {
    probabilities: probabilities && Object.fromEntries(entries),
    tumor_probability: tumor_probability === null ? null : round(tumor_probability),
  };
}

const BEFORE = ["path", "slice", "decision", "label", "summary", "tumor_probability"];
const AFTER = [
  "prediction_set", "reason", "model_name", "model_version", "model_sha256", "error_kind", "error_message", "notice",
];

/** One column a class of the models that answered; one that is called as another column gets a prefix. */
export function toCsv(items: Item[], studies: StudyPrediction[]): string {
  const all = rows(items, studies);
  const models = all.map(({ result }) => result).filter((result) => !isFailure(result));
  const classes = [...new Set((models.length > 0 ? models : [null]).flatMap((result) => namesOf(classesOf(result))))];
  const named = classes.map((name) => ([...BEFORE, ...AFTER].includes(name) ? `probability_${name}` : name));
  const table = [[...BEFORE, ...named, ...AFTER], ...all.map((row) => csvRow(row, classes))];
  return table.map((row) => row.map(field).join(",")).join("\n") + "\n";
}

function csvRow({ result, slice }: Row, classes: string[]): string[] {
  const sliceText = slice === null ? "" : String(slice);
  if (isFailure(result)) {
    const { kind, message } = result.error;
    return [result.path, sliceText, "failed", ...Array<string>(classes.length + 8).fill(""), kind, message, NOTICE];
  }
  const probabilities = classes.map((name) => result.probabilities?.[name]?.toFixed(6) ?? "");
  const { name, version, sha256 } = result.model;
  return [
    result.path, sliceText, result.decision, result.label ?? "", result.summary, result.tumor_probability?.toFixed(6) ?? "",
    ...probabilities, result.prediction_set?.join(" ") ?? "", result.reason, name, version, sha256, "", "", NOTICE,
  ];
}

/** Quoted where needed; what a spreadsheet would take for a formula gets an apostrophe (`tumorlens/files.py`). */
function field(value: string): string {
  const safe = /^'*[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
