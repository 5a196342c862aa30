"""The sentence that people read first, and the names of the states. Made here and nowhere else.

The page makes the same sentence where no server does (frontend/src/summary.ts); test vectors hold
the two together.
"""

from collections.abc import Mapping
from typing import Final

from tumorlens.inference.record import (
    ABSTAINED,
    CLASSIFIED,
    DETECTED,
    REJECTED,
    Answer,
    Decision,
    Failure,
    Result,
)
from tumorlens.labels import DISPLAY_NAMES, NO_TUMOR

STATE_NAMES: Final[dict[str, str]] = {
    CLASSIFIED: "Classified",
    DETECTED: "Tumour detected, kind uncertain",
    ABSTAINED: "Abstained",
    REJECTED: "Rejected",
    "failed": "Failed",
}
"""The states of an answer as people read them: the same words as ``decision``."""
T1_CAVEAT: Final = "On plain T1 some tumours hardly show."
PLAIN_T1: Final = "T1"
NAMED_FROM: Final = 0.10
"""Probability from which a kind is always named beside an uncertain one."""


def headline(result: Result) -> str:
    """``Glioma``, ``No tumour``, ``Tumour detected, kind uncertain``, ``Abstained``..."""
    if isinstance(result, Failure):
        return STATE_NAMES["failed"]
    if result.label is None:
        return STATE_NAMES[result.decision]
    return DISPLAY_NAMES[result.label].capitalize()


def state_of(result: Result) -> str:
    """``classified``, ``detected``, ``abstained``, ``rejected`` or ``failed``."""
    return "failed" if isinstance(result, Failure) else result.decision


def is_tumor(answer: Answer) -> bool:
    """Whether a tumour is reported, its kind named or not."""
    return answer.decision == DETECTED or (answer.label is not None and answer.label != NO_TUMOR)


def summarize(
    decision: Decision,
    label: str | None,
    probabilities: Mapping[str, float],
    reason: str = "",
    *,
    sequence: str | None = None,
) -> str:
    """The answer in a sentence or two; ``sequence`` where it is known."""
    if decision == REJECTED:
        return f"Rejected: {reason}."
    tumor = whole_percent(1.0 - probabilities[NO_TUMOR])
    if decision == ABSTAINED:
        return f"Uncertain whether there is a tumour ({tumor})."
    if label == NO_TUMOR:
        said = f"No tumour seen ({whole_percent(probabilities[NO_TUMOR])})."
        return f"{said} {T1_CAVEAT}" if sequence == PLAIN_T1 else said
    if decision == CLASSIFIED and label is not None:
        return f"Tumour likely ({tumor}). Kind: {_named(label, probabilities)}."
    return f"Tumour likely ({tumor}). Kind uncertain: {_kinds(probabilities)}."


def whole_percent(share: float) -> str:
    """0.987 as ``99%``; never a rounded-up certainty, but ``>99%`` and ``<1%``."""
    if share > 0.99:
        return ">99%"
    return "<1%" if share < 0.01 else f"{100 * share:.0f}%"


def _kinds(probabilities: Mapping[str, float]) -> str:
    """The kinds from ``NAMED_FROM`` on, the most probable first; at least one."""
    kinds = sorted((n for n in probabilities if n != NO_TUMOR), key=lambda n: -probabilities[n])
    told = [name for name in kinds if probabilities[name] >= NAMED_FROM] or kinds[:1]
    return ", ".join(_named(name, probabilities) for name in told)


def _named(label: str, probabilities: Mapping[str, float]) -> str:
    return f"{DISPLAY_NAMES[label]} {whole_percent(probabilities[label])}"
