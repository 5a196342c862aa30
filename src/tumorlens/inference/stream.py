"""Answer images, volumes, series, members of archives and studies, in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from threadpoolctl import threadpool_limits

from tumorlens.errors import InputError, VolumeError
from tumorlens.imaging.facts import DEFAULT_PLANE, AcquisitionFacts
from tumorlens.imaging.input import Failures, File, Input
from tumorlens.inference.classifier import Classifier, PreparedImage
from tumorlens.inference.fusion import fuse_examinations, study_path
from tumorlens.inference.record import (
    Failure,
    Prediction,
    Result,
    VolumePrediction,
)
from tumorlens.inference.volume import BATCH, Answered, answer_image

Observer = Callable[[Answered], Any]
"""Is called with each image and its answer while both are in memory; may raise ``InputError``."""


class Outcome(NamedTuple):
    """The result for an input, or for a study of several, and what is kept of its image."""

    result: Result
    source: Input | None = None
    """The input; None for the answer of a study."""
    facts: AcquisitionFacts | None = None
    """What the file states about the acquisition."""
    study: str | None = None
    """The study that the result belongs to; None where the file states none."""
    observations: Sequence[Any] = ()
    """What each of the ``observers`` returned; empty where they were not called."""


_Batch = list[tuple[Input, PreparedImage | InputError]]


def outcomes(
    classifier: Classifier,
    inputs: Iterable[Input | str | Path],
    *,
    plane: str = DEFAULT_PLANE,
    batch_size: int = BATCH,
    explain: bool = False,
    observers: Sequence[Observer] = (),
    study: str | None = None,
) -> Generator[Outcome]:
    """Classify images, volumes and series in order; what cannot be used gives a ``Failure``.

    Inputs are paths of files, or what ``imaging.finder`` finds in folders and archives.

    With ``explain`` each image's prediction has its heatmap, and each volume's that of its
    finding. Several images are read at once, unless there are ``observers``, which need each image
    together with its answer. If not all slices of a series can be read, the answer comes first and
    then a ``Failure`` for each missing file. If an observer raises, the answer is followed by a
    ``Failure``, and the further observers are not called.

    The answers of DICOM series that belong to one study are held back, and the study's answer
    comes before them. With ``study`` all inputs belong to one study, whatever their files state.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    each = _Each(classifier, plane, batch_size, explain, observers)
    yield from _studies_first(classifier, _with_study(each, map(_as_input, inputs), study))


def _as_input(source: Input | str | Path) -> Input:
    return File(str(source)) if isinstance(source, str | Path) else source


def _studies_first(classifier: Classifier, stream: Iterator[Outcome]) -> Iterator[Outcome]:
    """Hold the results of a study back until its own answer has been given."""
    for study, run in groupby(stream, key=lambda outcome: outcome.study):
        if study is None:
            yield from run
            continue
        held = list(run)
        answered = [
            (outcome.result, outcome.facts)
            for outcome in held
            if isinstance(outcome.result, Prediction | VolumePrediction)
        ]
        answers, facts = [answer for answer, _ in answered], [stated for _, stated in answered]
        together = fuse_examinations(classifier, study_path(answers), answers, facts)
        yield from (Outcome(whole) for whole, _ in together)
        yield from held


def _with_study(each: "_Each", inputs: Iterable[Input], study: str | None) -> Iterator[Outcome]:
    """The outcomes, each with its study; a failure belongs to the study that it was found in."""
    current: str | None = study
    for at_once, run in groupby(inputs, key=lambda source: source.is_single and not each.observers):
        if at_once:
            current = study
            yield from (outcome._replace(study=study) for outcome in _images(each, run))
            continue
        for source in run:
            for outcome in each.answer(source):
                if not isinstance(outcome.result, Failure):
                    current = study or outcome.study
                yield outcome._replace(study=current)


def _images(each: "_Each", run: Iterable[Input]) -> Iterator[Outcome]:
    """Answer inputs that are likely single images, several at once."""
    prepare = _prepared_here if each.classifier.decoders == 1 else _prepared_ahead
    # Further threads for matrix products would take cores from the threads that decode.
    with (
        threadpool_limits(limits=1, user_api="blas"),
        closing(prepare(each, iter(run))) as batches,
    ):
        for batch in batches:
            yield from each.finish(batch)


def _prepared_here(each: "_Each", inputs: Iterator[Input]) -> Generator[_Batch]:
    """Batches of inputs, prepared in this thread: on one core further threads do not help."""
    while batch := [(source, each.prepare(source)) for source in islice(inputs, each.batch_size)]:
        yield batch


def _prepared_ahead(each: "_Each", inputs: Iterator[Input]) -> Generator[_Batch]:
    """Batches of inputs, prepared by a few threads while the previous batch is answered.

    In memory are at most two batches of preprocessed images and one decoded image a thread.
    """
    size = each.batch_size
    pool = ThreadPoolExecutor(each.classifier.decoders, thread_name_prefix="decode")
    ahead: deque[tuple[Input, Future[PreparedImage | InputError]]] = deque()
    try:
        while True:
            wanted = islice(inputs, 2 * size - len(ahead))
            ahead.extend((source, pool.submit(each.prepare, source)) for source in wanted)
            if not ahead:
                return
            taken = [ahead.popleft() for _ in range(min(size, len(ahead)))]
            yield [(source, future.result()) for source, future in taken]
    finally:
        pool.shutdown(cancel_futures=True)


class _Each(NamedTuple):
    """The settings with which inputs are answered."""

    classifier: Classifier
    plane: str
    batch_size: int
    explain: bool
    observers: Sequence[Observer]

    def prepare(self, source: Input) -> PreparedImage | InputError:
        """Read and preprocess an input; ``VolumeError`` if it is not a single image."""
        try:
            prepared = self.classifier.prepare(source.read(self.plane).image)
        except InputError as error:
            return error
        return msgspec.structs.replace(prepared, path=source.path)

    def finish(self, batch: _Batch) -> Iterator[Outcome]:
        """Answer a batch of images; volumes among them are read again and answered alone."""
        prepared = [ready for _, ready in batch if isinstance(ready, PreparedImage)]
        answers = iter(self.classifier.answer(prepared))
        for source, ready in batch:
            if isinstance(ready, PreparedImage):
                answer = next(answers)
                result = answer.explained() if self.explain else answer.prediction
                yield Outcome(result, source, ready.facts)
            elif isinstance(ready, VolumeError):
                yield from self.answer(source)
            else:
                yield Outcome(Failure.from_error(source.path, ready), source)

    def answer(self, source: Input) -> Iterator[Outcome]:
        """The outcomes of one input."""
        missing: Failures = ()
        try:
            image, missing = source.read(self.plane)
            answered = answer_image(self.classifier, image, self.batch_size, explain=self.explain)
        except InputError as error:
            for path, reason in ((source.path, error), *missing):
                yield Outcome(Failure.from_error(path, reason), source)
            return
        observations, failed = self._observe(answered)
        study = image.facts.study_instance_uid if image.facts else None
        yield Outcome(answered.answer, source, image.facts, study, observations)
        for path, reason in (*((source.path, error) for error in failed), *missing):
            yield Outcome(Failure.from_error(path, reason), source)

    def _observe(self, answered: Answered) -> tuple[list[Any], list[InputError]]:
        """What the observers return, None from the first one that raises; and what that raised."""
        returned: list[Any] = [None] * len(self.observers)
        for index, observer in enumerate(self.observers):
            try:
                returned[index] = observer(answered)
            except InputError as error:
                return returned, [error]
        return returned, []
