"""Answers for anything that a command line names: images, volumes, series, archives, studies."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import msgspec
from threadpoolctl import threadpool_limits

from tumorlens.errors import InputError, VolumeError
from tumorlens.imaging import reader
from tumorlens.imaging.facts import AcquisitionFacts
from tumorlens.imaging.input import Failures, File, Input
from tumorlens.inference.classifier import Classifier, PreparedImage
from tumorlens.inference.fusion import fuse_patients
from tumorlens.inference.record import (
    Failure,
    ImageAnswer,
    Prediction,
    Result,
    VolumePrediction,
)
from tumorlens.inference.sequence import stated_sequence
from tumorlens.inference.volume import BATCH, Answered, answer_image

Watch = Callable[[Answered], None]
"""Is shown each image with its answer; may raise ``InputError``."""
TellSequence = Callable[[str, str | None], None]
"""Is told an input's path and the sequence that its header states, if any."""


_Batch = list[tuple[Input, PreparedImage | InputError]]


class _OfStudy(NamedTuple):
    """A result, and where it belongs."""

    study: str | None
    result: Result
    facts: AcquisitionFacts | None = None


def predict_inputs(
    classifier: Classifier,
    inputs: Iterable[Input | str | Path],
    *,
    plane: str = reader.DEFAULT_PLANE,
    batch_size: int = BATCH,
    explain: bool = False,
    watch: Watch | None = None,
    study: str | None = None,
    tell_sequence: TellSequence | None = None,
) -> Generator[Result]:
    """Classify images, volumes and series in order; a ``Failure`` stands for what cannot be.

    Inputs are paths of files, or what ``imaging.finder`` finds in folders and archives.

    With ``explain`` each image's prediction has its heatmap, and each volume's that of its
    finding. Runs of images share forward passes. Of a series whose slices cannot all be read,
    the answer comes first and a ``Failure`` for each missing file after it. ``watch`` is shown
    each image just before its answer comes; each is then read once, and answered by itself.
    ``tell_sequence`` is told of each input that is read, before its answer comes.

    The answers of DICOM series that belong to one study are held together, and the study's answer
    goes before them. With ``study`` all inputs are of one, whatever their files state.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    each = _Each(classifier, plane, batch_size, explain, watch, tell_sequence)
    some = (File(str(one)) if isinstance(one, str | Path) else one for one in inputs)
    yield from _studies_first(classifier, _with_study(each, some, study))


def study_path(answers: Sequence[ImageAnswer]) -> str:
    """The folder or archive that all answers of a study come from."""
    paths = [answer.path for answer in answers]
    try:
        return os.path.commonpath(paths)
    except ValueError:  # some absolute, some not; or none
        return paths[0] if paths else ""


def _studies_first(classifier: Classifier, results: Iterator[_OfStudy]) -> Iterator[Result]:
    """Hold the results of a study together, and let its answer go before them."""
    for study, run in groupby(results, key=lambda one: one.study):
        if study is None:
            yield from (one.result for one in run)
            continue
        held = list(run)
        answered = [
            (one.result, one.facts)
            for one in held
            if isinstance(one.result, Prediction | VolumePrediction)
        ]
        answers, facts = [one for one, _ in answered], [stated for _, stated in answered]
        together = fuse_patients(classifier, study_path(answers), answers, facts)
        yield from (study for study, _ in together)
        yield from (one.result for one in held)


def _with_study(each: "_Each", inputs: Iterable[Input], study: str | None) -> Iterator[_OfStudy]:
    """Results with the study that they belong to, None of what states none.

    What cannot be used belongs to the study that it was found in.
    """
    current: str | None = study
    for is_single, run in groupby(inputs, key=lambda one: each.watch is None and one.is_single):
        if is_single:
            current = study
            for result in _images(each, run):
                yield _OfStudy(study, result)
            continue
        for one in run:
            for found in each.answer(one):
                current = study or (current if isinstance(found.result, Failure) else found.study)
                yield found._replace(study=current)


def _images(each: "_Each", run: Iterable[Input]) -> Iterator[Result]:
    """Answer inputs that are likely images, which share forward passes."""
    batches = _prepared_here if each.classifier.decoders == 1 else _prepared_ahead
    # A matrix product that starts threads of its own would take cores from decoding, and in each
    # decoding thread they would wait for one another.
    limit = threadpool_limits(limits=1, user_api="blas")
    try:
        with closing(batches(each, iter(run))) as some:
            for batch in some:
                yield from each.finish(batch)
    finally:
        limit.restore_original_limits()


def _prepared_here(each: "_Each", inputs: Iterator[Input]) -> Generator[_Batch]:
    """Batches of inputs, prepared by the thread that asks: on one core others would only wait."""
    while batch := [(one, each.prepare(one)) for one in islice(inputs, each.batch_size)]:
        yield batch


def _prepared_ahead(each: "_Each", inputs: Iterator[Input]) -> Generator[_Batch]:
    """Batches of inputs, prepared by a few threads while the one before is answered.

    They are ahead by at most two batches of preprocessed images and one decoded image a thread,
    however many there are.
    """
    size = each.batch_size
    pool = ThreadPoolExecutor(each.classifier.decoders, thread_name_prefix="decode")
    ahead: deque[tuple[Input, Future[PreparedImage | InputError]]] = deque()
    try:
        while True:
            wanted = islice(inputs, 2 * size - len(ahead))
            ahead.extend((one, pool.submit(each.prepare, one)) for one in wanted)
            if not ahead:
                return
            taken = [ahead.popleft() for _ in range(min(size, len(ahead)))]
            yield [(one, future.result()) for one, future in taken]
    finally:
        pool.shutdown(cancel_futures=True)


class _Each(NamedTuple):
    """How to answer inputs."""

    classifier: Classifier
    plane: str
    batch_size: int
    explain: bool
    watch: Watch | None
    tell_sequence: TellSequence | None

    def prepare(self, one: Input) -> PreparedImage | InputError:
        """Do what comes before the forward pass; ``VolumeError`` for what is not a single image."""
        try:
            prepared = self.classifier.prepare(one.read(self.plane).image)
        except InputError as error:
            return error
        return msgspec.structs.replace(prepared, path=one.path)

    def finish(self, some: Sequence[tuple[Input, PreparedImage | InputError]]) -> Iterator[Result]:
        """Answer images in one forward pass; volumes among them by themselves."""
        prepared = [ready for _, ready in some if isinstance(ready, PreparedImage)]
        answers = iter(self.classifier.answer(prepared))
        for one, ready in some:
            if isinstance(ready, PreparedImage):
                answer = next(answers)
                self._tell(one.path, ready.stated_sequence)
                yield answer.explained() if self.explain else answer.prediction
            elif isinstance(ready, VolumeError):
                yield from (found.result for found in self.answer(one))
            else:
                yield Failure.of(one.path, ready)

    def answer(self, one: Input) -> Iterator[_OfStudy]:
        """The results of one input, each with the study that its file states."""
        missing: Failures = ()
        try:
            image, missing = one.read(self.plane)
            answered = answer_image(self.classifier, image, self.batch_size, explain=self.explain)
        except InputError as error:
            for path, reason in ((one.path, error), *missing):
                yield _OfStudy(None, Failure.of(path, reason))
            return
        self._tell(one.path, stated_sequence(image.facts))
        failed = self._show(answered)
        study = image.facts.study_instance_uid if image.facts else None
        yield _OfStudy(study, answered.answer, image.facts)
        yield from (_OfStudy(None, Failure.of(one.path, reason)) for reason in failed)
        yield from (_OfStudy(None, Failure.of(file, reason)) for file, reason in missing)

    def _tell(self, path: str, sequence: str | None) -> None:
        if self.tell_sequence is not None:
            self.tell_sequence(path, sequence)

    def _show(self, answered: Answered) -> Sequence[InputError]:
        """Let the watch see it; return what it raised."""
        try:
            if self.watch is not None:
                self.watch(answered)
        except InputError as error:
            return [error]
        return []
