"""The MR sequence of an image: as predicted by the network, and as stated in the header."""

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.imaging.facts import AcquisitionFacts
from tumorlens.inference.postprocessing import softmax
from tumorlens.inference.record import SequenceAnswer
from tumorlens.labels import SEQUENCES

KNOWN_FROM: Final = 0.8
"""Probability from which the predicted sequence is relied on."""
_OTHER: Final = SEQUENCES[-1]
_CONTRAST: Final = re.compile(
    r"\+\s?c\b|\bc\+|\bce\b|t1ce|t1c\b|t1gd|\bgd\b|gado|\bkm\b|\bpost\b(?![- ]?op)|contrast"
    r"|enhanced",
    re.IGNORECASE,
)
_WITHOUT: Final = re.compile(
    r"\bpre\b|without|\bw/o\b|\bohne\b|\bsans\b|\bnon[- ]?contrast|unenhanced|-c\b", re.IGNORECASE
)
_BOTH: Final = re.compile(
    r"(?:\b(?:and|und|et)\b|[&+/])\s*(?:with|w|mit|avec)\b"
    r"|\b(?:with|w|mit|avec)\s*(?:\b(?:and|und|et)\b|[&+/])\s*(?:without|wo\b|w/o|ohne|sans)",
    re.IGNORECASE,
)
"""Without and with contrast: the later images have it."""
_NO_AGENT: Final = re.compile(
    r"\W*(?:0+|(?:no|none|nil|n|without|w/o|ohne|sans)\b.*)?\W*", re.IGNORECASE | re.DOTALL
)
"""What is stated as the contrast agent where there was none."""
_FLAIR: Final = re.compile(r"flair|dark[- _]?fluid|tirm", re.IGNORECASE)
_T1: Final = re.compile(r"(?<![a-z0-9])t1(?![0-9])|mp2?rage|bravo|spgr|t1w", re.IGNORECASE)
_T2: Final = re.compile(r"(?<![a-z0-9])t2(?![0-9*])|t2w", re.IGNORECASE)
_T2_STAR: Final = re.compile(r"t2\*|t2[-_ ]?star|swi|swan", re.IGNORECASE)


def stated_sequence(facts: AcquisitionFacts | None) -> str | None:
    """The sequence that the header states, as one of ``SEQUENCES``; None if it is not clear."""
    if facts is None:
        return None
    return sequence_of_words(facts.series_description, facts.sequence_name, facts.contrast_agent)


def sequence_of_words(
    description: str | None, sequence_name: str | None, contrast_agent: str | None
) -> str | None:
    """The same from the texts of a header."""
    words = " ".join(filter(None, (description, sequence_name))).replace("_", " ")
    if _T2_STAR.search(words):
        return _OTHER
    if _FLAIR.search(words):
        return "FLAIR"
    is_t1, is_t2 = bool(_T1.search(words)), bool(_T2.search(words))
    if is_t1 == is_t2:
        return None
    if is_t2:
        return "T2"
    has_agent = not _NO_AGENT.fullmatch(contrast_agent or "")
    has_contrast = has_agent or bool(_CONTRAST.search(words))
    is_without = bool(_WITHOUT.search(words)) and not _BOTH.search(words)
    return "T1CE" if has_contrast and not is_without else "T1"


def predicted_sequence(logits: NDArray[np.floating]) -> SequenceAnswer:
    """The predicted sequence of an image, logits (5,), or of several together, (N, 5)."""
    row = softmax(np.atleast_2d(logits)).mean(axis=0)
    best = int(row.argmax())
    return SequenceAnswer(name=SEQUENCES[best], probability=float(row[best]))


def known_sequence(predicted: SequenceAnswer | None, stated: str | None) -> str | None:
    """The sequence to rely on: the predicted one if it is confident, otherwise the stated one.

    None if the two contradict each other.
    """
    if predicted is None or predicted.probability < KNOWN_FROM:
        return stated
    return predicted.name if stated in (None, predicted.name) else None


def contradiction(predicted: SequenceAnswer | None, stated: str | None) -> tuple[str, ...]:
    """A note if the two contradict each other; otherwise empty."""
    if predicted is None or stated is None or known_sequence(predicted, stated) is not None:
        return ()
    return (f"the header says {stated}, the image looks like {predicted.name}",)
