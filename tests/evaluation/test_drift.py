"""A shift is seen where there is one, and only there."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.datasets.manifest import Manifest
from tumorlens.evaluation import drift
from tumorlens.evaluation.drift import LEVELS, Observed, kolmogorov_smirnov, observe, summarize
from tumorlens.imaging import reader
from tumorlens.inference.classifier import Classifier


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
