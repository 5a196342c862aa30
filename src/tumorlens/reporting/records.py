"""Predictions as JSON lines and CSV: one record for each input, also for failures.

A path that is not UTF-8 (lone surrogates, PEP 383) keeps its exact bytes in JSON as ``\\udcXX``
escapes: ``os.fsencode(json.loads(line)["path"])`` gives them back.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tumorlens.files import csv_row, spreadsheet_safe
from tumorlens.inference.record import Failure, Result, StudyPrediction, VolumePrediction
from tumorlens.labels import CLASSES, RESEARCH_NOTICE

_DIGITS: Final = 6
_BEFORE: Final = ("path", "decision", "label", "summary", "reason", "tumor_probability")
_AFTER: Final = (
    "prediction_set", "sequence", "model_name", "model_version", "model_sha256", "error_kind",
    "error_message", "slices", "finding_first", "finding_middle", "finding_last", "finding_side",
    "series_description", "series_instance_uid", "notice",
)  # fmt: skip


def csv_columns(classes: Sequence[str] = CLASSES) -> tuple[str, ...]:
    """Names of the columns; one with a probability for each class of the model.

    A class with the name of another column gets the prefix ``probability_``.
    """
    return (*_BEFORE, *map(_class_column, classes), *_AFTER)


def record(result: Result) -> dict[str, Any]:
    """The JSON record of one input, as builtin types: the fields of ``inference.record``."""
    fields: dict[str, Any] = msgspec.to_builtins(result)
    for part in (fields, *fields.get("slices", ()), *fields.get("members", ())):
        if part.get("tumor_probability") is not None:
            part["tumor_probability"] = round(part["tumor_probability"], _DIGITS)
        if part.get("probabilities") is not None:
            rounded = {name: round(value, _DIGITS) for name, value in part["probabilities"].items()}
            part["probabilities"] = rounded
    return fields


def json_line(result: Result) -> bytes:
    """``record`` as one line of UTF-8 JSON."""
    # "backslashreplace" writes a lone surrogate as \udcXX, which is its escape in JSON.
    text = json.dumps(record(result), ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def csv_header(classes: Sequence[str] = CLASSES) -> bytes:
    """The line of column names."""
    columns = csv_columns(classes)
    return _csv_line(dict(zip(columns, columns, strict=True)), columns)


def csv_line(result: Result, classes: Sequence[str] = CLASSES) -> bytes:
    """One row under ``csv_header``; fields that do not apply are empty.

    For a volume: the answer for the whole, the number of slices, and the slices of the finding.
    """
    columns = csv_columns(classes)
    fields = {"path": result.path, "decision": result.decision, "notice": RESEARCH_NOTICE}
    if isinstance(result, Failure):
        failure = {"error_kind": result.error.kind, "error_message": result.error.message}
        return _csv_line(fields | failure, columns)
    model = result.model
    fields |= {
        "label": result.label or "", "summary": result.summary, "reason": result.reason,
        "prediction_set": " ".join(result.prediction_set or ()), "model_name": model.name,
        "model_version": model.version, "model_sha256": model.sha256,
    }  # fmt: skip
    for name, share in (result.probabilities or {}).items():
        fields[_class_column(name)] = f"{share:.{_DIGITS}f}"
    if result.tumor_probability is not None:
        fields["tumor_probability"] = f"{result.tumor_probability:.{_DIGITS}f}"
    if not isinstance(result, StudyPrediction) and result.sequence is not None:
        fields["sequence"] = result.sequence.name
    if isinstance(result, VolumePrediction):
        fields |= _volume_fields(result)
    return _csv_line(fields, columns)


def _class_column(name: str) -> str:
    return f"probability_{name}" if name in (*_BEFORE, *_AFTER) else name


def _volume_fields(result: VolumePrediction) -> dict[str, str]:
    fields = {"slices": str(len(result.slices))}
    if (finding := result.finding) is not None:
        fields |= {
            "finding_first": str(finding.first),
            "finding_middle": str(finding.middle),
            "finding_last": str(finding.last),
            "finding_side": finding.side or "",
        }
    if (series := result.series) is not None:
        fields["series_description"] = series.description or ""
        fields["series_instance_uid"] = series.series_instance_uid or ""
    return fields


def _csv_line(fields: Mapping[str, str], columns: Sequence[str]) -> bytes:
    """Write ``fields`` by column, safe for spreadsheets; missing ones are empty."""
    cells = (spreadsheet_safe(fields.get(name, "")) for name in columns)
    return csv_row(cells).encode("utf-8", "backslashreplace")
