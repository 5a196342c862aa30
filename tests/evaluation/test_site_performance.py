"""What a bundle does to the cases of a site, by hand; and measured on patients not fitted to."""

import dataclasses
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from tumorlens.bundle import BundleInfo, ConformalThresholds, DecisionRule, NetworkFacts
from tumorlens.config import PreprocessConfig
from tumorlens.evaluation.labelled_cases import LabelledCases
from tumorlens.evaluation.metrics import correct_of
from tumorlens.evaluation.site_performance import Performance, cross_validated, performance

RULE = DecisionRule(notumor_threshold=0.8, tumor_threshold=0.7, kind_threshold=0.75)
SETS = ConformalThresholds(coverage=0.9, thresholds=(0.05,) * 4)
INFO = BundleInfo(
    name="parent", version="1", preprocess=PreprocessConfig(image_size=64), temperature=2.0,
    decision=RULE, prediction_sets=SETS,
    network=NetworkFacts(architecture={}, parameters=1, macs=1), training={}, metrics={},
)  # fmt: skip

SURE_GLIOMA = (0.94, 0.02, 0.02, 0.02)
SURE_NONE = (0.02, 0.02, 0.94, 0.02)
SOME_TUMOR = (0.45, 0.45, 0.05, 0.05)
UNSURE = (0.3, 0.1, 0.5, 0.1)


def cases(*images: tuple[str, str, Sequence[float]]) -> LabelledCases:
    """(patient, label, probabilities) of each image."""
    groups, labels, rows = zip(*images, strict=True)
    logits = np.log(np.array(rows)) * INFO.temperature
    return LabelledCases(logits, correct_of(labels), groups, (None,) * len(groups))


def measured(*images: tuple[str, str, Sequence[float]]) -> Performance:
    return performance(INFO, cases(*images))


@pytest.mark.parametrize(
    ("label", "row", "classified", "answered"),
    [
        ("glioma", SURE_GLIOMA, 1, 1),
        ("notumor", SURE_NONE, 1, 1),
        ("glioma", SOME_TUMOR, 0, 1),
        ("glioma", UNSURE, 0, 0),
    ],
)
def test_a_tumour_of_no_named_kind_is_answered_but_not_classified(
    label: str, row: Sequence[float], classified: float, answered: float
) -> None:
    found = measured(("P1", label, row))
    assert (found.classified, found.answered) == (classified, answered)


def test_accuracy_is_over_the_classified_images() -> None:
    found = measured(
        ("P1", "glioma", SURE_GLIOMA),
        ("P2", "pituitary", SURE_GLIOMA),
        ("P3", "meningioma", SURE_GLIOMA),
        ("P4", "glioma", UNSURE),
    )
    assert found.accuracy == pytest.approx(1 / 3)


def test_missed_tumours_are_a_share_of_the_tumours_and_false_alarms_of_the_others() -> None:
    found = measured(
        ("P1", "glioma", SURE_NONE),
        ("P2", "glioma", SURE_GLIOMA),
        ("P3", "glioma", UNSURE),
        ("P4", "glioma", SOME_TUMOR),
        ("P5", "notumor", SURE_GLIOMA),
        ("P6", "notumor", SURE_NONE),
        ("P7", "notumor", UNSURE),
    )
    assert found.missed_tumor_rate == pytest.approx(1 / 4)
    assert found.false_alarm_rate == pytest.approx(1 / 3)


def test_each_patient_counts_once_however_many_images_there_are() -> None:
    found = measured(*[("P1", "glioma", SURE_GLIOMA)] * 9, ("P2", "glioma", SURE_NONE))
    assert found.missed_tumor_rate == pytest.approx(1 / 2)
    assert found.accuracy == pytest.approx(1 / 2)


def test_sets_cover_where_they_hold_a_right_class() -> None:
    found = measured(
        ("P1", "glioma", SURE_GLIOMA),
        ("P2", "meningioma", (0.8, 0.08, 0.02, 0.1)),
        ("P3", "notumor", SURE_GLIOMA),
    )
    assert found.coverage == pytest.approx(2 / 3)
    assert found.coverage_of_findings == 1.0
    assert found.mean_size == pytest.approx((1 + 3 + 1) / 3)


def test_of_a_tumour_of_unknown_kind_any_kind_is_right() -> None:
    found = measured(("P1", "tumor", SURE_GLIOMA), ("P2", "tumor", SURE_NONE))
    assert (found.accuracy, found.missed_tumor_rate, found.coverage) == (0.5, 0.5, 0.5)


def test_what_is_not_there_is_undefined_not_zero() -> None:
    found = measured(("P1", "notumor", UNSURE))
    undefined = {name for name, value in dataclasses.asdict(found).items() if np.isnan(value)}
    assert undefined == {
        "accuracy", "missed_tumor_rate", "coverage", "coverage_of_findings", "mean_size",
    }  # fmt: skip
    bare = msgspec.structs.replace(INFO, prediction_sets=None)
    assert np.isnan(performance(bare, cases(("P1", "glioma", SURE_GLIOMA))).coverage)


def test_the_temperature_of_the_bundle_holds() -> None:
    """At twice the temperature the same logits are less sure, and are held back."""
    some = cases(("P1", "glioma", SURE_GLIOMA))
    flat = msgspec.structs.replace(INFO, temperature=4 * INFO.temperature)
    assert performance(INFO, some).classified == 1.0
    assert performance(flat, some).classified == 0.0


def test_too_few_patients_have_no_cross_validated_measure() -> None:
    """Without the images of its only patient, a fold has nothing to calibrate to."""
    some = cases(("P1", "glioma", SURE_GLIOMA), ("P1", "notumor", SURE_NONE))
    assert cross_validated(INFO, some, 0.9) is None


def test_cross_validation_asks_each_patient_once_and_not_by_the_order_of_the_images() -> None:
    random = np.random.default_rng(3)
    truths = np.repeat(np.arange(60) % 4, 2)
    rows = random.dirichlet(np.ones(4), 120) * 0.5 + 0.5 * np.eye(4)[truths]
    names = ("glioma", "meningioma", "notumor", "pituitary")
    images = [(f"P{k // 2}", names[truths[k]], tuple(rows[k])) for k in range(120)]
    here = cross_validated(INFO, cases(*images), 0.9)
    there = cross_validated(INFO, cases(*images[::-1]), 0.9)
    assert here is not None
    assert there is not None
    assert dataclasses.astuple(here) == pytest.approx(dataclasses.astuple(there), nan_ok=True)
    assert here.classified <= here.answered
    assert here.mean_size >= 1.0


def test_cases_are_chosen_with_their_patients_and_sequences() -> None:
    some = dataclasses.replace(
        cases(("A", "glioma", SURE_GLIOMA), ("B", "tumor", UNSURE), ("A", "notumor", SURE_NONE)),
        sequences=("T1", None, "T2"),
    )
    assert some.patients == 2
    assert some.known.tolist() == [True, False, True]
    part = some.where(np.array([False, True, True]))
    assert (part.groups, part.sequences) == (("B", "A"), (None, "T2"))
    np.testing.assert_array_equal(part.logits, some.logits[1:])
    np.testing.assert_array_equal(part.correct, some.correct[1:])
