"""Several bundles on the same images."""

import dataclasses

import msgspec
import numpy as np
import pytest
from scipy.stats import binom

from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split
from tumorlens.errors import EvaluationError
from tumorlens.evaluation import comparison
from tumorlens.evaluation.comparison import COMPARED, Comparison, compare, mcnemar, unique_names
from tumorlens.evaluation.resampling import Estimate, Sampling
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import ClassInfo
from tumorlens.reporting import comparison_report


@pytest.fixture(scope="module")
def found(classifier: Classifier, phantom_set: Manifest, clean_split: Split) -> Comparison:
    """A network that knows phantoms, random weights, and the first again under another name."""
    phantom = Classifier.load("phantom", threads=1)
    both = {"phantom": phantom, "random": classifier, "the same": phantom}
    return compare(both, phantom_set, clean_split, part="train", sampling=Sampling(200))


def test_differences_are_paired(found: Comparison) -> None:
    worse, same = found.differences
    for name in COMPARED:
        values = [one.evaluation.estimates[name].value for one in found.networks]
        assert worse.estimates[name].value == pytest.approx(values[1] - values[0], nan_ok=True)
        # A bundle differs from itself in no resample, however wide its own interval is.
        assert same.estimates[name] == Estimate(0.0, 0.0, 0.0)
    assert worse.estimates["accuracy"].high < 0
    assert comparison_report.decided(worse.estimates["accuracy"])
    assert not comparison_report.decided(same.estimates["accuracy"])
    assert (same.only_right, same.only_reference_right, same.p_value) == (0, 0, 1.0)
    right = [int(one.evaluation.correct.sum()) for one in found.networks]
    assert worse.only_right - worse.only_reference_right == right[1] - right[0]


def test_mcnemar_is_the_sign_test_of_images_where_one_is_right() -> None:
    one = np.array([True] * 9 + [False] * 2 + [True] * 30)
    other = np.array([False] * 9 + [True] * 2 + [True] * 30)
    assert mcnemar(one, other) == pytest.approx(2 * binom.cdf(2, 11, 0.5))
    assert mcnemar(one, other) == mcnemar(other, one)
    assert mcnemar(one, one) == 1.0


def test_what_each_has_seen_is_said(found: Comparison) -> None:
    """Neither bundle was trained by this split: both must say so."""
    record = comparison.as_dict(found)
    for one in record["bundles"]:
        assert not one["quotable"]
        assert one["warnings"]
    trained = record["bundles"][0]["trained_on"]["split_sha256"]
    assert trained == Classifier.load("phantom").bundle.info.training["split"]["sha256"]


def test_bundles_of_other_classes_are_not_compared(
    classifier: Classifier, phantom_set: Manifest, clean_split: Split
) -> None:
    first, *others = classifier.classes.members
    renamed = msgspec.structs.replace(first, name="astrocytoma")
    other = with_members(classifier, (renamed, *others))
    with pytest.raises(EvaluationError, match="a and b have different classes"):
        compare({"a": classifier, "b": other}, phantom_set, clean_split, part="test")
    with pytest.raises(EvaluationError, match="at least two"):
        compare({"a": classifier}, phantom_set, clean_split, part="test")


def test_the_order_of_the_classes_does_not_matter(
    classifier: Classifier, phantom_set: Manifest, clean_split: Split
) -> None:
    turned = with_members(classifier, tuple(reversed(classifier.classes.members)))
    both = {"a": classifier, "b": turned}
    one, other = compare(both, phantom_set, clean_split, part="test").networks
    np.testing.assert_array_equal(other.evaluation.labels, 3 - one.evaluation.labels)


def with_members(classifier: Classifier, members: tuple[ClassInfo, ...]) -> Classifier:
    """The same network, whose outputs mean ``members``."""
    made = classifier.bundle
    classes = msgspec.structs.replace(made.info.classes, members=members)
    info = msgspec.structs.replace(made.info, classes=classes)
    return Classifier(dataclasses.replace(made, info=info), answer_all=True)


def test_names_tell_bundles_apart() -> None:
    given = ["default", "runs/a", "runs/b"]
    assert unique_names(given, ["default", "mine", "mine"]) == [
        "default", "mine (runs/a)", "mine (runs/b)",
    ]  # fmt: skip


def test_numbers_for_people() -> None:
    show = comparison_report.show_difference
    assert show("accuracy", Estimate(0.012, -0.003, 0.028)) == "+1.20 points (-0.30 to +2.80)"
    assert show("log_loss", Estimate(-0.5, float("nan"), float("nan"))) == "-0.5000 (no interval)"
    assert show("macro_f1", Estimate(float("nan"), float("nan"), float("nan"))) == "undefined"
    assert comparison_report.show_p(0.0004) == "below 0.001"
    assert comparison_report.show_p(0.001) == "0.001"
    assert comparison_report.show_p(0.0321) == "0.032"
