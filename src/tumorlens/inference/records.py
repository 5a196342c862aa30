"""Predictions as JSON lines and CSV: one record an input, whether it worked or not.

A path that is not UTF-8 (lone surrogates, PEP 383) keeps its exact bytes in JSON as ``\\udcXX``
escapes: ``os.fsencode(json.loads(line)["path"])`` gives them back.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tumorlens.inference.classifier import Failure, Prediction
from tumorlens.inference.volume import Result, VolumePrediction
from tumorlens.labels import CLASSES

_DIGITS: Final = 6
CSV_COLUMNS: Final = (
    "path", "label", *CLASSES, "model_name", "model_version", "model_sha256",
    "error_kind", "error_message", "slices", "finding_first", "finding_middle", "finding_last",
)  # fmt: skip


def json_line(result: Result) -> bytes:
    """One line of UTF-8 JSON.

    Either ``path``, ``label``, ``probabilities`` (keyed by class), ``model`` (``name``,
    ``version``, ``sha256``), or ``path`` and ``error`` (``kind``, ``message``). A volume also has
    ``finding``, ``slices``, ``series`` and ``notes``, the fields of ``volume.VolumePrediction``.
    """
    record: dict[str, Any] = msgspec.to_builtins(result)
    for part in (record, *record.get("slices", ())):
        if "probabilities" in part:
            part["probabilities"] = {
                name: round(value, _DIGITS) for name, value in part["probabilities"].items()
            }
    # For a lone surrogate "backslashreplace" writes \udcXX: in a JSON string, its very escape.
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def csv_header() -> bytes:
    """The line of column names."""
    return _csv_line(CSV_COLUMNS)


def csv_line(result: Result) -> bytes:
    """One row under ``csv_header``; fields that do not apply are empty.

    Of a volume the answer for the whole, how many slices it has, and those of the finding.
    """
    if isinstance(result, Failure):
        blank = [""] * (len(CSV_COLUMNS) - 7)
        error = result.error
        return _csv_line([result.path, *blank, error.kind, error.message, *[""] * 4])
    shares = [f"{result.probabilities[name]:.{_DIGITS}f}" for name in CLASSES]
    model = result.model
    return _csv_line(
        [result.path, result.label, *shares, model.name, model.version, model.sha256, "", "",
         *_volume_fields(result)]
    )  # fmt: skip


def _volume_fields(result: Prediction | VolumePrediction) -> list[str]:
    if isinstance(result, Prediction):
        return [""] * 4
    found = result.finding
    where = (
        ["", "", ""] if found is None else [str(found.first), str(found.middle), str(found.last)]
    )
    return [str(len(result.slices)), *where]


def _csv_line(fields: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(fields)
    return out.getvalue().encode("utf-8", "backslashreplace")
