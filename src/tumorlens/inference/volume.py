"""Answer volumes: each slice, the whole, and the position of the finding."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import WholeKind
from tumorlens.errors import BlankImageError, InputError
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.samples.slices_in_turns import notes_on_turns
from tumorlens.inference.aggregation import aggregate
from tumorlens.inference.brain_slices import Slices, is_upright_axial, locate_slices
from tumorlens.inference.classifier import Classifier, PreparedImage, RawPrediction
from tumorlens.inference.finding import center_of, describe, locate_finding
from tumorlens.inference.record import (
    REJECTED,
    Failure,
    Heatmap,
    ImageAnswer,
    SequenceAnswer,
    SlicePrediction,
    VolumePrediction,
)
from tumorlens.inference.sequence import (
    contradiction,
    known_sequence,
    predicted_sequence,
    stated_sequence,
)
from tumorlens.inference.summary import is_tumor

Raw = RawPrediction | Failure
BATCH: Final = 16


class Answered(NamedTuple):
    """An image with its answer, and what is needed to explain it without another forward pass."""

    image: MedicalImage
    answer: ImageAnswer
    parts: Sequence[Raw]
    """One for each slice; one for an image."""

    def heatmap(self) -> Heatmap | None:
        """The heatmap of the decisive slice.

        None if the answer is a rejection or "no tumour", or the slice by itself has no heatmap.
        """
        answer = self.answer
        if answer.heatmap is not None or answer.decision == REJECTED:
            return answer.heatmap
        if answer.label is not None and not is_tumor(answer):
            return None
        return self.heatmap_of(answer.decisive_slice if isinstance(answer, VolumePrediction) else 0)

    def heatmap_of(self, index: int) -> Heatmap | None:
        """The heatmap of one slice; None if it cannot be used, is rejected, or shows no tumour."""
        part = self.parts[index]
        return part.heatmap() if isinstance(part, RawPrediction) else None


def answer_whole(
    classifier: Classifier,
    image: MedicalImage,
    answers: Sequence[Raw],
) -> VolumePrediction:
    """The answer for a volume, from those for its slices, by the thresholds of ``classifier``.

    Raises ``BlankImageError`` if no slice could be used.
    """
    usable = [answer for answer in answers if isinstance(answer, RawPrediction)]
    if not usable:
        raise BlankImageError(f"{image.source}: all slices are empty")
    classes = classifier.classes
    slices = locate_slices(image)
    counted = count_slices(answers, slices)
    rows = [
        answer.row
        if counts and isinstance(answer, RawPrediction)
        else np.full(len(classes), np.nan)
        for answer, counts in zip(answers, counted, strict=True)
    ]
    aggregated = aggregate(np.stack(rows), slices.along_mm, classes)
    rejected = all(answer.prediction.decision == REJECTED for answer in usable)
    rejection = usable[0].prediction.reason if rejected else ""
    predicted = _sequence([a for a, counts in zip(answers, counted, strict=True) if counts])
    stated = stated_sequence(image.facts)
    concluded = classifier.conclude(
        aggregated.probabilities,
        rejection,
        known_sequence(predicted, stated),
        whole=whole_kind(image),
        is_part=bool(slices.coverage_note),
    )
    decisive = answers[aggregated.finding[1]]
    kind = classes.likeliest_kind(aggregated.probabilities)
    heatmap = decisive.heatmap(kind) if isinstance(decisive, RawPrediction) else None
    whole = VolumePrediction(
        path=image.source,
        sequence=None if rejected else predicted,
        finding=locate_finding(aggregated.finding, image, slices, heatmap),
        decisive_slice=aggregated.finding[1],
        is_upright_axial=is_upright_axial(image.facts),
        slices=tuple(
            _slice(answer, _unanswered(image, slices, index), counts=bool(counted[index]))
            for index, answer in enumerate(answers)
        ),
        series=describe(image, image.facts) if image.facts else None,
        model=classifier.model,
        notes=(
            *image.notes,
            *notes_on_turns(image.samples),
            *_left_out(answers, counted),
            *filter(None, [slices.spacing_note, slices.coverage_note]),
            *contradiction(predicted, stated),
        ),
        heatmap=heatmap,
        **concluded._asdict(),
    )
    if is_tumor(whole):
        return whole
    suspicion = classes.suspicion(np.stack(rows))
    return msgspec.structs.replace(
        whole,
        finding=None,
        heatmap=None,
        decisive_slice=image.depth // 2 if rejected else int(np.nanargmax(suspicion)),
    )


def whole_kind(image: MedicalImage) -> WholeKind:
    """Which thresholds for whole heads apply: ``axial`` or ``other``."""
    return "axial" if is_upright_axial(image.facts) else "other"


def _left_out(answers: Sequence[Raw], counted: NDArray[np.bool_]) -> list[str]:
    """A note on slices between those that count that are blank, or were rejected."""
    counting = np.flatnonzero(counted)
    inside = slice(int(counting[0]), int(counting[-1]))
    count = sum(
        isinstance(answer, Failure) or answer.prediction.decision == REJECTED
        for answer, counts in zip(answers[inside], counted[inside], strict=True)
        if not counts
    )
    if not count:
        return []
    if count == 1:
        return ["1 slice between the others is blank or rejected; the answer does not cover it"]
    return [
        f"{count} slices between the others are blank or rejected; the answer does not cover them"
    ]


def count_slices(answers: Sequence[Raw], slices: Slices) -> NDArray[np.bool_]:
    """Whether each slice counts: (D,). Slices of the brain that were not rejected do.

    If there is none, all slices that were not rejected count, or else all that have an answer.
    """
    has_row = np.array([isinstance(answer, RawPrediction) for answer in answers])
    accepted = np.array([
        isinstance(answer, RawPrediction) and answer.prediction.decision != REJECTED
        for answer in answers
    ])  # fmt: skip
    for counted in (accepted & slices.in_brain, accepted):
        if counted.any():
            return counted
    return has_row


def slice_of(image: MedicalImage, index: int) -> MedicalImage:
    """One slice as an image; the image itself if it is not a volume."""
    pixels = image.pixels[index] if image.is_volume else image.pixels
    source = f"{image.source} slice {index}" if image.is_volume else image.source
    return MedicalImage(pixels, source, image.bit_depth, image.mode, color=image.color)


def answer_image(
    classifier: Classifier,
    image: MedicalImage,
    batch_size: int = BATCH,
    *,
    explain: bool = False,
) -> Answered:
    """Classify an image or a volume; raise ``InputError`` where it cannot be used.

    With ``explain`` the answer has the heatmap of an image, or of a volume's finding.
    """
    if not image.is_volume:
        (raw,) = classifier.answer([classifier.prepare(image)])
        return Answered(image, raw.explained() if explain else raw.prediction, (raw,))
    answers = answer_slices(classifier, image, batch_size)
    whole = answer_whole(classifier, image, answers)
    return Answered(
        image,
        whole if explain else msgspec.structs.replace(whole, heatmap=None),
        answers,
    )


def answer_slices(classifier: Classifier, image: MedicalImage, batch_size: int) -> list[Raw]:
    """Answer each slice; one that cannot be used gives a ``Failure``."""
    prepared = [_prepared(classifier, slice_of(image, index)) for index in range(image.depth)]
    usable = [part for part in prepared if not isinstance(part, Failure)]
    answers = [
        answer
        for start in range(0, len(usable), batch_size)
        for answer in classifier.answer(usable[start : start + batch_size])
    ]
    following = iter(answers)
    return [part if isinstance(part, Failure) else next(following) for part in prepared]


def _prepared(classifier: Classifier, image: MedicalImage) -> PreparedImage | Failure:
    try:
        return classifier.prepare(image)
    except InputError as error:
        return Failure.from_error(image.source, error)


def _sequence(answers: Sequence[Raw]) -> SequenceAnswer | None:
    """The sequence that is predicted from the given slices together."""
    logits = [
        a.sequence for a in answers if isinstance(a, RawPrediction) and a.sequence is not None
    ]
    return predicted_sequence(np.stack(logits)) if logits else None


def _unanswered(image: MedicalImage, slices: Slices, index: int) -> SlicePrediction:
    """The record of a slice without an answer: its position."""
    stated = image.facts.slices[index].along_mm if image.facts and image.facts.slices else None
    center = center_of(image, index) if slices.spacing_is_known else None
    return SlicePrediction(index=index, along_mm=stated, center_mm=center, counted=False)


def _slice(answer: Raw, unanswered: SlicePrediction, *, counts: bool) -> SlicePrediction:
    if isinstance(answer, Failure):
        return msgspec.structs.replace(unanswered, error=answer.error)
    prediction = answer.prediction
    return msgspec.structs.replace(
        unanswered,
        counted=counts,
        decision=prediction.decision,
        label=prediction.label,
        reason=prediction.reason,
        tumor_probability=prediction.tumor_probability,
        probabilities=prediction.probabilities,
        prediction_set=prediction.prediction_set,
    )
