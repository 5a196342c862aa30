"""Two questions, each with its thresholds."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tumorlens.bundle import DecisionRule, Thresholds
from tumorlens.inference.decision import (
    Decisions,
    decide,
    decisions,
    decisions_by_sequence,
    kind_shares,
)
from tumorlens.labels import CLASSES, class_set

RULE = Thresholds(tumor_threshold=0.7, notumor_threshold=0.9, kind_threshold=0.8)
ROWS = st.lists(st.floats(0.001, 1), min_size=4, max_size=4)


@pytest.mark.parametrize(
    ("row", "decision", "label"),
    [
        ([0.9, 0.03, 0.05, 0.02], "classified", "glioma"),
        ([0.6, 0.3, 0.05, 0.05], "detected", None),
        ([0.3, 0.1, 0.5, 0.1], "abstained", None),
        ([0.02, 0.02, 0.94, 0.02], "classified", "notumor"),
        ([0.05, 0.05, 0.85, 0.05], "abstained", None),
        ([0.0, 0.0, 0.2, 0.8], "classified", "pituitary"),
    ],
)
def test_presence_first_then_the_kind(row: list[float], decision: str, label: str | None) -> None:
    found = decide(np.array(row), RULE)
    assert (found.decision, found.label) == (decision, label)
    assert bool(found.reason) == (decision != "classified")
    together = decisions(np.array([row]), RULE)
    assert together.names.tolist() == [decision]
    assert [CLASSES[k] if k >= 0 else None for k in together.label] == [label]


def test_each_image_is_decided_by_the_thresholds_of_its_sequence() -> None:
    rows = np.array([[0.6, 0.3, 0.05, 0.05], [0.02, 0.02, 0.94, 0.02]] * 3)
    strict = Thresholds(tumor_threshold=0.99, notumor_threshold=0.99)
    rule = DecisionRule(**msgspec.structs.asdict(RULE), by_sequence={"T1": strict})
    found = decisions_by_sequence(rows, rule, ["T1", "T1", "T2", "T2", None, None])
    assert found.names.tolist() == ["abstained"] * 2 + ["detected", "classified"] * 2


def test_by_default_the_most_probable_class_is_the_answer() -> None:
    found = decide(np.array([0.2, 0.2, 0.4, 0.2]), Thresholds())
    assert (found.decision, found.label) == ("classified", "notumor")
    assert decide(np.array([0.4, 0.2, 0.2, 0.2]), Thresholds()).label == "glioma"


def test_reasons_name_the_thresholds() -> None:
    unsure = decide(np.array([0.3, 0.1, 0.5, 0.1]), RULE).reason
    assert unsure == (
        "tumour 50%, no tumour 50%; a tumour is reported from 70%, no tumour from 90%"
    )
    kind = decide(np.array([0.6, 0.3, 0.05, 0.05]), RULE).reason
    assert kind == ("given a tumour, glioma 63%; the kind is named from 80%")


def test_a_rejected_image_has_no_answer() -> None:
    found = decide(np.array([1.0, 0, 0, 0]), RULE, "no head")
    assert found == ("rejected", None, "no head")


@given(ROWS, st.floats(0.5, 1), st.floats(0.5, 1), st.floats(0, 1))
def test_no_tumour_is_never_said_below_its_threshold(
    values: list[float], notumor: float, tumor: float, kind: float
) -> None:
    row = np.array(values) / np.sum(values)
    rule = Thresholds(notumor_threshold=notumor, tumor_threshold=tumor, kind_threshold=kind)
    found = decide(row, rule)
    if found.label == "notumor":
        assert row[CLASSES.index("notumor")] >= notumor
    if found.decision == "detected":
        assert 1 - row[CLASSES.index("notumor")] >= tumor - 1e-9


def test_decisions_are_joined_and_chosen() -> None:
    made = decisions(np.eye(4), Thresholds())
    joined = Decisions.joined([made, made])
    assert joined.label.tolist() == [0, 1, 2, 3] * 2
    assert joined.where(np.array([True] + [False] * 7)).presence.tolist() == [1]
    assert len(Decisions.joined([]).label) == 0


YES_NO = class_set(["no", "yes"])
KINDS_ALONE = class_set(["glioma", "meningioma", "pituitary"])


@pytest.mark.parametrize(
    ("row", "decision", "label"),
    [
        ([0.95, 0.05], "classified", "no"),
        ([0.85, 0.15], "abstained", None),
        ([0.4, 0.6], "abstained", None),
        ([0.2, 0.8], "classified", "yes"),  # of one kind the second question answers itself
    ],
)
def test_of_two_classes_presence_is_the_answer(
    row: list[float], decision: str, label: str | None
) -> None:
    assert decide(np.array(row), RULE, classes=YES_NO)[:2] == (decision, label)


def test_reasons_have_the_article_of_the_finding() -> None:
    kinds = msgspec.structs.replace(class_set(["cyst", "pus", "no"]), finding="abscess")
    held = decide(np.array([0.3, 0.4, 0.3]), RULE, classes=kinds)
    assert "; an abscess is reported from" in held.reason
    assert "given an abscess, " in decide(np.array([0.5, 0.1, 0.4]), RULE, classes=kinds).reason


def test_without_a_class_for_no_finding_only_the_kind_is_asked() -> None:
    sure, unsure = np.array([0.9, 0.06, 0.04]), np.array([0.6, 0.3, 0.1])
    assert decide(sure, RULE, classes=KINDS_ALONE)[:2] == ("classified", "glioma")
    held = decide(unsure, RULE, classes=KINDS_ALONE)
    assert held[:2] == ("abstained", None)
    assert held.reason == "glioma 60%; the kind is named from 80%"
    assert decisions(np.stack([sure, unsure]), RULE, KINDS_ALONE).label.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("row", "decision"),
    [
        ([0.0625, 0.0, 0.9375, 0.0], "classified"),  # exactly the threshold for no tumour
        ([0.125, 0.0, 0.875, 0.0], "abstained"),
        ([0.75, 0.0, 0.25, 0.0], "classified"),  # exactly that for a tumour
        ([0.625, 0.125, 0.25, 0.0], "detected"),  # 5/6 of a tumour is less than 7/8
        ([0.875, 0.125, 0.0, 0.0], "classified"),  # exactly that for the kind
        ([0.6875, 0.0, 0.3125, 0.0], "abstained"),
    ],
)
def test_a_threshold_is_reached_where_it_is_met(row: list[float], decision: str) -> None:
    rule = Thresholds(tumor_threshold=0.75, notumor_threshold=0.9375, kind_threshold=0.875)
    assert decide(np.array(row), rule).decision == decision


@given(ROWS, ROWS, st.floats(0.5, 1), st.floats(0.5, 1), st.floats(0, 1))
def test_decisions_of_several_images_are_those_of_each(
    one: list[float], other: list[float], notumor: float, tumor: float, kind: float
) -> None:
    rows = np.array([one, other]) / np.sum([one, other], axis=1, keepdims=True)
    rule = Thresholds(notumor_threshold=notumor, tumor_threshold=tumor, kind_threshold=kind)
    together = decisions(rows, rule)
    alone = [decide(row, rule) for row in rows]
    assert together.names.tolist() == [found.decision for found in alone]
    assert [CLASSES[k] if k >= 0 else None for k in together.label] == [x.label for x in alone]


@given(ROWS, st.floats(0.5, 0.99), st.floats(0.5, 0.99), st.floats(0, 0.99))
def test_a_stricter_rule_never_says_more(
    values: list[float], notumor: float, tumor: float, kind: float
) -> None:
    row = np.array(values) / np.sum(values)
    lax = Thresholds(notumor_threshold=notumor, tumor_threshold=tumor, kind_threshold=kind)
    strict = Thresholds(
        notumor_threshold=notumor + 0.01, tumor_threshold=tumor + 0.01, kind_threshold=kind + 0.01
    )
    says = {"abstained": 0, "detected": 1, "classified": 2}
    assert says[decide(row, strict).decision] <= says[decide(row, lax).decision]


def test_the_share_of_a_kind_is_that_among_the_kinds() -> None:
    kind, share = kind_shares(np.array([[0.3, 0.1, 0.5, 0.1], [0.0, 0.0, 1.0, 0.0]]))
    assert kind.tolist() == [0, 0]
    assert share == pytest.approx([0.6, 0.0]), "defined even where no tumour is possible"
