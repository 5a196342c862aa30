"""Predictions as JSON lines and CSV: one record an input, whether it worked or not.

A path that is not UTF-8 (lone surrogates, PEP 383) keeps its exact bytes in JSON as ``\\udcXX``
escapes: ``os.fsencode(json.loads(line)["path"])`` gives them back.
"""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tumorlens.files import spreadsheet_safe
from tumorlens.inference.classifier import Failure, Prediction
from tumorlens.inference.decision import REJECTED
from tumorlens.inference.volume import Result, VolumePrediction
from tumorlens.labels import CLASSES

_DIGITS: Final = 6
CSV_COLUMNS: Final = (
    "path", "decision", "label", "reason", *CLASSES, "prediction_set", "model_name",
    "model_version", "model_sha256", "error_kind", "error_message", "slices", "finding_first",
    "finding_middle", "finding_last", "series_description", "series_instance_uid",
)  # fmt: skip


def record(result: Result) -> dict[str, Any]:
    """What JSON says of one input, as builtin types.

    Either ``path``, ``decision``, ``label`` (null unless ``decision`` is ``classified``),
    ``reason``, ``probabilities`` (keyed by class; null where ``decision`` is ``rejected``),
    ``model`` (``name``, ``version``, ``sha256``), ``prediction_set`` (the classes not excluded, the
    most probable first; null where ``decision`` is ``rejected`` or the bundle has no rule for it),
    where there are some ``notes`` (what was left out or assumed) and, where it was asked for,
    ``heatmap`` (``label``, ``square``, ``grid``, ``peak``, ``box``); or ``path`` and ``error``
    (``kind``, ``message``). A volume also has ``finding``, ``slices``, ``series`` and always
    ``notes``, the fields of ``volume.VolumePrediction``.
    """
    made: dict[str, Any] = msgspec.to_builtins(result)
    for part in (made, *made.get("slices", ())):
        if "probabilities" in part:
            probabilities = {
                name: round(value, _DIGITS) for name, value in part["probabilities"].items()
            }
            part["probabilities"] = None if part["decision"] == REJECTED else probabilities
    if isinstance(result, Prediction) and not result.notes:
        del made["notes"]
    if not isinstance(result, Failure):
        if result.heatmap is None:
            del made["heatmap"]
        else:
            made["heatmap"]["square"] = result.heatmap.square._asdict()
    return made


def json_line(result: Result) -> bytes:
    """``record`` as one line of UTF-8 JSON."""
    # For a lone surrogate "backslashreplace" writes \udcXX: in a JSON string, its very escape.
    text = json.dumps(record(result), ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def csv_header() -> bytes:
    """The line of column names."""
    return _csv_line(dict(zip(CSV_COLUMNS, CSV_COLUMNS, strict=True)))


def csv_line(result: Result) -> bytes:
    """One row under ``csv_header``; fields that do not apply are empty.

    Of a volume the answer for the whole, how many slices it has, and those of the finding.
    """
    if isinstance(result, Failure):
        error = result.error
        return _csv_line(
            {"path": result.path, "error_kind": error.kind, "error_message": error.message}
        )
    model = result.model
    fields = {
        "path": result.path, "decision": result.decision, "label": result.label or "",
        "reason": result.reason, "model_name": model.name, "model_version": model.version,
        "model_sha256": model.sha256,
    }  # fmt: skip
    if result.decision != REJECTED:
        fields |= {name: f"{result.probabilities[name]:.{_DIGITS}f}" for name in CLASSES}
    fields["prediction_set"] = " ".join(result.prediction_set or ())
    if isinstance(result, VolumePrediction):
        fields |= _volume_fields(result)
    return _csv_line(fields)


def _volume_fields(result: VolumePrediction) -> dict[str, str]:
    fields = {"slices": str(len(result.slices))}
    if (found := result.finding) is not None:
        fields |= {
            "finding_first": str(found.first),
            "finding_middle": str(found.middle),
            "finding_last": str(found.last),
        }
    if (series := result.series) is not None:
        fields["series_description"] = series.description or ""
        fields["series_instance_uid"] = series.series_instance_uid or ""
    return fields


def _csv_line(fields: Mapping[str, str]) -> bytes:
    """Write ``fields`` by column, as text for a spreadsheet; those not given are empty."""
    out = io.StringIO()
    safe = {name: spreadsheet_safe(value) for name, value in fields.items()}
    csv.DictWriter(out, CSV_COLUMNS, restval="", lineterminator="\n").writerow(safe)
    return out.getvalue().encode("utf-8", "backslashreplace")
