import numpy as np
import pytest

from tumorlens.bundle import ConformalThresholds, DecisionRule
from tumorlens.inference.conformal import named
from tumorlens.inference.decision import abstention_reason, is_confident

RULE = DecisionRule(tumor_threshold=0.5, notumor_threshold=0.9)


@pytest.mark.parametrize(
    ("row", "confident"),
    [
        ([0.6, 0.2, 0.1, 0.1], True),
        ([0.4, 0.3, 0.2, 0.1], False),
        ([0.05, 0.05, 0.85, 0.05], False),
        ([0.02, 0.02, 0.94, 0.02], True),
        ([0.5, 0.5, 0.0, 0.0], True),
    ],
)
def test_no_tumour_has_a_bar_of_its_own(row: list[float], confident: bool) -> None:
    probabilities = np.array(row)
    assert is_confident(probabilities[np.newaxis], RULE)[0] == confident
    assert bool(abstention_reason(probabilities, RULE)) != confident


def test_by_default_nothing_is_held_back() -> None:
    assert abstention_reason(np.full(4, 0.25), DecisionRule()) == ""


def test_doubt_names_the_two_likeliest_and_the_bar() -> None:
    words = abstention_reason(np.array([0.13, 0.02, 0.8, 0.05]), RULE)
    assert words == ("not sure enough: no tumour 80% or glioma 13%; no tumour is answered from 90%")


def test_doubt_names_no_class_that_the_set_excludes() -> None:
    """``0.44`` of the second is below its bar; the first is in every set, whatever its bar."""
    sets = ConformalThresholds(coverage=0.95, thresholds=(0.1, 0.9, 0.05, 0.5))
    row = np.array([0.09, 0.45, 0.02, 0.44])
    assert named(row, sets) == ("meningioma",)
    words = abstention_reason(row, RULE, named(row, sets))
    assert words == "not sure enough: meningioma 45%; meningioma is answered from 50%"
    both = abstention_reason(np.array([0.4, 0.15, 0.42, 0.03]), RULE, ("notumor", "glioma"))
    assert both == "not sure enough: no tumour 42% or glioma 40%; no tumour is answered from 90%"
