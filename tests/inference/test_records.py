"""Records for programs, with paths that try to break them."""

import csv
import io
import json
import os

import pytest

from tumorlens.errors import CorruptInputError
from tumorlens.inference.classifier import Failure, ModelIdentity, Prediction
from tumorlens.inference.decision import Decision
from tumorlens.inference.records import CSV_COLUMNS, csv_header, csv_line, json_line

SHARES = {"glioma": 0.9, "meningioma": 0.05, "notumor": 0.04, "pituitary": 0.01}
MODEL = ModelIdentity("tiny", "1", "ab" * 32)
ODD_PATHS = ["a.png", "[bold]x[/]", "new\nline", 'quo"te,comma', "tab\t\x1b[31m", "日本/é.png", ""]


def predicted(path: str) -> Prediction:
    return Prediction(path, "classified", "glioma", "", SHARES, MODEL)


def held_back(decision: Decision) -> Prediction:
    return Prediction("a.png", decision, None, "because", SHARES, MODEL)


def failed(path: str) -> Failure:
    return Failure.of(path, CorruptInputError(f"{path}: damaged png"))


@pytest.mark.parametrize("path", ODD_PATHS)
def test_json(path: str) -> None:
    line = json_line(predicted(path))
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "path": path,
        "decision": "classified",
        "label": "glioma",
        "reason": "",
        "probabilities": SHARES,
        "model": {"name": "tiny", "version": "1", "sha256": "ab" * 32},
        "prediction_set": None,
    }
    assert json.loads(json_line(failed(path))) == {
        "path": path,
        "error": {"kind": "corrupt", "message": f"{path}: damaged png"},
    }


@pytest.mark.parametrize("decision", ["abstained", "rejected"])
def test_what_is_held_back_has_a_reason_and_no_label(decision: Decision) -> None:
    record = json.loads(json_line(held_back(decision)))
    assert (record["decision"], record["label"], record["reason"]) == (decision, None, "because")
    assert record["probabilities"] == (SHARES if decision == "abstained" else None)
    text = (csv_header() + csv_line(held_back(decision))).decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["decision"], row["label"], row["reason"]) == (decision, "", "because")
    assert bool(row["notumor"]) == (decision == "abstained")


def test_json_keeps_the_bytes_of_a_path_that_is_not_utf8() -> None:
    name = b"caf\xe9\xff.png"
    line = json_line(failed(os.fsdecode(name)))
    line.decode("ascii")
    assert os.fsencode(json.loads(line)["path"]) == name


@pytest.mark.parametrize("path", ODD_PATHS)
def test_csv(path: str) -> None:
    text = (csv_header() + csv_line(predicted(path)) + csv_line(failed(path))).decode()
    good, bad = csv.DictReader(io.StringIO(text, newline=""))
    assert tuple(good) == CSV_COLUMNS
    assert (good["path"], good["label"], good["error_kind"]) == (path, "glioma", "")
    assert {name: float(good[name]) for name in SHARES} == SHARES
    assert (bad["path"], bad["label"], bad["error_kind"]) == (path, "", "corrupt")
    assert bad["error_message"] == f"{path}: damaged png"


def test_a_prediction_set() -> None:
    left = ("glioma", "meningioma")
    answer = Prediction("a.png", "classified", "glioma", "", SHARES, MODEL, left)
    assert json.loads(json_line(answer))["prediction_set"] == list(left)
    text = (csv_header() + csv_line(answer) + csv_line(held_back("rejected"))).decode()
    given, refused = csv.DictReader(io.StringIO(text, newline=""))
    assert given["prediction_set"] == "glioma meningioma"
    assert refused["prediction_set"] == ""


def test_csv_of_a_path_that_is_not_utf8() -> None:
    assert csv_line(predicted("\udcff.png")).startswith(b"\\udcff.png,classified,glioma,")
