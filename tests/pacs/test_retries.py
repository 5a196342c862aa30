"""When a study may be worked on: what holds it back, and what begins it anew."""

import time

import pytest

from tumorlens.pacs.retries import Retries

LONG_S = 1000.0


@pytest.fixture
def retries() -> Retries:
    """One study, ``a``, that was postponed twice."""
    made = Retries()
    made.came("a", 1)
    made.postpone("a", 1, LONG_S)
    made.postpone("a", 1, LONG_S)
    return made


def test_a_postponed_study_waits_and_no_other_does(retries: Retries) -> None:
    assert (retries.waits("a", 1), retries.count("a", 1)) == (True, 2)
    assert (retries.waits("b", 1), retries.count("b", 1)) == (False, 0)


def test_what_was_postponed_for_no_time_is_due_but_counted(retries: Retries) -> None:
    retries.postpone("a", 1, 0.0)
    assert (retries.waits("a", 1), retries.count("a", 1)) == (False, 3)


@pytest.mark.parametrize("how", ["an instance came", "another process changed it", "a new task"])
def test_a_study_that_is_another_one_now_is_due(retries: Retries, how: str) -> None:
    revision = 1 if how == "a new task" else 2
    if how == "an instance came":
        retries.came("a", 2)
    elif how == "a new task":
        retries.forget("a")
    assert (retries.waits("a", revision), retries.count("a", revision)) == (False, 0)


def test_only_an_instance_ends_the_quiet(retries: Retries) -> None:
    time.sleep(0.02)
    retries.postpone("a", 1, LONG_S)
    retries.forget("a")
    before = retries.quiet("a", 1)
    assert before >= 0.02
    retries.came("a", 1)
    assert retries.quiet("a", 1) < before


def test_studies_that_are_gone_are_forgotten_and_the_others_go_on_waiting(
    retries: Retries,
) -> None:
    retries.postpone("b", 1, LONG_S)
    retries.keep_only({"b", "c"})
    assert (retries.waits("a", 1), retries.waits("b", 1)) == (False, True)
