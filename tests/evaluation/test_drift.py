"""A shift is seen where there is one, and only there."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.datasets.manifest import Manifest
from tumorlens.evaluation import drift
from tumorlens.evaluation.drift import LEVELS, Observed, kolmogorov_smirnov, observe, summarize
from tumorlens.imaging import reader
from tumorlens.inference.classifier import Classifier

Floats = NDArray[np.float64]


def seen(count: int, seed: int, shift: float = 0.0, t1: float = 0.5) -> Observed:
    """Images whose brightness and features lie ``shift`` deviations off."""
    random = np.random.default_rng(seed)
    return Observed(
        np.zeros((count, 4)),
        random.normal(shift, 1, (count, 6)),
        {"brightness": random.normal(shift, 1, count), "background": np.zeros(count)},
        np.eye(5)[(random.random(count) > t1).astype(np.int64)],
    )


REFERENCE = summarize(seen(2000, 0), "many images")


def differing(found: Observed, groups: list[str]) -> set[str]:
    return {one.name for one in drift.drift(REFERENCE, found, groups) if one.differs}


def test_more_of_the_same_is_alike() -> None:
    """At most one of twenty samples differs by chance, of any size."""
    for count in (20, 100, 400):
        found = [differing(seen(count, 10 + k), [str(i) for i in range(count)]) for k in range(20)]
        assert sum(map(bool, found)) <= 3


def test_each_shift_is_seen() -> None:
    groups = [str(i) for i in range(60)]
    assert differing(seen(60, 1, shift=2.0), groups) == {"brightness", "embedding_distance"}
    assert differing(seen(60, 2, t1=1.0), groups) == {"sequence_mix"}


def test_patients_count_not_images() -> None:
    """One odd patient with many images shifts nothing."""
    usual, odd = seen(60, 3), seen(60, 4, shift=5.0)
    both = drift.joined([usual, odd])
    groups = [str(i) for i in range(60)] + ["odd"] * 60
    assert differing(both, groups) == set()
    assert differing(both, [str(i) for i in range(120)]) >= {"brightness"}


def test_the_distance_is_that_of_a_library() -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(5)
    reference, here = random.normal(0, 1, 4000), random.normal(0.5, 1, 300)
    levels: NDArray[np.float64] = np.linspace(0.005, 0.995, 199)
    known = np.quantile(reference, levels)
    ours = kolmogorov_smirnov(here, np.full(300, 1 / 300), levels, known)
    assert ours == pytest.approx(stats.ks_2samp(reference, here).statistic, abs=0.02)


def test_values_that_repeat_are_no_shift() -> None:
    known = np.quantile(np.repeat([0.0, 1.0], 500), LEVELS)
    here = np.repeat([0.0, 1.0], 50)
    levels, weights = np.array(LEVELS), np.full(100, 0.01)
    assert kolmogorov_smirnov(here, weights, levels, known) < 0.1
    assert kolmogorov_smirnov(np.ones(100), weights, levels, known) == pytest.approx(0.5)


def test_real_images(classifier: Classifier, phantom_set: Manifest) -> None:
    """Phantoms are like themselves; inverted they are not."""
    some = phantom_set.records[:40]
    images = np.stack(
        [classifier.preprocess(reader.read(phantom_set.file(record))) for record in some]
    )
    groups = [record.group for record in some]
    reference = summarize(observe(classifier, images), "phantoms")
    assert reference.sequences == {}
    assert len(reference.embedding_mean) == observe(classifier, images[:1]).embedding.shape[1]
    same = drift.drift(reference, observe(classifier, images), groups)
    assert not any(shift.differs for shift in same)
    inverted = drift.drift(reference, observe(classifier, 255 - images), groups)
    assert {shift.name for shift in inverted if shift.differs} >= {"background", "brightness"}
    assert all(0 <= drift.as_dict(shift)["distance"] <= 1 for shift in inverted)


def test_the_quantities_of_an_image_by_hand(classifier: Classifier) -> None:
    """Brightness and contrast are of what is not dark; a step of 100 at every second pixel."""
    flat, striped = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    flat[:16] = 80
    flat[16:32] = 120
    flat[40:] = 12  # as dark as air may be
    striped[:, ::2] = 100
    found = observe(classifier, np.stack([flat, striped, np.zeros_like(flat)])).quantities
    assert found["brightness"].tolist() == [100, 100, 0]
    assert found["contrast"].tolist() == [20, 0, 0]
    assert found["background"].tolist() == [0.5, 0.5, 1]
    assert found["sharpness"] == pytest.approx([(40 + 120 + 12) / 63 / 2, 50, 0])
    assert set(found) == {"brightness", "contrast", "background", "sharpness"}


def test_the_score_of_the_gate_is_a_quantity_where_there_is_a_gate(classifier: Classifier) -> None:
    images = np.zeros((3, 64, 64), np.uint8)
    found = observe(classifier, images, np.array([1.0, 2.0, 3.0]))
    assert found.quantities["gate_score"].tolist() == [1, 2, 3]
    assert summarize(found, "x").quantiles["gate_score"][7] == 2
    given = summarize(observe(classifier, images), "x", gate_scores=np.array([4.0, 5.0, 6.0]))
    assert given.quantiles["gate_score"][7] == 5


def known(values: dict[str, Floats], features: Floats | None = None) -> Observed:
    """Images with these quantities; features as far as they matter."""
    count = len(next(iter(values.values())))
    embedding = np.tile(np.array([[-1.0], [1.0]]), (count // 2, 2))
    return Observed(np.zeros((count, 4)), embedding if features is None else features, values, None)


def test_a_shift_says_how_many_images_are_outside_of_nearly_all_of_training() -> None:
    reference = summarize(known({"brightness": np.linspace(0, 100, 1000)}), "x")
    here = known({"brightness": np.array([-5.0, 0.5, 1.5, 50, 98, 99.5, 120, 60])})
    brightness, _ = drift.drift(reference, here, list("abcdefgg"))
    assert (brightness.reference, brightness.here) == ("50", "50")
    assert brightness.outside == pytest.approx((1 + 1 + 1 + 0.5) / 7), "patients, not images"


@pytest.mark.parametrize(("patients", "limit"), [(4, 0.68), (34, 1.36 / 34**0.5), (400, 0.15)])
def test_many_patients_show_smaller_shifts_but_none_below_a_bound(
    patients: int, limit: float
) -> None:
    here = known({"brightness": np.zeros(2 * patients)})
    groups = [str(k // 2) for k in range(2 * patients)]
    (first, *_) = drift.drift(summarize(here, "x"), here, groups)
    assert first.limit == pytest.approx(limit)


def test_features_are_as_far_as_in_their_own_deviations() -> None:
    reference = summarize(known({"brightness": np.zeros(10)}), "x")
    np.testing.assert_array_equal(reference.embedding_mean, [0, 0])
    np.testing.assert_array_equal(reference.embedding_deviation, [1, 1])
    here = known({"brightness": np.zeros(2)}, np.array([[3.0, 4.0], [0.0, 0.0]]))
    distance = drift.drift(reference, here, ["a", "a"])[1]
    assert distance.name == "embedding_distance"
    assert distance.here == f"{0:.3g}"
    assert drift.drift(reference, here.where(np.array([True, False])), ["a"])[1].here == "3.54"


def test_a_feature_that_never_varies_makes_no_image_infinitely_far() -> None:
    features = np.column_stack([np.tile([-5.0, 5.0], 10), np.full(20, 7.0)])
    reference = summarize(known({"brightness": np.zeros(20)}, features), "x")
    assert list(reference.embedding_deviation) == [5.0, 0.005]


def test_the_mix_of_sequences_is_told_in_words() -> None:
    def with_mix(*counts: int) -> Observed:
        logits = np.eye(5)[np.repeat(np.arange(5), counts)]
        count = sum(counts)
        return Observed(np.zeros((count, 4)), np.zeros((count, 2)), {}, logits)

    reference = summarize(with_mix(50, 30, 19, 0, 1), "x")
    mix = drift.drift(reference, with_mix(0, 8, 2, 0, 0), [str(k) for k in range(10)])[-1]
    assert mix.reference == "T1 50%, T1CE 30%, T2 19%, other 1%"
    assert mix.here == "T1CE 80%, T2 20%"
    assert (mix.outside, mix.distance, mix.differs) == (None, 0.5, True)


def test_a_set_in_parts_is_the_set() -> None:
    whole = seen(30, 8)
    first, rest = (whole.where(np.arange(30) < 12), whole.where(np.arange(30) >= 12))
    again = drift.joined([first, rest])
    np.testing.assert_array_equal(again.embedding, whole.embedding)
    np.testing.assert_array_equal(again.quantities["brightness"], whole.quantities["brightness"])
    assert again.sequence_logits is not None
    np.testing.assert_array_equal(again.sequence_logits, whole.sequence_logits)


def test_a_summary_is_short() -> None:
    reference = summarize(known({"brightness": np.full(10, 1.23456789)}), "x")
    assert set(reference.quantiles["brightness"]) == {1.2346}
    assert reference.levels == LEVELS
    assert LEVELS[::-1] == pytest.approx([1 - level for level in LEVELS]), "both tails alike"
