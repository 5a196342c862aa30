"""Answers for volumes: one a slice, one for the whole, and where the finding lies."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import BlankImageError, InputError, VolumeError
from tumorlens.imaging import reader
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.signatures import SNIFF_BYTES, sniff
from tumorlens.inference.aggregation import AggregationConfig, aggregate, positions
from tumorlens.inference.classifier import (
    Classifier,
    Failure,
    FailureReason,
    ModelIdentity,
    Prediction,
)
from tumorlens.inference.decision import CLASSIFIED, REJECTED, Decision
from tumorlens.inference.finding import Finding, SeriesFacts, describe, locate_finding
from tumorlens.inference.postprocessing import label
from tumorlens.labels import CLASSES

if TYPE_CHECKING:
    from tumorlens.imaging.finder import Input
    from tumorlens.inference.heatmap import Heatmap

_BATCH: Final = 16
_VOLUME_KINDS: Final = ("nifti", "nifti.gz")
DEFAULT: Final = AggregationConfig()


class SlicePrediction(msgspec.Struct, frozen=True):
    """The answer for one slice of a volume."""

    index: int
    """From 0, in the order of the volume."""
    along_mm: float | None
    """Where it lies on the normal of the slices; None where that is not known."""
    decision: Decision | None
    """As of a picture; None for a slice that could not be used."""
    label: str | None
    """None for a slice without an answer."""
    reason: str
    """Why the answer is held back; empty where it is not."""
    probabilities: dict[str, float]
    """Keyed by class; empty for a slice that could not be used."""
    error: FailureReason | None = None
    """Why it could not be used."""
    prediction_set: tuple[str, ...] | None = None
    """As of a picture; None also for a slice that could not be used."""


class VolumePrediction(msgspec.Struct, frozen=True):
    """The answer for a volume."""

    path: str
    decision: Decision
    """As of a picture, for the whole: ``rejected`` where every slice is."""
    label: str | None
    """The most probable class of the whole; None unless ``decision`` is ``classified``."""
    reason: str
    """Why no answer is given, in words; empty where one is."""
    probabilities: dict[str, float]
    """Keyed by class; they sum to 1. How they come about: ``inference.aggregation``."""
    finding: Finding | None
    """None unless ``label`` is a tumour."""
    slices: tuple[SlicePrediction, ...]
    series: SeriesFacts | None
    notes: tuple[str, ...]
    """Gaps, duplicates, what was left out."""
    model: ModelIdentity
    prediction_set: tuple[str, ...] | None = None
    """By the same rule as of a picture. It was fitted on pictures: of a whole, the stated coverage
    is no promise."""
    heatmap: "Heatmap | None" = None
    """If that was asked for: of the finding's middle slice, for ``label``; None without one."""


Result = Prediction | VolumePrediction | Failure
Watch = Callable[[MedicalImage, Prediction | VolumePrediction], None]
"""Is shown each image with its answer; may raise ``InputError``."""


def predict_volume(
    classifier: Classifier,
    image: MedicalImage,
    config: AggregationConfig = DEFAULT,
    batch_size: int = _BATCH,
    *,
    explain: bool = False,
) -> VolumePrediction:
    """Classify every slice of (D, H, W) and the whole.

    With ``explain`` the finding's middle slice has its heatmap. Raises ``BlankImageError`` where
    no slice can be used, ``InputError`` for a single picture.
    """
    if not image.is_volume:
        raise InputError(f"{image.source}: a single picture, not a volume")
    answers = list(_slice_answers(classifier, image, batch_size))
    whole = answer_whole(classifier, image, answers, config)
    if not explain or whole.finding is None:
        return whole
    heatmap = explain_slice(classifier, image, whole.finding.middle, whole.label)
    return msgspec.structs.replace(whole, heatmap=heatmap)


def answer_whole(
    classifier: Classifier,
    image: MedicalImage,
    answers: Sequence[Prediction | Failure],
    config: AggregationConfig = DEFAULT,
) -> VolumePrediction:
    """The whole's answer, from those of its slices, by the rules of ``classifier``.

    Raises ``BlankImageError`` where no slice could be used.
    """
    if all(isinstance(answer, Failure) for answer in answers):
        raise BlankImageError(f"{image.source}: no slice holds anything")
    usable = [a for a in answers if isinstance(a, Prediction) and a.decision != REJECTED]
    # Refused slices count for nothing, unless nothing else is there: then the whole is refused.
    table = np.array([_row(answer, refused=not usable) for answer in answers])
    places = image.facts.slices if image.facts else ()
    along = positions([place.along_mm for place in places], image.depth)
    found = aggregate(table, along, config)
    refusal = "" if usable else next(a.reason for a in answers if isinstance(a, Prediction))
    decision, reason = classifier.decide(found.probabilities, refusal)
    answered = label(found.probabilities) if decision == CLASSIFIED else None
    return VolumePrediction(
        path=image.source,
        decision=decision,
        label=answered,
        reason=reason,
        probabilities=_named(found.probabilities),
        finding=locate_finding(found.finding, image) if answered else None,
        slices=tuple(
            _slice(index, answer, places[index].along_mm if places else None)
            for index, answer in enumerate(answers)
        ),
        series=describe(image, image.facts) if image.facts else None,
        notes=image.notes,
        model=classifier.model,
        prediction_set=classifier.prediction_set(found.probabilities, decision),
    )


def explain_slice(
    classifier: Classifier, image: MedicalImage, index: int, label: str | None = None
) -> "Heatmap | None":
    """The heatmap of one slice, of class ``label`` or its most probable one; None if refused.

    Raises ``InputError`` where the slice cannot be used.
    """
    prepared = classifier.prepare(slice_of(image, index))
    return classifier.answer([prepared])[0].explained(label).heatmap


def slice_of(image: MedicalImage, index: int) -> MedicalImage:
    """One slice as a picture; of a picture itself."""
    pixels = image.pixels[index] if image.is_volume else image.pixels
    source = f"{image.source} slice {index}" if image.is_volume else image.source
    return MedicalImage(pixels, source, image.bit_depth, image.mode)


def predict_image(
    classifier: Classifier,
    image: MedicalImage,
    config: AggregationConfig = DEFAULT,
    batch_size: int = _BATCH,
    *,
    explain: bool = False,
) -> Prediction | VolumePrediction:
    """Classify a picture or a volume; raise ``InputError`` where it cannot be used."""
    if image.is_volume:
        return predict_volume(classifier, image, config, batch_size, explain=explain)
    if explain:
        return classifier.answer([classifier.prepare(image)])[0].explained()
    return classifier.predict(image)


def predict_inputs(
    classifier: Classifier,
    inputs: "Iterable[Input]",
    *,
    config: AggregationConfig = DEFAULT,
    plane: str = reader.DEFAULT_PLANE,
    batch_size: int = _BATCH,
    explain: bool = False,
    watch: Watch | None = None,
) -> Iterator[Result]:
    """Classify pictures, volumes and series in order; a ``Failure`` stands for what cannot be.

    With ``explain`` each picture's prediction has its heatmap, and each volume's that of its
    finding. Runs of pictures share forward passes. Of a series whose slices cannot all be read,
    the answer comes first and a ``Failure`` for each missing file after it. ``watch`` is shown
    what is DICOM, a volume or from an archive, each just before its answer comes.
    """
    each = _Each(classifier, config, plane, batch_size, explain, watch)
    slow = (*_VOLUME_KINDS, "dicom") if watch else _VOLUME_KINDS
    for is_picture, run in groupby(inputs, key=lambda one: _is_likely_picture(one, slow)):
        if is_picture:
            # A generator: pictures are looked at no further ahead than they are decoded.
            paths = (one for one in run if isinstance(one, str))
            for result in classifier.predict_paths(paths, batch_size, explain=explain):
                if isinstance(result, Failure) and result.error.kind == VolumeError.kind:
                    yield from each.answer(result.path)
                else:
                    yield result
        else:
            for one in run:
                yield from each.answer(one)


def _is_likely_picture(one: "Input", slow: Sequence[str]) -> bool:
    """Whether to send it through the pictures' fast lane; NIfTI is nearly always a volume."""
    if not isinstance(one, str):
        return False
    try:
        if not Path(one).is_file():
            return True  # its error is the same on both ways
        with Path(one).open("rb") as file:
            return sniff(file.read(SNIFF_BYTES)) not in slow
    except (OSError, ValueError):
        return True


class _Each(NamedTuple):
    """How to answer inputs one at a time, whole image in hand."""

    classifier: Classifier
    config: AggregationConfig
    plane: str
    batch_size: int
    explain: bool
    watch: Watch | None

    def answer(self, one: "Input") -> Iterator[Result]:
        path = one if isinstance(one, str) else one.path
        try:
            image, missing = _read(one, self.plane)
            answer = predict_image(
                self.classifier, image, self.config, self.batch_size, explain=self.explain
            )
        except InputError as error:
            yield Failure.of(path, error)
            return
        failed = self._show(image, answer)
        yield answer
        yield from (Failure.of(path, reason) for reason in failed)
        yield from (Failure.of(file, reason) for file, reason in missing)

    def _show(
        self, image: MedicalImage, answer: Prediction | VolumePrediction
    ) -> Sequence[InputError]:
        """Let the watch see it; return what it raised."""
        try:
            if self.watch is not None:
                self.watch(image, answer)
        except InputError as error:
            return [error]
        return []


def _read(one: "Input", plane: str) -> tuple[MedicalImage, Sequence[tuple[str, InputError]]]:
    from tumorlens.imaging.members import Member

    if isinstance(one, str):
        return reader.read(one, plane), ()
    if isinstance(one, Member):
        return one.read(plane), ()
    return one.read()


def _slice_answers(
    classifier: Classifier, image: MedicalImage, batch_size: int
) -> Iterator[Prediction | Failure]:
    """Classify in batches; where one holds an unusable slice, one by one."""
    for start in range(0, image.depth, batch_size):
        batch = [
            MedicalImage(pixels, f"{image.source} slice {index}", image.bit_depth, image.mode)
            for index, pixels in enumerate(image.pixels[start : start + batch_size], start)
        ]
        try:
            yield from classifier.predict_batch(batch)
        except InputError:
            yield from (_answer(classifier, one) for one in batch)


def _answer(classifier: Classifier, image: MedicalImage) -> Prediction | Failure:
    try:
        return classifier.predict(image)
    except InputError as error:
        return Failure.of(image.source, error)


def _row(answer: Prediction | Failure, *, refused: bool) -> list[float]:
    """Probabilities; NaN without an answer and, unless ``refused``, of a refused slice."""
    if isinstance(answer, Failure) or (answer.decision == REJECTED and not refused):
        return [np.nan] * len(CLASSES)
    return [answer.probabilities[name] for name in CLASSES]


def _named(row: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(CLASSES, row.tolist(), strict=True))


def _slice(index: int, answer: Prediction | Failure, along_mm: float | None) -> SlicePrediction:
    if isinstance(answer, Failure):
        return SlicePrediction(index, along_mm, None, None, "", {}, answer.error)
    return SlicePrediction(
        index=index,
        along_mm=along_mm,
        decision=answer.decision,
        label=answer.label,
        reason=answer.reason,
        probabilities=answer.probabilities,
        prediction_set=answer.prediction_set,
    )
