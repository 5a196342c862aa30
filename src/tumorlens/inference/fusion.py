"""One answer for the series of a study: late fusion of what each of them says.

The log-odds of a tumour are averaged with weights by sequence (``bundle.FusionRule``); several
series of one sequence share its weight. An average, not a sum: a missing series changes only who is
asked, and the thresholds of single volumes keep their meaning. The kind is named by the series that
see the tumour. Weights are learnt on patients with several sequences: ``python -m
experiments.fusion``.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import FusionRule, WholeKind
from tumorlens.inference.classifier import Classifier, Conclusion
from tumorlens.inference.record import (
    ABSTAINED,
    Finding,
    ImageAnswer,
    SeriesWeight,
    StudyPrediction,
    VolumePrediction,
)
from tumorlens.inference.sequence import known_sequence, sequence_of_words
from tumorlens.inference.summary import found, is_tumor, summarize
from tumorlens.labels import BRAIN_TUMORS, ClassSet

_TINY: Final = 1e-6
"""Probabilities are kept so far from 0 and 1: no series may decide alone by being absurdly sure."""


class _Member(NamedTuple):
    answer: ImageAnswer
    sequence: str | None
    weight: float
    row: NDArray[np.float64]


def fuse_study(
    classifier: Classifier, path: str, answers: Sequence[ImageAnswer]
) -> StudyPrediction | None:
    """The answer of a study from those of its series; None where fewer than two have one."""
    classes = classifier.classes
    members = _members(answers, classifier.bundle.info.fusion, classes)
    if len(members) < 2:
        return None
    row = fuse([one.row for one in members], [one.weight for one in members], classes)
    concluded = classifier.conclude(row, whole=_kind(members))
    concluded = _without_contradiction(concluded, members, classes)
    used = {id(one.answer): one for one in members}
    left_out = len(answers) - len(members)
    return StudyPrediction(
        path=path,
        study_instance_uid=_study_uid(answers),
        finding=_finding(members) if found(*concluded[:2], classes) else None,
        members=tuple(
            SeriesWeight(
                path=answer.path,
                sequence=used[id(answer)].sequence if id(answer) in used else None,
                weight=used[id(answer)].weight if id(answer) in used else 0.0,
                tumor_probability=answer.tumor_probability,
            )
            for answer in answers
        ),
        model=classifier.model,
        notes=(f"{left_out} of {len(answers)} series have no say",) if left_out else (),
        **concluded._asdict(),
    )


def fuse(
    rows: Sequence[NDArray[np.float64]],
    weights: Sequence[float],
    classes: ClassSet = BRAIN_TUMORS,
) -> NDArray[np.float64]:
    """Probabilities (C,) out of those of several series (C,) each.

    Their weighted mean where no class means "no finding". Raises ``ValueError`` where no weight is
    above 0.
    """
    table, share = np.stack(rows), np.asarray(weights, dtype=np.float64)
    if not share.sum() > 0:
        raise ValueError("no series has a weight")
    share = share / share.sum()
    place = classes.no_finding_index
    if place is None:
        mean: NDArray[np.float64] = share @ table
        return mean
    none = np.clip(table[:, place], _TINY, 1.0 - _TINY)
    odds = float(share @ np.log((1.0 - none) / none))
    tumor = 1.0 / (1.0 + np.exp(-odds))
    kinds = table.copy()
    kinds[:, place] = 0.0
    seen = share @ kinds  # who sees more of a tumour says more of its kind
    fused: NDArray[np.float64] = tumor * seen / max(float(seen.sum()), _TINY**2)
    fused[place] = 1.0 - fused.sum()
    return fused


def _members(answers: Sequence[ImageAnswer], rule: FusionRule, classes: ClassSet) -> list[_Member]:
    usable = [answer for answer in answers if answer.probabilities is not None]
    sequences = [_sequence(answer) for answer in usable]
    count = Counter(sequences)
    members = []
    for answer, sequence in zip(usable, sequences, strict=True):
        weight = rule.weights.get(sequence or "", 1.0)
        # Unknown ones may be of different sequences: each stands for itself.
        weight = weight / count[sequence] if sequence else weight
        shares = answer.probabilities or {}
        members.append(
            _Member(answer, sequence, weight, np.array([shares[name] for name in classes.names]))
        )
    return [one for one in members if one.weight > 0.0]


def _sequence(answer: ImageAnswer) -> str | None:
    series = answer.series if isinstance(answer, VolumePrediction) else None
    stated = None
    if series is not None:
        stated = sequence_of_words(series.description, series.sequence_name, series.contrast_agent)
    return known_sequence(answer.sequence, stated)


def _without_contradiction(
    concluded: Conclusion, members: Sequence[_Member], classes: ClassSet
) -> Conclusion:
    """No study is free of tumour while one of its series by itself reports one."""
    alone = [one for one in members if is_tumor(one.answer)]
    told_none = concluded.label is not None and concluded.label == classes.no_finding
    if not told_none or not alone or concluded.probabilities is None:
        return concluded
    reason = (
        f"{len(alone)} of {len(members)} series by themselves report a {classes.finding}, "
        "others none"
    )
    return concluded._replace(
        decision=ABSTAINED,
        label=None,
        reason=reason,
        summary=summarize(ABSTAINED, None, concluded.probabilities, classes=classes),
        prediction_set=None,
    )


def _kind(members: Sequence[_Member]) -> WholeKind | None:
    """By the rule for axial volumes where all are, for pictures where none is a volume."""
    volumes = [one.answer for one in members if isinstance(one.answer, VolumePrediction)]
    if not volumes:
        return None
    planes = {volume.series.plane if volume.series else None for volume in volumes}
    return "axial" if planes == {"axial"} else "other"


def _finding(members: Sequence[_Member]) -> Finding | None:
    """That of the series that sees the tumour best, of those that found one."""
    found = [
        (one.weight * (one.answer.tumor_probability or 0.0), one.answer.finding)
        for one in members
        if isinstance(one.answer, VolumePrediction) and one.answer.finding is not None
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _study_uid(answers: Sequence[ImageAnswer]) -> str | None:
    uids = {
        answer.series.study_instance_uid
        for answer in answers
        if isinstance(answer, VolumePrediction) and answer.series is not None
    }
    return uids.pop() if len(uids) == 1 else None
