"""From an input to its rows: one for the image or series and each of its slices, or an error."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tumorlens.batch.items import Item
from tumorlens.batch.remote import RemoteFolder, fetch, is_remote
from tumorlens.errors import InputError, TumorlensError
from tumorlens.imaging import reader
from tumorlens.imaging.archive import Archive
from tumorlens.imaging.facts import AcquisitionFacts
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.fusion import fuse_examinations, study_path
from tumorlens.inference.record import (
    Failure,
    FailureReason,
    ImageAnswer,
    Result,
    StudyPrediction,
    VolumePrediction,
)
from tumorlens.inference.volume import answer_image
from tumorlens.reporting.records import record

if TYPE_CHECKING:
    from tumorlens.imaging.series import Series

Row = dict[str, Any]
_INTERNAL: Final = "internal"


class _Answered(NamedTuple):
    """A series with its answer."""

    result: ImageAnswer | Failure
    digest: str | None
    """Of its files; None where one of them cannot be read any more."""
    facts: AcquisitionFacts | None


class Answerer:
    """Answers the inputs of a batch, one at a time; whatever is wrong with one is a row."""

    def __init__(self, classifier: Classifier, plane: str) -> None:
        """``plane`` is how a volume is cut, as for ``imaging.reader.read``."""
        self._classifier = classifier
        self._plane = plane
        self._archive: Archive | None = None

    def rows(self, item: Item) -> Iterator[Row]:
        """The rows of an input, always the same and in the same order."""
        try:
            yield from self._rows(item)
        except TumorlensError as error:
            yield error_row(item.name, error.kind, str(error))
        except Exception as error:  # our own fault must not stop the other inputs
            words = f"{item.path}: {type(error).__name__} in tumorlens"
            yield error_row(item.name, _INTERNAL, words)

    def _rows(self, item: Item) -> Iterator[Row]:
        if item.kind == "failure":
            yield error_row(item.name, item.error, item.message)
        elif item.kind in ("dicom", "dicom_members"):
            yield from self._series(item)
        else:
            data = self._load(item)
            digest = hashlib.sha256(data).hexdigest()
            yield from _rows_of(self._image(item.name, data), digest)

    def _image(self, name: str, data: bytes) -> ImageAnswer | Failure:
        try:
            image = reader.read_bytes(data, name, self._plane)
            return answer_image(self._classifier, image).answer
        except InputError as error:
            return Failure.from_error(name, error)

    def _load(self, item: Item) -> bytes:
        if item.kind == "member":
            return self._open(item.path).read(item.names[0])
        return (fetch if is_remote(item.path) else reader.load_file)(item.path)

    def _series(self, item: Item) -> Iterator[Row]:
        # Imported here, so that pydicom is not loaded unless there are DICOM files.
        from tumorlens.imaging.series import group_files, group_members

        if item.kind == "dicom":
            grouped = group_files(item.names, are_all=False)
        else:
            is_archive = not is_remote(item.path)
            grouped = group_members(self._open(item.path), item.names, are_all=is_archive)
        failures = list(grouped.failures)
        studies: dict[str | None, list[_Answered]] = {}
        for series in grouped.series:
            answered = self._answered(series, failures)
            studies.setdefault(series.facts.study_instance_uid, []).append(answered)
        for study, results in studies.items():
            yield from self._study(results if study else [])
            for answered in results:
                yield from _rows_of(answered.result, answered.digest)
        yield from (error_row(path, error.kind, str(error)) for path, error in failures)
        if not grouped.series and not failures:  # no file has an image; the first says what it is
            yield from self._rows(_first_of(item))

    def _study(self, results: Sequence["_Answered"]) -> Iterator[Row]:
        """The row of a study of several series, with one hash for all of them."""
        answers, facts, hashes = [], [], []
        for result, digest, of_series in results:
            if not isinstance(result, Failure):
                answers.append(result)
                facts.append(of_series)
                hashes.append(digest or "")
        path = study_path(answers)
        for study, indices in fuse_examinations(self._classifier, path, answers, facts):
            digests = "".join(hashes[index] for index in indices)
            yield from _rows_of(study, hashlib.sha256(digests.encode("ascii")).hexdigest())

    def _answered(self, series: "Series", failures: list[tuple[str, InputError]]) -> _Answered:
        """The answer of a series; files that it lacks are added to ``failures``."""
        locations = [(frame.facts.path, frame.facts.member) for frame in series.stack.frames]
        digest = None
        try:
            digest = self._hash_of(dict.fromkeys(locations))
            image, missing = series.read(self._plane)
            failures += missing
            return _Answered(answer_image(self._classifier, image).answer, digest, image.facts)
        except InputError as error:
            return _Answered(Failure.from_error(series.path, error), digest, None)

    def _hash_of(self, locations: Iterable[tuple[str, str | None]]) -> str:
        """One hash for all files of a series: of the hashes of each, in order."""
        digest = hashlib.sha256()
        for path, member in locations:
            data = self._open(path).read(member) if member is not None else reader.load_file(path)
            digest.update(hashlib.sha256(data).digest())
        return digest.hexdigest()

    def _open(self, path: str) -> Archive:
        """The archive, which neighbouring inputs share, or the folder of an object store."""
        if self._archive is None or self._archive.path != path:
            self._archive = RemoteFolder(path) if is_remote(path) else Archive(path)
        return self._archive


def _first_of(item: Item) -> Item:
    """The first file of DICOM files, by itself."""
    if item.kind == "dicom":
        return Item("file", item.names[0])
    return Item("member", item.path, item.names[:1])


def error_row(path: str, kind: str, message: str) -> Row:
    """The row of an input that could not be used."""
    failure = Failure(path=path, error=FailureReason(kind=kind, message=message))
    (row,) = _rows_of(failure, None)
    return row


def _rows_of(result: Result, digest: str | None) -> Iterator[Row]:
    whole = record(result)
    slices = whole.pop("slices", ())
    levels = {VolumePrediction: "series", StudyPrediction: "study"}
    shared = {name: whole[name] for name in ("path", "model", "series") if name in whole}
    yield {"level": levels.get(type(result), "picture"), "sha256": digest, **whole}
    yield from ({"level": "slice", "sha256": digest, **shared, **slice_row} for slice_row in slices)
