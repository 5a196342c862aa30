"""Records for programs, with paths that try to break them."""

import csv
import io
import json
import os

import msgspec
import pytest
from tests.answers import MODEL, REASON, image, member, series, shares, study, volume

from tumorlens.errors import CorruptInputError
from tumorlens.inference.record import Decision, Failure, Finding, SequenceAnswer
from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.reporting.records import csv_columns, csv_header, csv_line, json_line, record

SHARES = {"glioma": 0.9, "meningioma": 0.05, "notumor": 0.04, "pituitary": 0.01}
ODD_PATHS = [
    "a.png", "[bold]x[/]", "new\nline", "carriage\rreturn", 'quo"te,comma', "tab\t\x1b[31m",
    "日本/é.png", "",
]  # fmt: skip


def failed(path: str) -> Failure:
    return Failure.from_error(path, CorruptInputError(f"{path}: damaged png"))


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


def _row(line: bytes, classes: tuple[str, ...] = tuple(SHARES)) -> dict[str, str]:
    text = (csv_header(classes) + line).decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    return row


def test_a_class_that_is_called_as_another_column_gets_one_of_its_own() -> None:
    classes = ("label", "slices", "cyst")
    columns = csv_columns(classes)
    assert len(set(columns)) == len(columns)
    assert {"probability_label", "probability_slices", "cyst", "label", "slices"} <= set(columns)
    answer = image("a.png", probabilities=SHARES)
    other = msgspec.structs.replace(
        answer, probabilities={"label": 0.7, "slices": 0.2, "cyst": 0.1}
    )
    row = _row(csv_line(other, classes), classes)
    assert (row["probability_label"], row["probability_slices"], row["cyst"]) == (
        "0.700000", "0.200000", "0.100000",
    )  # fmt: skip
    assert (row["label"], row["slices"]) == ("glioma", "")


def test_probabilities_have_six_decimals_wherever_they_stand() -> None:
    third = {"glioma": 1 / 3, "meningioma": 2 / 3, "notumor": 1e-9, "pituitary": 0.0}
    answer = volume("v", probabilities=third, depth=1)
    part = msgspec.structs.replace(
        answer.slices[0], probabilities=third, tumor_probability=0.12345678
    )
    made = record(msgspec.structs.replace(answer, slices=(part,)))
    rounded = {"glioma": 0.333333, "meningioma": 0.666667, "notumor": 0.0, "pituitary": 0.0}
    assert made["probabilities"] == made["slices"][0]["probabilities"] == rounded
    assert (made["tumor_probability"], made["slices"][0]["tumor_probability"]) == (1.0, 0.123457)
    row = _row(csv_line(answer))
    assert (row["glioma"], row["notumor"]) == ("0.333333", "0.000000")


def test_the_members_of_a_study_are_rounded_too() -> None:
    made = record(study(member("a", 1.0, 0.12345678, "T1"), member("b", 0.0, None, None)))
    assert [one["tumor_probability"] for one in made["members"]] == [0.123457, None]


def test_a_study_is_a_row_of_what_it_says_as_a_whole() -> None:
    row = _row(csv_line(study(member("a", 1.0, 0.5, "T1"))))
    assert (row["path"], row["label"], row["glioma"]) == ("study", "glioma", "0.850000")
    assert row["sequence"] == row["slices"] == row["finding_first"] == ""


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x", "'=x"])
def test_no_path_is_a_formula_of_a_spreadsheet(name: str) -> None:
    assert _row(csv_line(image(name)))["path"] == f"'{name}"


def test_the_series_of_a_volume_and_the_sequence_of_an_image_have_columns() -> None:
    described = msgspec.structs.replace(series("t2 tse"), series_instance_uid="1.2.3")
    row = _row(csv_line(volume("v", series=described, depth=7)))
    assert (row["series_description"], row["series_instance_uid"]) == ("t2 tse", "1.2.3")
    assert (row["slices"], row["finding_first"]) == ("7", "")
    told = image("a.png", sequence=SequenceAnswer(name="T2", probability=0.9))
    assert _row(csv_line(told))["sequence"] == "T2"


def test_csv_names_the_model_and_both_ends_of_the_finding() -> None:
    row = _row(csv_line(volume("v", finding=Finding(first=3, middle=4, last=6))))
    ends = [row[f"finding_{end}"] for end in ("first", "middle", "last")]
    assert (ends, row["finding_side"]) == (["3", "4", "6"], "")
    model = [row[f"model_{part}"] for part in ("name", "version", "sha256")]
    assert model == [MODEL.name, MODEL.version, MODEL.sha256]
    assert row["summary"] == "Tumour likely (85%). Kind: pituitary tumour 85%."
