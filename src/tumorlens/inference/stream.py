"""Answers for anything that a command line names: pictures, volumes, series, archives, studies."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tumorlens.errors import InputError, VolumeError
from tumorlens.imaging import reader
from tumorlens.imaging.formats.registry import SNIFF_BYTES, recognise
from tumorlens.imaging.image import MedicalImage
from tumorlens.inference.aggregation import AggregationConfig
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.fusion import fuse_study
from tumorlens.inference.record import (
    Failure,
    ImageAnswer,
    Prediction,
    Result,
    VolumePrediction,
)
from tumorlens.inference.volume import BATCH, DEFAULT, predict_image

if TYPE_CHECKING:
    from tumorlens.imaging.finder import Input

_OfStudy = tuple[str | None, Result]
"""A result, and the study that it belongs to."""
Watch = Callable[[MedicalImage, ImageAnswer], None]
"""Is shown each image with its answer; may raise ``InputError``."""


def predict_inputs(
    classifier: Classifier,
    inputs: "Iterable[Input]",
    *,
    config: AggregationConfig = DEFAULT,
    plane: str = reader.DEFAULT_PLANE,
    batch_size: int = BATCH,
    explain: bool = False,
    watch: Watch | None = None,
    study: str | None = None,
) -> Iterator[Result]:
    """Classify pictures, volumes and series in order; a ``Failure`` stands for what cannot be.

    With ``explain`` each picture's prediction has its heatmap, and each volume's that of its
    finding. Runs of pictures share forward passes. Of a series whose slices cannot all be read,
    the answer comes first and a ``Failure`` for each missing file after it. ``watch`` is shown
    each image just before its answer comes; each is then read once, and answered by itself.

    The answers of DICOM series that belong to one study are held together, and the study's answer
    goes before them. With ``study`` all inputs are of one, whatever their files state.
    """
    each = _Each(classifier, config, plane, batch_size, explain, watch)
    yield from _studies_first(classifier, _with_study(each, inputs, study))


def study_path(answers: Sequence[ImageAnswer]) -> str:
    """The folder or archive that all answers of a study come from."""
    paths = [answer.path for answer in answers]
    try:
        return os.path.commonpath(paths)
    except ValueError:  # some absolute, some not; or none
        return paths[0] if paths else ""


def _studies_first(classifier: Classifier, results: Iterator[_OfStudy]) -> Iterator[Result]:
    """Hold the results of a study together, and let its answer go before them."""
    for study, run in groupby(results, key=lambda pair: pair[0]):
        if study is None:
            yield from (result for _, result in run)
            continue
        held = [result for _, result in run]
        answers = [one for one in held if isinstance(one, Prediction | VolumePrediction)]
        together = fuse_study(classifier, study_path(answers), answers)
        if together is not None:
            yield together
        yield from held


def _with_study(each: "_Each", inputs: "Iterable[Input]", study: str | None) -> Iterator[_OfStudy]:
    """Results with the study that they belong to, None of what states none.

    What cannot be used belongs to the study that it was found in.
    """
    current: str | None = study
    for is_picture, run in groupby(
        inputs, key=lambda one: each.watch is None and _is_likely_picture(one)
    ):
        if is_picture:
            current = study
            for result in _pictures(each, run):
                yield study, result
            continue
        for one in run:
            for uid, result in each.answer(one):
                current = study or (current if isinstance(result, Failure) else uid)
                yield current, result


def _pictures(each: "_Each", run: "Iterable[Input]") -> Iterator[Result]:
    """Runs of pictures share forward passes."""
    # A generator: pictures are looked at no further ahead than they are decoded.
    paths = (one for one in run if isinstance(one, str))
    for result in each.classifier.predict_paths(paths, each.batch_size, explain=each.explain):
        if isinstance(result, Failure) and result.error.kind == VolumeError.kind:
            yield from (one for _, one in each.answer(result.path))
        else:
            yield result


def _is_likely_picture(one: "Input") -> bool:
    """Whether to send it through the pictures' fast lane; NIfTI is nearly always a volume."""
    if not isinstance(one, str):
        return False
    try:
        if not Path(one).is_file():
            return True  # its error is the same on both ways
        with Path(one).open("rb") as file:
            found = recognise(file.read(SNIFF_BYTES))
            return found is None or not found.holds_volumes
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

    def answer(self, one: "Input") -> Iterator[_OfStudy]:
        """Its results, each with the study that its file states."""
        path = one if isinstance(one, str) else one.path
        try:
            image, missing = _read(one, self.plane)
            answer = predict_image(
                self.classifier, image, self.config, self.batch_size, explain=self.explain
            )
        except InputError as error:
            yield None, Failure.of(path, error)
            return
        failed = self._show(image, answer)
        yield (image.facts.study_instance_uid if image.facts else None), answer
        yield from ((None, Failure.of(path, reason)) for reason in failed)
        yield from ((None, Failure.of(file, reason)) for file, reason in missing)

    def _show(self, image: MedicalImage, answer: ImageAnswer) -> Sequence[InputError]:
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
