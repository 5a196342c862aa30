"""The page of an evaluation: its numbers in words, its figures, and its wrong answers."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.answers import shares
from tests.evaluated import evaluated, record

from tumorlens.datasets.manifest import Manifest
from tumorlens.evaluation.conformal import Covered, Sets
from tumorlens.evaluation.resampling import Estimate
from tumorlens.inference.classifier import Classifier
from tumorlens.reporting import evaluation_report
from tumorlens.reporting.comparison_report import decided, show_difference
from tumorlens.reporting.evaluation_report import mistakes, set_rows, show, show_rate

NONE = float("nan")


@pytest.mark.parametrize(
    ("name", "estimate", "said"),
    [
        ("accuracy", Estimate(0.98437, 0.9753, 0.9916), "98.44% (97.53 to 99.16)"),
        ("missed_tumor_rate", Estimate(0.0, 0.0, 0.0), "0.00% (0.00 to 0.00)"),
        ("false_alarm_rate", Estimate(0.5, NONE, NONE), "50.00% (no interval)"),
        ("sensitivity", Estimate(NONE, NONE, NONE), "undefined"),
        ("specificity", Estimate(1.0, 0.9, 1.0), "100.00% (90.00 to 100.00)"),
        ("precision", Estimate(0.1, 0.05, 0.2), "10.00% (5.00 to 20.00)"),
        ("log_loss", Estimate(0.06123, 0.041, 0.08531), "0.0612 (0.0410 to 0.0853)"),
        ("f1", Estimate(0.9, NONE, NONE), "0.9000 (no interval)"),
        ("macro_auroc", Estimate(NONE, NONE, NONE), "undefined"),
    ],
)
def test_shares_are_percent_and_scores_are_not(name: str, estimate: Estimate, said: str) -> None:
    assert show(name, estimate) == said


def test_a_share_in_a_small_table_has_one_decimal() -> None:
    assert show_rate(Estimate(0.98437, 0.9753, 0.9916)) == "98.4% (97.5 to 99.2)"
    assert show_rate(Estimate(0.5, NONE, NONE)) == "50.0% (no interval)"
    assert show_rate(Estimate(NONE, NONE, NONE)) == "undefined"


@pytest.mark.parametrize(
    ("low", "high", "sure"), [(0.01, 0.2, True), (-0.2, -0.01, True), (-0.1, 0.1, False),
                              (0.0, 0.1, False), (NONE, NONE, False)],
)  # fmt: skip
def test_a_difference_is_decided_by_an_interval_without_zero(
    low: float, high: float, sure: bool
) -> None:
    estimate = Estimate(0.05, low, high)
    assert decided(estimate) is sure
    assert show_difference("accuracy", estimate).startswith("+5.00 points (")


def test_rows_of_sets_are_of_all_then_by_decision_then_by_label() -> None:
    one = Estimate(1.0, 1.0, 1.0)
    covered = [Covered(n, one, (0.9, 1.0), one, one) for n in range(4)]
    by_label = {"glioma": covered[2], "tumor": covered[3]}
    rows = set_rows(Sets(0.95, covered[0], {"detected": covered[1]}, by_label, 0))
    assert [name for name, _ in rows] == ["all images", "detected", "glioma", "tumor"]
    assert [row.images for _, row in rows] == [0, 1, 2, 3]


@pytest.mark.parametrize(("images", "figures"), [(49, 0), (50, 3)])
def test_a_subset_of_few_images_has_no_figures(
    classifier: Classifier, images: int, figures: int
) -> None:
    answers = [
        (record(f"{k}.png", label), shares(**{label: 0.6}))
        for k, label in enumerate(("glioma", "notumor", "glioma") * 17)
    ]
    evaluation = evaluated(classifier, answers, twins=[k >= images for k in range(51)])
    whole, rest = evaluation.measured
    drawn = [figure.file for figure in evaluation_report.draw(evaluation, rest)]
    kinds = ("confusion", "reliability", "roc")
    assert drawn == [f"{kind}_{rest.subset.name}.png" for kind in kinds][:figures]
    assert (whole.images, rest.images) == (51, images)


def test_wrong_answers_are_shown_with_what_the_truth_was_given(
    classifier: Classifier, tmp_path: Path
) -> None:
    """Of a tumour of unknown kind, the truth is all kinds together."""
    answers = [
        (record("a/b/c/sure.png", "notumor", group="P1"), shares(glioma=0.5, pituitary=0.3)),
        (record("right.png", "glioma"), shares(glioma=0.95)),
        (record("any.png", "tumor"), shares(glioma=0.1, meningioma=0.15, pituitary=0.05)),
    ]
    for image, _ in answers:
        (tmp_path / image.path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (64, 1))).save(tmp_path / image.path)
    evaluation = evaluated(classifier, answers)
    manifest = Manifest(evaluation.records, tmp_path)
    any_kind, sure = mistakes(evaluation, manifest)
    assert (any_kind.label, any_kind.predicted, any_kind.path) == ("tumor", "notumor", "any.png")
    assert any_kind.confidence == pytest.approx(0.7)
    assert any_kind.probability_of_truth == pytest.approx(0.3)
    assert (sure.label, sure.predicted, sure.group) == ("notumor", "glioma", "P1")
    assert (sure.confidence, sure.probability_of_truth) == pytest.approx((0.5, 0.2))
    assert sure.path == "b/c/sure.png"
    assert sure.image.startswith("data:image/jpeg;base64,")
    unwrong = dataclasses.replace(evaluation, probabilities=np.eye(4)[[2, 0, 1]])
    assert mistakes(unwrong, manifest) == []
