"""The lowest threshold that keeps a limit, on the images that it is fitted on."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tumorlens.evaluation.thresholds import MAX_THRESHOLD, Threshold, within_count, within_share

Floats = NDArray[np.float64]

ERRORS = st.lists(
    st.tuples(
        # Hundredths, so that some are equal; below 0 it is no error.
        st.integers(-20, 98).map(lambda k: k / 100),
        st.sampled_from([0.25, 0.5, 1.0]),
    ),
    min_size=1,
    max_size=25,
)
ANSWERS = st.lists(
    st.tuples(st.integers(0, 98).map(lambda k: k / 100), st.booleans()), min_size=1, max_size=25
)


def columns(pairs: Sequence[tuple[float, float]]) -> tuple[Floats, Floats]:
    first, second = zip(*pairs, strict=True)
    return np.array(first, np.float64), np.array(second, np.float64)


def count_ones(errors: Sequence[float], most: float) -> Threshold:
    return within_count(np.array(errors, np.float64), np.ones(len(errors)), most)


@given(ERRORS, st.integers(0, 10))
def test_no_more_errors_than_allowed_reach_the_threshold(
    pairs: list[tuple[float, float]], most: int
) -> None:
    errors, weights = columns(pairs)
    threshold, keeps = within_count(errors, weights, most)
    counted = errors >= 0
    assert keeps
    assert weights[counted & (errors >= threshold)].sum() <= most + 1e-9


@given(ERRORS, st.integers(0, 10))
def test_no_lower_threshold_would_keep_the_limit(
    pairs: list[tuple[float, float]], most: int
) -> None:
    errors, weights = columns(pairs)
    threshold, _ = within_count(errors, weights, most)
    if threshold > 0:
        lower = errors[(errors >= 0) & (errors < threshold)].max()
        assert weights[errors >= lower].sum() > most
        assert threshold - lower < 1e-9, "just above the error that is one too many"


@pytest.mark.parametrize(("allowed", "images"), [(0.29, 100), (0.07, 100), (0.05, 20), (0.1, 30)])
def test_a_share_allows_as_many_errors_as_it_does_on_paper(allowed: float, images: int) -> None:
    """0.29 of 100 is a little less than 29 in binary fractions."""
    errors = [0.8] * round(allowed * images)
    assert count_ones(errors, allowed * images) == (0.0, True)
    assert count_ones([*errors, 0.8], allowed * images).value > 0.8


def test_what_is_below_zero_is_no_error_however_many_there_are() -> None:
    assert count_ones([-1.0] * 50, 0) == (0.0, True)
    assert count_ones([-0.2, 0.0], 0)[0] > 0.0


@pytest.mark.parametrize(
    ("error", "keeps"), [(0.98, True), (MAX_THRESHOLD, False), (0.995, False), (1.0, False)]
)
def test_an_error_that_no_allowed_threshold_excludes_is_told(error: float, keeps: bool) -> None:
    threshold, kept = count_ones([error], 0)
    assert threshold <= MAX_THRESHOLD
    assert kept is keeps


@given(ANSWERS, st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]), st.sampled_from([0.0, 1.0]))
def test_at_most_the_limit_of_the_answers_from_the_threshold_on_is_wrong(
    pairs: list[tuple[float, bool]], limit: float, more: float
) -> None:
    values, wrong = columns(pairs)

    def share(threshold: float) -> float:
        given = values >= threshold
        return float((wrong[given].sum() + more) / (given.sum() + more))

    ones = np.ones(len(values))
    threshold, keeps = within_share(values, wrong > 0, ones, limit, more)
    kept = [value for value in values if share(value) <= limit + 1e-9]
    assert keeps == bool(kept)
    if kept:
        assert share(threshold) <= limit + 1e-9
        assert not any(value < threshold for value in kept), "it is the lowest"
    else:
        assert threshold == MAX_THRESHOLD


def test_answers_count_for_their_weights() -> None:
    values, wrong = np.array([0.9, 0.8, 0.7]), np.array([False, True, False])
    even, light = np.ones(3), np.array([1.0, 0.1, 1.0])
    assert within_share(values, wrong, even, 0.1) == (0.9, True)
    assert within_share(values, wrong, light, 0.1) == (0.0, True)


def test_without_answers_nothing_has_to_be_held_back() -> None:
    nothing = np.zeros(0)
    assert within_share(nothing, nothing > 0, nothing, 0.0) == (0.0, True)
    assert within_count(nothing, nothing, 0.0) == (0.0, True)


@pytest.mark.parametrize(("wrong", "keeps"), [((False, True), False), ((True, False), True)])
def test_a_limit_kept_only_above_the_highest_threshold_is_not_kept(
    wrong: tuple[bool, bool], keeps: bool
) -> None:
    """Answers at 0.992 come with those at 0.995: no threshold may lie between them."""
    values = np.array([0.995, 0.992])
    found = within_share(values, np.array(wrong), np.array([1.0, 3.0]), 0.25)
    assert found.keeps is keeps
    assert found.value == (0.0 if keeps else MAX_THRESHOLD)
