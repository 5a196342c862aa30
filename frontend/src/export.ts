/** Answers as JSON and CSV, with the columns of `tumorlens predict`. */
import type { Item } from "./items";
import { classesOf, namesOf } from "./classes";
import { isFailure, isVolume, NOTICE, type Prediction, type Result, type StudyPrediction, type VolumePrediction } from "./types";

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

const BEFORE = ["path", "slice", "decision", "label", "summary", "reason", "tumor_probability"];
const AFTER = [
  "prediction_set", "sequence", "model_name", "model_version", "model_sha256", "error_kind", "error_message", "slices",
  "finding_first", "finding_middle", "finding_last", "finding_side", "series_description", "series_instance_uid", "notice",
];

type Fields = Record<string, string>;

/** One column a class of the models that answered; one that is called as another column gets a prefix. `records.py`. */
export function toCsv(items: Item[], studies: StudyPrediction[]): string {
  const all = rows(items, studies);
  const models = all.map(({ result }) => result).filter((result) => !isFailure(result));
  const classes = [...new Set((models.length > 0 ? models : [null]).flatMap((result) => namesOf(classesOf(result))))];
  const columns = [...BEFORE, ...classes.map(classColumn), ...AFTER];
  const table = all.map((row) => {
    const fields = fieldsOf(row);
    return columns.map((column) => fields[column] ?? "");
  });
  return [columns, ...table].map((row) => row.map(field).join(",")).join("\n") + "\n";
}

function classColumn(name: string): string {
  return [...BEFORE, ...AFTER].includes(name) ? `probability_${name}` : name;
}

/** By column; what does not apply is missing. */
function fieldsOf({ result, slice }: Row): Fields {
  const about = { path: result.path, slice: slice === null ? "" : String(slice), notice: NOTICE };
  if (isFailure(result)) return { ...about, decision: "failed", error_kind: result.error.kind, error_message: result.error.message };
  const { decision, label, summary, reason, tumor_probability, prediction_set, model } = result;
  const shares = Object.entries(result.probabilities ?? {}).map(([name, share]) => [classColumn(name), share.toFixed(6)]);
  return {
    ...about, decision, label: label ?? "", summary, reason, tumor_probability: tumor_probability?.toFixed(6) ?? "",
    ...Object.fromEntries(shares), prediction_set: prediction_set?.join(" ") ?? "", sequence: "sequence" in result ? (result.sequence?.name ?? "") : "",
    model_name: model.name, model_version: model.version, model_sha256: model.sha256, ...(isVolume(result) ? volumeFields(result) : {}),
  };
}

function volumeFields({ slices, finding, series }: VolumePrediction): Fields {
  return {
    slices: String(slices.length), finding_first: String(finding?.first ?? ""), finding_middle: String(finding?.middle ?? ""),
    finding_last: String(finding?.last ?? ""), finding_side: finding?.side ?? "",
    series_description: series?.description ?? "", series_instance_uid: series?.series_instance_uid ?? "",
  };
}

/** Quoted where needed; what a spreadsheet would take for a formula gets an apostrophe (`tumorlens/files.py`). */
function field(value: string): string {
  const safe = /^'*[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
