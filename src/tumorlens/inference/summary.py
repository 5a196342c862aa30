"""The summary and the headline of an answer.

Without a server, the page writes the same summary (frontend/src/summary.ts); test vectors compare
the two.
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
from tumorlens.labels import BRAIN_TUMORS, ClassSet
from tumorlens.text import probability_percent

T1_CAVEAT: Final = "Some tumours are hardly visible on plain T1."
PART_CAVEAT: Final = "Only part of the head was seen."
PLAIN_T1: Final = "T1"
NAMED_FROM: Final = 0.10
"""Kinds of at least this probability are named if the kind is uncertain."""


def headline(result: Result) -> str:
    """``Glioma``, ``No tumour``, ``Tumour detected, kind uncertain``, ``Abstained``..."""
    if isinstance(result, Failure):
        return result.decision.capitalize()
    classes = result.model.class_set
    if result.label is not None:
        return _first_upper(classes.display_names[result.label])
    if result.decision == DETECTED:
        return f"{classes.finding.capitalize()} detected, kind uncertain"
    return result.decision.capitalize()


def is_tumor(answer: Answer) -> bool:
    """Whether a tumour (or other finding) is reported, with or without its kind."""
    return reports_finding(answer.decision, answer.label, answer.model.class_set)


def reports_finding(decision: Decision, label: str | None, classes: ClassSet) -> bool:
    """The same from the parts of an answer."""
    return decision == DETECTED or (label is not None and label != classes.no_finding)


def summarize(
    decision: Decision,
    label: str | None,
    probabilities: Mapping[str, float],
    reason: str = "",
    *,
    sequence: str | None = None,
    is_part: bool = False,
    classes: ClassSet = BRAIN_TUMORS,
) -> str:
    """The answer in a sentence or two.

    ``sequence`` is None if it is not known; ``is_part`` means that most of the head is not shown.
    """
    if decision == REJECTED:
        return f"Rejected: {reason}."
    if classes.no_finding is None:
        return _kind_alone(label, probabilities, classes)
    word, none = classes.finding, probabilities[classes.no_finding]
    share = probability_percent(1.0 - none, 0)
    if decision == ABSTAINED:
        return f"Uncertain whether there is {classes.a_finding} (probability {share})."
    if label == classes.no_finding:
        plain_t1 = sequence == PLAIN_T1 and word == BRAIN_TUMORS.finding
        caveats = [T1_CAVEAT] * plain_t1 + [PART_CAVEAT] * is_part
        return " ".join([f"No {word} seen ({probability_percent(none, 0)}).", *caveats])
    likely = f"{word.capitalize()} likely ({share})."
    if len(classes.kinds) == 1:  # the kind is known
        return _kind_alone(label, probabilities, classes)
    if decision == CLASSIFIED and label is not None:
        return f"{likely} Kind: {_named(label, probabilities, classes)}."
    return f"{likely} Kind uncertain: {_kinds(probabilities, classes)}."


def _kind_alone(label: str | None, probabilities: Mapping[str, float], classes: ClassSet) -> str:
    """The summary if there is no "no finding", or only one kind."""
    if label is None:
        return f"Kind uncertain: {_kinds(probabilities, classes)}."
    name = _first_upper(classes.display_names[label])
    return f"{name} likely ({probability_percent(probabilities[label], 0)})."


def _kinds(probabilities: Mapping[str, float], classes: ClassSet) -> str:
    """The kinds of at least ``NAMED_FROM``, the most probable first; at least one."""
    kinds = [n for n in probabilities if n != classes.no_finding]
    kinds.sort(key=lambda name: -probabilities[name])
    likely_kinds = [name for name in kinds if probabilities[name] >= NAMED_FROM] or kinds[:1]
    return ", ".join(_named(name, probabilities, classes) for name in likely_kinds)


def _named(label: str, probabilities: Mapping[str, float], classes: ClassSet) -> str:
    return f"{classes.display_names[label]} {probability_percent(probabilities[label], 0)}"


def _first_upper(words: str) -> str:
    return words[:1].upper() + words[1:]
