"""Records for programs, with paths that try to break them."""

import csv
import io
import json
import os

import pytest
from tests.answers import MODEL, REASON, image, shares, volume

from tumorlens.errors import CorruptInputError
from tumorlens.inference.record import Decision, Failure, Finding
from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.reporting.records import csv_columns, csv_header, csv_line, json_line

SHARES = {"glioma": 0.9, "meningioma": 0.05, "notumor": 0.04, "pituitary": 0.01}
ODD_PATHS = [
    "a.png", "[bold]x[/]", "new\nline", "carriage\rreturn", 'quo"te,comma', "tab\t\x1b[31m",
    "日本/é.png", "",
]  # fmt: skip


def failed(path: str) -> Failure:
    return Failure.of(path, CorruptInputError(f"{path}: damaged png"))


@pytest.mark.parametrize("path", ODD_PATHS)
def test_json(path: str) -> None:
    line = json_line(image(path, probabilities=SHARES))
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "path": path,
        "decision": "classified",
        "label": "glioma",
        "summary": "Tumour likely (96%). Kind: glioma 90%.",
        "reason": "",
        "tumor_probability": 0.96,
        "probabilities": SHARES,
        "prediction_set": None,
        "sequence": None,
        "model": {"name": "tiny", "version": "1.2", "sha256": MODEL.sha256, "classes": None},
        "notes": [],
        "heatmap": None,
    }
    assert json.loads(json_line(failed(path))) == {
        "path": path,
        "error": {"kind": "corrupt", "message": f"{path}: damaged png"},
    }


@pytest.mark.parametrize("decision", ["detected", "abstained", "rejected"])
def test_what_is_held_back_has_a_reason_and_no_label(decision: Decision) -> None:
    held = image(decision=decision)
    record = json.loads(json_line(held))
    assert (record["decision"], record["label"], record["reason"]) == (decision, None, REASON)
    assert (record["probabilities"] is None) == (decision == "rejected")
    assert (record["tumor_probability"] is None) == (decision == "rejected")
    text = (csv_header() + csv_line(held)).decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["decision"], row["label"], row["reason"]) == (decision, "", REASON)
    assert bool(row["notumor"]) == (decision != "rejected")
    assert bool(row["tumor_probability"]) == (decision != "rejected")


def test_json_keeps_the_bytes_of_a_path_that_is_not_utf8() -> None:
    name = b"caf\xe9\xff.png"
    line = json_line(failed(os.fsdecode(name)))
    line.decode("ascii")
    assert os.fsencode(json.loads(line)["path"]) == name


@pytest.mark.parametrize("path", ODD_PATHS)
def test_csv(path: str) -> None:
    good_line = csv_line(image(path, probabilities=SHARES))
    text = (csv_header() + good_line + csv_line(failed(path))).decode()
    good, bad = csv.DictReader(io.StringIO(text, newline=""))
    assert tuple(good) == csv_columns()
    assert (good["path"], good["label"], good["error_kind"]) == (path, "glioma", "")
    assert {name: float(good[name]) for name in SHARES} == SHARES
    assert (bad["path"], bad["decision"], bad["label"]) == (path, "failed", "")
    assert (bad["error_kind"], bad["error_message"]) == ("corrupt", f"{path}: damaged png")
    assert {good["notice"], bad["notice"]} == {RESEARCH_NOTICE}


def test_csv_of_a_volume_and_a_set() -> None:
    found = Finding(first=3, middle=4, last=6, side="left")
    one = volume(finding=found, prediction_set=("pituitary", "glioma"))
    text = (csv_header() + csv_line(one) + csv_line(image(decision="rejected"))).decode()
    given, rejected = csv.DictReader(io.StringIO(text, newline=""))
    assert given["prediction_set"] == "pituitary glioma"
    assert (given["slices"], given["finding_middle"], given["finding_side"]) == ("240", "4", "left")
    assert rejected["prediction_set"] == ""


def test_csv_of_a_path_that_is_not_utf8() -> None:
    assert csv_line(image("\udcff.png")).startswith(b"\\udcff.png,classified,glioma,")
    assert shares(glioma=0.2)["notumor"] == pytest.approx(0.8)
