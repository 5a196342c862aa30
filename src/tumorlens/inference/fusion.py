"""Combine the answers for the series of a study into one.

The log-odds of a tumour are averaged with weights by sequence (``bundle.FusionRule``): at each
position if series are parallel (``evidence``), otherwise over whole series. Several series of one
sequence share its weight. Because it is an average and not a sum, the thresholds of single volumes
remain valid if a series is missing. Single images and series of a few slices do not count beside
longer ones, because they miss most tumours. Localizers, computed maps and other parts of the body
do not count either, because the network was not trained on them. The weights are fitted on patients
with several sequences: ``python -m experiments.fusion``.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import FusionRule, WholeKind
from tumorlens.imaging.facts import AcquisitionFacts
from tumorlens.imaging.input import common_path
from tumorlens.inference.brain_slices import FEWEST_SLICES
from tumorlens.inference.classifier import Classifier, Conclusion
from tumorlens.inference.evidence import Stack, fuse, fuse_positions, parallel_groups
from tumorlens.inference.examinations import examinations
from tumorlens.inference.record import (
    ABSTAINED,
    Finding,
    ImageAnswer,
    SeriesWeight,
    StudyPrediction,
    VolumePrediction,
)
from tumorlens.inference.sequence import known_sequence, sequence_of_words
from tumorlens.inference.summary import is_tumor, reports_finding, summarize
from tumorlens.labels import ClassSet

LESS_TELLING: Final = (
    f"series of fewer than {FEWEST_SLICES} slices, localizers, computed images (such as ADC maps) "
    "and other parts of the body are used only if the study has no other series"
)


class _Member(NamedTuple):
    answer: ImageAnswer
    sequence: str | None
    weight: float
    row: NDArray[np.float64]
    stack: Stack | None
    """The positions of its slices; None for an image, and if the files do not state them."""


def fuse_study(
    classifier: Classifier,
    path: str,
    answers: Sequence[ImageAnswer],
    facts: Sequence[AcquisitionFacts | None],
) -> StudyPrediction | None:
    """The answer for a study from those for its series; None if fewer than two have one.

    ``facts`` (one for each series) are None for files that state none.
    """
    classes = classifier.classes
    usable = [answer for answer in answers if answer.probabilities is not None]
    telling = _telling(answers, facts) or usable
    members = _members(telling, classifier.bundle.info.fusion, classes)
    if len(usable) < 2 or not members:
        return None
    concluded = classifier.conclude(_fused(members, classes), whole=_kind(members))
    concluded = _without_contradiction(concluded, usable, classes)
    used = {id(member.answer): member for member in members}
    decisive = _decisive(members, reports_finding(*concluded[:2], classes), classes)
    left_out = len(answers) - len(members)
    return StudyPrediction(
        path=path,
        study_instance_uid=_study_uid(answers),
        finding=_finding_of(decisive) if reports_finding(*concluded[:2], classes) else None,
        members=tuple(_weight(answer, used.get(id(answer))) for answer in answers),
        decisive_member=next(k for k, answer in enumerate(answers) if answer is decisive),
        model=classifier.model,
        notes=(
            *([f"{left_out} of {len(answers)} series are not used"] if left_out else []),
            *([LESS_TELLING] if len(telling) < len(usable) else []),
        ),
        **concluded._asdict(),
    )


def fuse_examinations(
    classifier: Classifier,
    path: str,
    answers: Sequence[ImageAnswer],
    facts: Sequence[AcquisitionFacts | None],
) -> Iterator[tuple[StudyPrediction, list[int]]]:
    """``fuse_study`` for each patient and visit, with the indices of its series in ``answers``.

    Normally a study is one visit of one patient, and ``path`` is where it was found. Those that lie
    in one folder with others are named by their first files.
    """
    parts = examinations([answer.path for answer in answers], facts)
    members = [[answers[index] for index in indices] for indices, _ in parts]
    folders = [study_path(own) for own in members]
    within = Counter(above for folder in folders for above in _with_parents(folder))
    for own, folder, (indices, notes) in zip(members, folders, parts, strict=True):
        stated = [facts[index] for index in indices]
        where = folder if within[folder] == 1 else _first_file(own, stated)
        together = fuse_study(classifier, where if len(parts) > 1 else path, own, stated)
        if together is not None:
            yield msgspec.structs.replace(together, notes=(*together.notes, *notes)), indices


def study_path(answers: Sequence[ImageAnswer]) -> str:
    """The folder or archive that all answers of a study come from."""
    return common_path([answer.path for answer in answers]) if answers else ""


def _with_parents(folder: str) -> Iterator[str]:
    """``folder``, and all folders that it lies in."""
    above = os.path.dirname(folder)  # noqa: PTH120  (a text, not a path)
    yield folder
    if above != folder:
        yield from _with_parents(above)


def _first_file(answers: Sequence[ImageAnswer], facts: Sequence[AcquisitionFacts | None]) -> str:
    """The first by name of the files that the answers are for."""
    return min(
        name
        for answer, series in zip(answers, facts, strict=True)
        for name in (_names(series) or [answer.path])
    )


def _names(series: AcquisitionFacts | None) -> list[str]:
    parts = series.stored if series is not None else ()
    return [part.path if part.member is None else f"{part.path}/{part.member}" for part in parts]


def _weight(answer: ImageAnswer, used: _Member | None) -> SeriesWeight:
    series = answer.series if isinstance(answer, VolumePrediction) else None
    return SeriesWeight(
        path=answer.path,
        series_instance_uid=series.series_instance_uid if series else None,
        sequence=used.sequence if used else None,
        weight=used.weight if used else 0.0,
        tumor_probability=answer.tumor_probability,
    )


def _fused(members: Sequence[_Member], classes: ClassSet) -> NDArray[np.float64]:
    """Combine parallel series position by position, and then the groups of parallel series."""
    rows, weights = [], []
    for group in parallel_groups([member.stack for member in members]):
        series = [stack for k in group if (stack := members[k].stack)]
        own = [members[k].weight for k in group]
        rows.append(
            fuse_positions(series, own, classes) if len(series) > 1 else members[group[0]].row
        )
        weights.append(sum(own))
    return fuse(rows, weights, classes)


def _telling(
    answers: Sequence[ImageAnswer], facts: Sequence[AcquisitionFacts | None]
) -> list[ImageAnswer]:
    """Answers for acquired series of the head with enough slices."""
    return [
        answer
        for answer, stated in zip(answers, facts, strict=True)
        if isinstance(answer, VolumePrediction)
        and answer.probabilities is not None
        and len(answer.slices) >= FEWEST_SLICES
        and not (stated and stated.outside_training)
    ]


def _members(answers: Sequence[ImageAnswer], rule: FusionRule, classes: ClassSet) -> list[_Member]:
    sequences = [_sequence(answer) for answer in answers]
    count = Counter(sequences)
    members = []
    for answer, sequence in zip(answers, sequences, strict=True):
        weight = rule.weights.get(sequence or "", 1.0)
        # Series of unknown sequence may differ in it, so they do not share a weight.
        weight = weight / count[sequence] if sequence else weight
        row, stack = _row(answer.probabilities or {}, classes), _stack(answer, classes)
        members.append(_Member(answer, sequence, weight, row, stack))
    return [member for member in members if member.weight > 0.0]


def _row(probabilities: Mapping[str, float], classes: ClassSet) -> NDArray[np.float64]:
    return np.array([probabilities[name] for name in classes.names])


def _stack(answer: ImageAnswer, classes: ClassSet) -> Stack | None:
    if not isinstance(answer, VolumePrediction) or answer.series is None:
        return None
    counted = [part for part in answer.slices if part.counted and part.probabilities is not None]
    centers = [part.center_mm for part in counted if part.center_mm is not None]
    if len(centers) < max(2, len(counted)):
        return None
    table = np.stack([_row(part.probabilities or {}, classes) for part in counted])
    return Stack(np.array(centers), table, answer.series.frame_of_reference_uid)


def _sequence(answer: ImageAnswer) -> str | None:
    series = answer.series if isinstance(answer, VolumePrediction) else None
    stated = None
    if series is not None:
        stated = sequence_of_words(series.description, series.sequence_name, series.contrast_agent)
    return known_sequence(answer.sequence, stated)


def _without_contradiction(
    concluded: Conclusion, answers: Sequence[ImageAnswer], classes: ClassSet
) -> Conclusion:
    """Abstain instead of "no finding" if one of the series by itself reports a finding."""
    alone = [answer for answer in answers if is_tumor(answer)]
    is_none = concluded.label is not None and concluded.label == classes.no_finding
    if not is_none or not alone or concluded.probabilities is None:
        return concluded
    reason = (
        f"{len(alone)} of {len(answers)} series, by themselves, report {classes.a_finding}; "
        "the others report none"
    )
    return concluded._replace(
        decision=ABSTAINED,
        label=None,
        reason=reason,
        summary=summarize(ABSTAINED, None, concluded.probabilities, classes=classes),
        prediction_set=None,
    )


def _kind(members: Sequence[_Member]) -> WholeKind | None:
    """``axial`` if all volumes are axial, None if there is no volume."""
    volumes = [member.answer for member in members if isinstance(member.answer, VolumePrediction)]
    if not volumes:
        return None
    return "axial" if all(volume.is_upright_axial for volume in volumes) else "other"


def _decisive(members: Sequence[_Member], is_found: bool, classes: ClassSet) -> ImageAnswer:
    """The answer that views open on; if the study has a finding, from a series that shows one."""
    candidates = [member for member in members if _finding_of(member.answer) is not None]
    if not is_found or not candidates:
        candidates = list(members)

    def strength(member: _Member) -> float:
        return member.weight * float(classes.suspicion(member.row))

    return max(candidates, key=strength).answer


def _finding_of(answer: ImageAnswer) -> Finding | None:
    return answer.finding if isinstance(answer, VolumePrediction) else None


def _study_uid(answers: Sequence[ImageAnswer]) -> str | None:
    uids = {
        answer.series.study_instance_uid
        for answer in answers
        if isinstance(answer, VolumePrediction) and answer.series is not None
    }
    return uids.pop() if len(uids) == 1 else None
