"""The report of a calibration to a site: which images were left out, and what is not known."""

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.evaluated import record

from tumorlens import bundle
from tumorlens.bundle import SiteCalibration
from tumorlens.evaluation.drift import Observed
from tumorlens.evaluation.site import LocalCases, SiteResult
from tumorlens.evaluation.site_calibration import SiteFit
from tumorlens.evaluation.site_performance import NAMES, Performance
from tumorlens.evaluation.training_images import TrainingImages
from tumorlens.reporting import site_report

BEFORE = Performance(0, 1 / 8, 2 / 8, 3 / 8, 4 / 8, 5 / 8, 6 / 8, 1.5)
AFTER = dataclasses.replace(BEFORE, accuracy=float("nan"), coverage=0.9512, mean_size=2.0)


@pytest.fixture(scope="module")
def calibrated(tiny_bundle: Path) -> SiteResult:
    """Two images of a patient and one of nobody known, none of which the parent was trained on."""
    parent = bundle.load(tiny_bundle)
    trained = TrainingImages.from_records([record("old.png", "glioma")]).listed
    site = SiteCalibration(
        parent_name="tiny", parent_version="1.2.3", parent_sha256="a" * 64, data_sha256="b" * 64,
        patients=2, images=3, by_class={"glioma": 2}, seen_images="",
    )  # fmt: skip
    parent = _with(parent, training={"seen_images": trained})
    patients = ("P", "P", "")
    records = tuple(record(f"{k}.png", "glioma", group=name) for k, name in enumerate(patients))
    observed = Observed(np.zeros((3, 4)), np.zeros((3, 8)), {}, None)
    return SiteResult(
        parent=parent,
        bundle=_with(parent, site=site, name="ours"),
        cases=LocalCases(records, observed, 0, 0, 0, (None,) * 3),
        fit=SiteFit(1.25, parent.info.decision, None, ("temperature",), ("the rest",)),
        before=BEFORE,
        after=AFTER,
        shifts=None,
    )


def _with(parent: bundle.Bundle, **changes: Any) -> bundle.Bundle:
    return dataclasses.replace(parent, info=msgspec.structs.replace(parent.info, **changes))


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ({"rejected": 3}, "Not used: 3 images that the gate rejected."),
        ({"no_class": 1}, "Not used: 1 image of none of the classes."),
        ({"repeated": 5}, "Not used: 5 rows with an image of another row."),
    ],
)
def test_images_that_were_not_used_are_counted(
    calibrated: SiteResult, left_out: dict[str, Any], said: str
) -> None:
    cases = dataclasses.replace(calibrated.cases, **left_out)
    remarks = site_report.remarks(dataclasses.replace(calibrated, cases=cases))
    assert remarks[0] == said
    assert remarks[1:] == site_report.remarks(calibrated), "the others were zero, and are not said"


def test_unknown_patients_weaken_the_guarantees(calibrated: SiteResult) -> None:
    (remark,) = site_report.remarks(calibrated)
    assert remark.startswith("The patient of 1 of 3 images is not known")
    known = tuple(dataclasses.replace(r, group="P") for r in calibrated.cases.records)
    cases = dataclasses.replace(calibrated.cases, records=known)
    assert site_report.remarks(dataclasses.replace(calibrated, cases=cases)) == []


def test_a_parent_that_lists_no_images_may_have_seen_these(calibrated: SiteResult) -> None:
    parent = _with(calibrated.parent, training={"data": "none"})
    first, *_ = site_report.remarks(dataclasses.replace(calibrated, parent=parent))
    assert first.startswith("tiny does not list the images that trained it")


def test_without_a_measurement_none_is_shown(calibrated: SiteResult) -> None:
    alone = dataclasses.replace(calibrated, after=None)
    assert site_report.remarks(alone)[-1] == "Too few patients to cross-validate."
    assert [after for _, _, after in site_report.performance_rows(alone)] == ["-"] * len(NAMES)
    assert site_report.as_dict(alone)["after_cross_validated"] is None


def test_performance_is_shown_before_and_after(calibrated: SiteResult) -> None:
    rows = site_report.performance_rows(calibrated)
    assert [row[1:] for row in rows] == [
        ("0.0%", "0.0%"),
        ("12.5%", "12.5%"),
        ("25.0%", "-"),
        ("37.5%", "37.5%"),
        ("50.0%", "50.0%"),
        ("62.5%", "95.1%"),
        ("75.0%", "75.0%"),
        ("1.50", "2.00"),
    ]
    assert [rows[k][0] for k in (2, 3, 7)] == [
        "correct, of those classified",
        "tumours reported as no tumour",
        "classes in a set",
    ]


def test_the_record_of_a_calibration(calibrated: SiteResult) -> None:
    cases = dataclasses.replace(calibrated.cases, rejected=2)
    found = site_report.as_dict(dataclasses.replace(calibrated, cases=cases))
    assert (found["name"], found["parent"]["name"], found["temperature"]) == ("ours", "tiny", 1.25)
    assert (found["patients"], found["images"], found["rejected"]) == (2, 3, 2)
    assert (found["fitted"], found["kept"]) == (["temperature"], ["the rest"])
    assert found["before"]["accuracy"] == 0.25
    assert found["after_cross_validated"]["accuracy"] is None, "undefined is null, not NaN"
    assert found["after_cross_validated"]["coverage"] == 0.9512
    assert found["drift"] is None
    assert found["prediction_sets"] is None


def test_the_page_says_what_it_leaves_out(calibrated: SiteResult, tmp_path: Path) -> None:
    page = site_report.write(tmp_path, calibrated).read_text("utf-8")
    assert site_report.NO_REFERENCE in page
    for remark in site_report.remarks(calibrated):
        assert remark in page
    assert (tmp_path / site_report.RECORD).is_file()
