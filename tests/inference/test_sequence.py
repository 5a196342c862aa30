"""Which sequence an image is, by the network and by its header."""

import numpy as np
import pytest

from tumorlens.imaging.facts import AcquisitionFacts
from tumorlens.inference.record import SequenceAnswer
from tumorlens.inference.sequence import (
    contradiction,
    known_sequence,
    predicted_sequence,
    sequence_of_words,
    stated_sequence,
)


@pytest.mark.parametrize(
    ("description", "contrast", "sequence"),
    [("t1_mprage_sag", None, "T1"), ("t1_mprage_sag", "Gadovist", "T1CE"), ("T1 +C", None, "T1CE"),
     ("AX T1 POST", None, "T1CE"), ("t2_tse_tra", None, "T2"), ("t2_flair", None, "FLAIR"),
     ("FLAIR dark fluid", None, "FLAIR"), ("t2*_fl2d", None, "other"), ("ep2d_diff", None, None),
     ("t1 t2 scout", None, None), ("", None, None), ("T1 pre contrast", None, "T1")],
)  # fmt: skip
def test_what_a_header_states(description: str, contrast: str | None, sequence: str | None) -> None:
    facts = AcquisitionFacts(series_description=description, contrast_agent=contrast)
    assert stated_sequence(facts) == sequence
    assert stated_sequence(None) is None


def test_what_the_network_says_of_several_slices() -> None:
    told = predicted_sequence(np.array([[9.0, 0, 0, 0, 0], [8.0, 0, 0, 0, 0]]))
    assert told.name == "T1"
    assert told.probability > 0.99
    assert predicted_sequence(np.zeros(5)).probability == pytest.approx(0.2)


def test_both_together() -> None:
    sure = SequenceAnswer(name="FLAIR", probability=0.95)
    unsure = SequenceAnswer(name="FLAIR", probability=0.5)
    assert known_sequence(sure, None) == known_sequence(sure, "FLAIR") == "FLAIR"
    assert known_sequence(sure, "T1") is None, "nothing is built on a contradiction"
    assert known_sequence(unsure, "T1") == known_sequence(None, "T1") == "T1"
    assert contradiction(sure, "T1") == ("the header says T1, the image looks like FLAIR",)
    assert contradiction(sure, "FLAIR") == contradiction(unsure, "T1") == contradiction(None, "T1")


@pytest.mark.parametrize(
    ("words", "sequence"),
    [("AX T1 C+", "T1CE"), ("t1 +c", "T1CE"), ("T1-C", "T1"), ("T1 GD", "T1CE"), ("t1_km", "T1CE"),
     ("AX_T1_POST", "T1CE"), ("T1_post_op", "T1"), ("T1 w/o", "T1"), ("T1 ohne KM", "T1"),
     ("T1 W/O+W CONTRAST", "T1CE"), ("T1 ohne und mit KM", "T1CE"), ("T1 w/wo contrast", "T1CE"),
     ("T1 KM", "T1CE"), ("T1c", "T1CE"), ("T1 unenhanced", "T1"), ("T1 non-contrast", "T1"),
     ("T1 without contrast", "T1"), ("T10", None), ("art1", None), ("mp2rage", "T1"),
     ("BRAVO post", "T1CE"), ("spgr", "T1"), ("T2W", "T2"), ("T2 star", "other"), ("SWI", "other"),
     ("swan t2", "other"), ("dark-fluid t2", "FLAIR"), ("T1 FLAIR", "FLAIR"), ("TIRM", "FLAIR"),
     ("T2 post", "T2"), ("dti", None)],
)  # fmt: skip
def test_words_of_scanners_and_hospitals(words: str, sequence: str | None) -> None:
    assert sequence_of_words(words, None, None) == sequence
    assert sequence_of_words(None, words, None) == sequence, "the sequence's name says it too"


def test_a_contrast_agent_that_is_stated_makes_a_t1_enhanced_unless_words_deny_it() -> None:
    assert sequence_of_words("t1", None, "Gadovist") == "T1CE"
    assert sequence_of_words("t1", None, "NONE ") == sequence_of_words("t1", None, "no") == "T1"
    for agent in ("0", "-", "no contrast", "ohne KM", "Without contrast", "N"):
        assert sequence_of_words("t1", None, agent) == "T1", agent
    for agent in ("0.1 mmol/kg Gd", "Novamagnet"):
        assert sequence_of_words("t1", None, agent) == "T1CE", agent
    assert sequence_of_words("t1 pre", None, "Gadovist") == "T1"
    assert sequence_of_words("t2", None, "Gadovist") == "T2"
    assert sequence_of_words(None, None, "Gadovist") is None


@pytest.mark.parametrize(("probability", "known"), [(0.8, "FLAIR"), (0.79, "T1")])
def test_from_four_fifths_on_the_network_is_relied_on(probability: float, known: str) -> None:
    told = SequenceAnswer(name="FLAIR", probability=probability)
    assert known_sequence(told, None) == ("FLAIR" if known == "FLAIR" else None)
    assert known_sequence(told, "T1") == (None if known == "FLAIR" else "T1")
    assert bool(contradiction(told, "T1")) == (known == "FLAIR")


def test_slices_are_averaged_as_probabilities_so_one_sure_slice_does_not_decide() -> None:
    sure, unsure = [60.0, 0, 0, 0, 0], [0, 2.0, 0, 0, 0]
    told = predicted_sequence(np.array([sure, unsure, unsure, unsure]))
    assert told.name == "T1CE"
    assert told.probability == pytest.approx(0.75 * np.exp(2) / (np.exp(2) + 4))
