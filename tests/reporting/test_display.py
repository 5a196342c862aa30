"""Which slice stands for an answer, and how suspicious each of its slices is."""

import msgspec
import pytest
from tests.answers import image, shares, volume

from tumorlens.inference.record import Decision, Finding, SlicePrediction
from tumorlens.reporting.display import answered, displayed_slice, suspicion


def test_the_slice_that_decides_is_shown_and_of_an_image_the_image() -> None:
    assert displayed_slice(volume(finding=Finding(first=3, middle=5, last=9))) == 5
    assert displayed_slice(volume(depth=11)) == 5
    assert displayed_slice(image()) == 0


@pytest.mark.parametrize(
    ("decision", "is_answered"),
    [("classified", True), ("detected", True), ("abstained", True), ("rejected", False),
     (None, False)],
)  # fmt: skip
def test_a_slice_that_is_rejected_or_unusable_has_no_suspicion(
    decision: Decision | None, is_answered: bool
) -> None:
    one = SlicePrediction(index=0, along_mm=None, decision=decision, tumor_probability=0.7)
    whole = msgspec.structs.replace(volume(depth=1), slices=(one,))
    assert answered(whole, 0) is is_answered
    assert suspicion(whole, 0) == (0.7 if is_answered else 0.0)


def test_without_a_class_for_no_finding_the_likeliest_class_is_the_suspicion() -> None:
    one = SlicePrediction(
        index=0, along_mm=None, decision="classified", probabilities=shares(glioma=0.8)
    )
    bare = msgspec.structs.replace(one, probabilities=None)
    whole = msgspec.structs.replace(volume(depth=2), slices=(one, bare))
    assert [suspicion(whole, k) for k in range(2)] == [0.8, 0.0]
