import numpy as np
import pytest

from tumorlens.bundle import DecisionRule, SetRule
from tumorlens.inference.conformal import named
from tumorlens.inference.decision import doubt, is_sure

RULE = DecisionRule(tumor_at_least=0.5, notumor_at_least=0.9)


@pytest.mark.parametrize(
    ("row", "sure"),
    [
        ([0.6, 0.2, 0.1, 0.1], True),
        ([0.4, 0.3, 0.2, 0.1], False),
        ([0.05, 0.05, 0.85, 0.05], False),
        ([0.02, 0.02, 0.94, 0.02], True),
        ([0.5, 0.5, 0.0, 0.0], True),
    ],
)
def test_no_tumour_has_a_bar_of_its_own(row: list[float], sure: bool) -> None:
    shares = np.array(row)
    assert is_sure(shares[np.newaxis], RULE)[0] == sure
    assert bool(doubt(shares, RULE)) != sure


def test_by_default_nothing_is_held_back() -> None:
    assert doubt(np.full(4, 0.25), DecisionRule()) == ""


def test_doubt_names_the_two_likeliest_and_the_bar() -> None:
    words = doubt(np.array([0.13, 0.02, 0.8, 0.05]), RULE)
    assert words == ("not sure enough: no tumour 80% or glioma 13%; no tumour is answered from 90%")


def test_doubt_names_no_class_that_the_set_excludes() -> None:
    """``0.44`` of the second is below its bar; the first is in every set, whatever its bar."""
    sets = SetRule(coverage=0.95, at_least=(0.1, 0.9, 0.05, 0.5))
    row = np.array([0.09, 0.45, 0.02, 0.44])
    assert named(row, sets) == ("meningioma",)
    words = doubt(row, RULE, named(row, sets))
    assert words == "not sure enough: meningioma 45%; meningioma is answered from 50%"
    both = doubt(np.array([0.4, 0.15, 0.42, 0.03]), RULE, ("notumor", "glioma"))
    assert both == "not sure enough: no tumour 42% or glioma 40%; no tumour is answered from 90%"
