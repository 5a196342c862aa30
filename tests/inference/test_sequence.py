"""Which sequence an image is, by the network and by its header."""

import numpy as np
import pytest

from tumorlens.imaging.facts import AcquisitionFacts
from tumorlens.inference.record import SequenceAnswer
from tumorlens.inference.sequence import (
    contradiction,
    known_sequence,
    predicted_sequence,
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
