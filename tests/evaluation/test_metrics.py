"""Every metric against scikit-learn, absent classes included."""

import numpy as np
import pytest
import sklearn.metrics as reference
from numpy.typing import NDArray

from tumorlens.evaluation import metrics
from tumorlens.labels import ANSWERABLE, CLASSES, NO_TUMOR_INDEX, ClassInfo, ClassSet

Scored = tuple[NDArray[np.int64], NDArray[np.float64]]


def scored(seed: int, classes: tuple[int, ...] = (0, 1, 2, 3), count: int = 300) -> Scored:
    generator = np.random.default_rng(seed)
    labels = generator.choice(classes, size=count)
    logits = generator.normal(size=(count, 4)) + 1.5 * np.eye(4)[labels]
    # Rounding makes ties, which the area under the ROC curve must count one half.
    exponents = np.exp(np.round(logits, 1))
    return labels, exponents / exponents.sum(axis=1, keepdims=True)


def measured(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> dict[str, float]:
    rows = metrics.measure(labels, probabilities, weights)
    return dict(zip(metrics.NAMES, map(float, rows[0]), strict=True))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (0, 1, 3), (1, 2)])
def test_overall_metrics_equal_scikit_learn(seed: int, classes: tuple[int, ...]) -> None:
    labels, probabilities = scored(seed, classes)
    predicted = probabilities.argmax(axis=1)
    got = measured(labels, probabilities)
    assert got["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    assert got["log_loss"] == pytest.approx(
        reference.log_loss(labels, probabilities, labels=range(4))
    )
    present = sorted(set(labels.tolist()))
    expected = reference.f1_score(labels, predicted, labels=present, average="macro")
    assert got["macro_f1"] == pytest.approx(expected)
    assert got["mcc"] == pytest.approx(reference.matthews_corrcoef(labels, predicted))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (0, 1, 3), (1, 2)])
def test_class_metrics_equal_scikit_learn(seed: int, classes: tuple[int, ...]) -> None:
    labels, probabilities = scored(seed, classes)
    predicted = probabilities.argmax(axis=1)
    got = measured(labels, probabilities)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        labels, predicted, labels=range(4), zero_division=np.nan
    )
    confusion = reference.multilabel_confusion_matrix(labels, predicted, labels=range(4))
    areas = []
    for k, name in enumerate(CLASSES):
        area = np.nan
        if 0 < (labels == k).sum() < len(labels):
            area = reference.roc_auc_score(labels == k, probabilities[:, k])
        areas.append(area)
        (true_negative, false_positive), _ = confusion[k]
        expected = {
            "sensitivity": recall[k],
            "specificity": true_negative / (true_negative + false_positive),
            "precision": precision[k],
            "f1": f1[k],
            "auroc": area,
        }
        for metric, value in expected.items():
            assert got[f"{metric}.{name}"] == pytest.approx(value, nan_ok=True), (metric, name)
    assert got["macro_auroc"] == pytest.approx(np.nanmean(areas))


def test_brier_score_is_the_multiclass_sum() -> None:
    labels, probabilities = scored(3)
    per_class = [
        reference.brier_score_loss(labels == k, probabilities[:, k]) for k in range(len(CLASSES))
    ]
    assert measured(labels, probabilities)["brier_score"] == pytest.approx(sum(per_class))


def test_expected_calibration_error_equals_the_definition() -> None:
    labels, probabilities = scored(4)
    top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for low in range(metrics.BINS):
        inside = (top > low / metrics.BINS) & (top <= (low + 1) / metrics.BINS)
        if inside.any():
            expected += inside.mean() * abs(top[inside].mean() - right[inside].mean())
    assert measured(labels, probabilities)["expected_calibration_error"] == pytest.approx(expected)


def test_missed_tumours_and_false_alarms_by_hand() -> None:
    healthy = NO_TUMOR_INDEX
    labels = np.array([0, 1, 3, 0, healthy, healthy, healthy])
    answers = np.array([0, healthy, 0, healthy, healthy, 3, healthy])
    got = measured(labels, np.eye(4)[answers])
    assert got["missed_tumor_rate"] == pytest.approx(2 / 4)
    assert got["false_alarm_rate"] == pytest.approx(1 / 3)


def test_weights_are_how_often_an_image_counts() -> None:
    labels, probabilities = scored(5, count=60)
    times = np.random.default_rng(5).integers(0, 4, size=60)
    repeated = measured(labels.repeat(times), probabilities.repeat(times, axis=0))
    weighted = measured(labels, probabilities, times[np.newaxis].astype(float))
    assert weighted == pytest.approx(repeated, nan_ok=True)


def test_undefined_is_nan_and_never_zero() -> None:
    labels = np.full(5, NO_TUMOR_INDEX)
    got = measured(labels, np.eye(4)[labels])
    assert got["accuracy"] == 1.0
    assert got["false_alarm_rate"] == 0.0
    for name in ("mcc", "macro_auroc", "missed_tumor_rate", "sensitivity.glioma", "f1.pituitary"):
        assert np.isnan(got[name]), name


def test_a_certain_wrong_answer_has_a_finite_loss() -> None:
    got = measured(np.array([0, 1]), np.eye(4)[[1, 1]])
    assert 15 < got["log_loss"] < 20


def test_reliability_counts_every_image_once_in_its_bin() -> None:
    top = np.array([0.30, 0.40, 0.40001, 0.95, 1.0])
    probabilities = np.column_stack([top, *[(1 - top) / 3] * 3])
    labels = np.array([0, 0, 1, 0, 0])
    table = metrics.reliability(labels, probabilities)
    assert table.shape == (15, 3)
    assert {i: int(n) for i, n in enumerate(table[:, 0]) if n} == {4: 1, 5: 1, 6: 1, 14: 2}
    assert table[14, 1] == pytest.approx(0.975)
    assert table[6, 2] == 0.0
    assert np.isnan(table[0, 1:]).all()


def test_confusion_matrix_equals_scikit_learn() -> None:
    labels, probabilities = scored(6)
    predicted = probabilities.argmax(axis=1)
    expected = reference.confusion_matrix(labels, predicted, labels=range(4))
    assert (metrics.confusion_matrix(labels, predicted) == expected).all()


def test_every_metric_is_defined_in_words() -> None:
    assert set(metrics.definitions()) == {*metrics.OVERALL, *metrics.PER_CLASS}


def test_definitions_speak_of_the_classes_at_hand() -> None:
    assert "any tumour" in metrics.definitions()["accuracy"]
    assert metrics.definitions()["missed_tumor_rate"] == (
        "Share of images with a tumour answered with no tumour."
    )
    members = (ClassInfo(name="no", display_name="clear"), ClassInfo(name="a", display_name="a"))
    own = metrics.definitions(ClassSet(members=members, no_finding="no", finding="abscess"))
    assert own["missed_tumor_rate"] == 'Share of images with an abscess answered with "clear".'
    assert own["false_alarm_rate"] == "Share of images without any abscess answered with one."
    kinds = metrics.definitions(ClassSet(members=members))
    assert not {"missed_tumor_rate", "false_alarm_rate"} & set(kinds)
    assert kinds["accuracy"].endswith("is correct: the true one.")
    assert "tumour" not in str([*own.values(), *kinds.values()])


UNKNOWN_KIND = ANSWERABLE.index("tumor")


def test_any_tumour_is_right_where_only_that_is_known() -> None:
    labels = np.array([UNKNOWN_KIND, UNKNOWN_KIND, NO_TUMOR_INDEX, 0])
    probabilities = np.array(
        [
            [0.3, 0.1, 0.2, 0.4],
            [0.2, 0.1, 0.6, 0.1],
            [0.0, 0.1, 0.9, 0.0],
            [0.7, 0.1, 0.1, 0.1],
        ]
    )
    got = measured(labels, probabilities)
    assert got["accuracy"] == 3 / 4
    assert got["missed_tumor_rate"] == pytest.approx(1 / 3)
    assert got["false_alarm_rate"] == 0.0
    assert got["log_loss"] == pytest.approx(-np.log([0.8, 0.4, 0.9, 0.7]).mean())
    # A right answer for the class no tumour has sensitivity 1; the missed tumour corrupts the rest.
    assert got["sensitivity.notumor"] == 1.0
    assert got["specificity.notumor"] == pytest.approx(2 / 3)
    assert got["precision.notumor"] == 0.5
    assert got["precision.glioma"] == 1.0
    assert got["specificity.glioma"] == 1.0


def test_tumours_of_unknown_kind_count_for_no_kind() -> None:
    labels, probabilities = scored(7)
    more = np.random.default_rng(7).dirichlet(np.ones(4), 50)
    before = measured(labels, probabilities)
    after = measured(
        np.concatenate([labels, np.full(50, UNKNOWN_KIND)]), np.concatenate([probabilities, more])
    )
    for metric in metrics.PER_CLASS:
        for name in ("glioma", "meningioma", "pituitary"):
            assert after[f"{metric}.{name}"] == before[f"{metric}.{name}"], (metric, name)
    assert after["auroc.notumor"] == pytest.approx(
        reference.roc_auc_score(
            np.concatenate([labels == NO_TUMOR_INDEX, np.zeros(50, dtype=bool)]),
            np.concatenate([probabilities[:, NO_TUMOR_INDEX], more[:, NO_TUMOR_INDEX]]),
        )
    )


def test_nothing_but_tumours_of_unknown_kind() -> None:
    labels = np.full(3, UNKNOWN_KIND)
    got = measured(labels, np.eye(4)[[0, 3, NO_TUMOR_INDEX]])
    assert got["accuracy"] == pytest.approx(2 / 3)
    assert got["missed_tumor_rate"] == pytest.approx(1 / 3)
    assert got["expected_calibration_error"] == pytest.approx(1 / 3)
    assert np.isnan(got["auroc.glioma"])
    assert metrics.confusion_matrix(labels, np.array([0, 3, 2])).shape == (6, 4)


def test_confidence_in_a_tumour_of_unknown_kind_is_that_of_any_tumour() -> None:
    labels = np.full(10, UNKNOWN_KIND)
    got = measured(labels, np.tile([0.4, 0.3, 0.1, 0.2], (10, 1)))
    assert got["expected_calibration_error"] == pytest.approx(0.1)
    assert got["brier_score"] == pytest.approx(2 * 0.1**2)


def test_rates_are_those_of_measure() -> None:
    labels, probabilities = scored(8)
    labels[:40] = UNKNOWN_KIND
    weights = np.random.default_rng(0).integers(0, 3, (5, len(labels))).astype(float)
    rows = metrics.measure(labels, probabilities, weights)
    for k, name in enumerate(metrics.RATES):
        column = metrics.rates(labels, probabilities.argmax(axis=1), weights)[:, k]
        assert column == pytest.approx(rows[:, metrics.NAMES.index(name)])
