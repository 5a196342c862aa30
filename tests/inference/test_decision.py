import numpy as np
import pytest

from tumorlens.bundle import DecisionRule
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
