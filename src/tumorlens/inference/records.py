"""Predictions as JSON lines and CSV: one record a picture, whether it worked or not.

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
from tumorlens.inference.decision import REJECTED
from tumorlens.labels import CLASSES

_DIGITS: Final = 6
CSV_COLUMNS: Final = (
    "path", "decision", "label", "reason", *CLASSES, "model_name", "model_version", "model_sha256",
    "error_kind", "error_message",
)  # fmt: skip


def record(result: Prediction | Failure) -> dict[str, Any]:
    """What JSON says of one picture, as builtin types.

    Either ``path``, ``decision``, ``label`` (null unless ``decision`` is ``classified``),
    ``reason``, ``probabilities`` (keyed by class; null where ``decision`` is ``rejected``),
    ``model`` (``name``, ``version``, ``sha256``) and, where it was asked for, ``heatmap``
    (``label``, ``square``, ``grid``, ``peak``, ``box``); or ``path`` and ``error`` (``kind``,
    ``message``).
    """
    made: dict[str, Any] = msgspec.to_builtins(result)
    if isinstance(result, Prediction):
        shares = {name: round(value, _DIGITS) for name, value in result.probabilities.items()}
        made["probabilities"] = None if result.decision == REJECTED else shares
        if result.heatmap is None:
            del made["heatmap"]
        else:
            made["heatmap"]["square"] = result.heatmap.square._asdict()
    return made


def json_line(result: Prediction | Failure) -> bytes:
    """``record`` as one line of UTF-8 JSON."""
    # For a lone surrogate "backslashreplace" writes \udcXX: in a JSON string, its very escape.
    text = json.dumps(record(result), ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def csv_header() -> bytes:
    """The line of column names."""
    return _csv_line(CSV_COLUMNS)


def csv_line(result: Prediction | Failure) -> bytes:
    """One row under ``csv_header``; fields that do not apply are empty."""
    if isinstance(result, Failure):
        blank = [""] * (len(CSV_COLUMNS) - 3)
        return _csv_line([result.path, *blank, result.error.kind, result.error.message])
    shares = [f"{result.probabilities[name]:.{_DIGITS}f}" for name in CLASSES]
    if result.decision == REJECTED:
        shares = [""] * len(CLASSES)
    model = [result.model.name, result.model.version, result.model.sha256]
    answer = [result.decision, result.label or "", result.reason]
    return _csv_line([result.path, *answer, *shares, *model, "", ""])


def _csv_line(fields: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(fields)
    return out.getvalue().encode("utf-8", "backslashreplace")
