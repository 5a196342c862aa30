"""The answer of a study, from this process or from a worker that may crash."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tumorlens.errors import InputError
from tumorlens.imaging.dicom.derived import DicomObject
from tumorlens.imaging.dicom.revision import revised
from tumorlens.imaging.study import Study, read_study
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.fusion import fuse_examinations
from tumorlens.inference.volume import Answered, answer_image
from tumorlens.isolation.frames import Message
from tumorlens.isolation.pool import Pool, PoolSettings
from tumorlens.isolation.worker import Handler
from tumorlens.reporting.attention_map import as_dicom, attention_mask
from tumorlens.reporting.dicom_answer import (
    dicom_answer,
    dicom_study_answer,
    is_dicom,
    unusable_answer,
)

_SECONDS_PER_FILE: Final = 0.5
_SECONDS_PER_MIB: Final = 0.5
_MIB: Final = 1 << 20
_WORDS: Final = {
    "not_mr": "not magnetic resonance",
    "missing_decoder": "compressed in a way that cannot be decoded here",
    "corrupt": "damaged",
    "limit": "too large or too small",
    "blank": "without contrast",
    "missing": "without an image",
    "unsupported_format": "no image in a known format",
}
"""Kinds of ``InputError`` for a reader of the report."""


class StudyAnswer(NamedTuple):
    """Objects to deliver, and notes for the log."""

    objects: list[tuple[str, str, bytes]]
    """(SOP Instance UID, SOP Class UID, file)."""
    notes: list[str]
    """Sentences without data of the patient."""


def answer_study(
    classifier: Classifier, folder: Path, delivered: Sequence[Path], *, segmentation: bool = False
) -> StudyAnswer:
    """Answer each series of the study in ``folder``.

    Where none can be used, the answer is one report that says why. Reports name those of
    ``delivered`` that they replace: files of earlier reports of this study. With ``segmentation``
    the attention map of each reported tumour is among the objects.
    """
    study = read_study(folder)
    answer = StudyAnswer([], [f"not used: {error.kind}" for _, error in study.failures])
    kinds = [error.kind for _, error in study.failures]
    if study.own:
        answer.notes.append(f"skipped {study.own} objects written by tumorlens")
    objects = list(_answers(classifier, study, folder.name, answer.notes, kinds, segmentation))
    if not objects:
        objects = _say_why_not(classifier, folder, kinds, answer.notes)
    for instance in revised(objects, delivered):
        answer.objects.append((instance.sop_instance_uid, instance.sop_class_uid, instance.data))
    return answer


def _answers(
    classifier: Classifier, study: Study, name: str, notes: list[str], kinds: list[str],
    segmentation: bool,
) -> Iterator[DicomObject]:  # fmt: skip
    """The report of a study of several series, and the objects of each series."""
    images, answers = [], []
    objects: list[DicomObject] = []
    for image in study.images:
        if not is_dicom(image):
            continue
        try:
            answered = answer_image(classifier, image)
            objects += dicom_answer(answered)
            if segmentation:
                objects += _attention_map(answered, notes)
        except InputError as error:
            notes.append(f"a series is not answered: {error.kind}")
            kinds.append(error.kind)
            continue
        images.append(image)
        answers.append(answered.answer)
    facts = [image.facts for image in images]
    for together, indices in fuse_examinations(classifier, name, answers, facts):
        own = [images[index] for index in indices], [answers[index] for index in indices]
        yield dicom_study_answer(together, *own)
    yield from objects


def _attention_map(answered: Answered, notes: list[str]) -> list[DicomObject]:
    """The map of a reported tumour; a note where a segmentation cannot refer to the files."""
    mask = attention_mask(answered)
    if mask is None:
        return []
    try:
        return [as_dicom(mask, answered.image, answered.answer)]
    except InputError as error:
        notes.append(f"no segmentation of a series: {error.kind}")
        return []


def _say_why_not(
    classifier: Classifier, folder: Path, kinds: Sequence[str], notes: list[str]
) -> list[DicomObject]:
    reason = _reason(kinds)
    try:
        report = unusable_answer(classifier, sorted(folder.iterdir()), reason)
    except InputError as error:
        notes.append(f"no image can be used, and no report can be made: {error.kind}")
        return []
    if report is None:
        notes.append("it contains no image to answer")
        return []
    notes.append("no image can be used; a report with the reason is sent")
    return [report]


def _reason(kinds: Sequence[str]) -> str:
    counted = Counter(_WORDS.get(kind, kind) for kind in kinds)
    reasons = "; ".join(f"{count} {words}" for words, count in counted.most_common())
    return f"No image of this study can be used ({reasons or 'none holds an image'})."


class IsolatedAnswerer:
    """Answers studies in a worker process, which is replaced when it dies or takes too long."""

    def __init__(
        self, bundle: str, seconds: float, memory_bytes: int,
        service: str = f"{__name__}:make", *, segmentation: bool = False,
    ) -> None:  # fmt: skip
        """A study may take ``seconds``, and half a second more for each file and MiB.

        ``segmentation`` is that of ``answer_study``. Starts the process; raises
        ``WorkerStartError``.
        """
        options = Message({"bundle": bundle, "segmentation": segmentation})
        settings = PoolSettings(quick=1, slow=0, spare=0, memory_bytes=memory_bytes)
        self._seconds = seconds
        self._pool = Pool(service, options, settings)
        self._pool.start()

    @property
    def pids(self) -> list[int]:
        """The process, if it is ready."""
        return self._pool.pids

    def answer(self, key: str, folder: Path, delivered: Sequence[Path]) -> StudyAnswer:
        """See ``worker.Answer``; raises ``WorkerFaultError`` for faults of the program."""
        sizes = [entry.stat().st_size for entry in os.scandir(folder)]
        seconds = (
            self._seconds
            + _SECONDS_PER_FILE * len(sizes)
            + _SECONDS_PER_MIB * sum(sizes) / _MIB
        )  # fmt: skip
        request = Message({"folder": str(folder), "delivered": [str(path) for path in delivered]})
        outcome = self._pool.submit(request, source=f"study {key}", seconds=seconds).result()
        if outcome.error is not None:
            raise outcome.error
        answer = StudyAnswer([], [])
        for part in outcome.parts:
            if part.blobs:
                content = part.content
                answer.objects.append((content["uid"], content["sop_class"], part.blobs[0]))
            else:
                answer.notes.append(part.content["note"])
        return answer

    def close(self) -> None:
        """End the process."""
        self._pool.close()


def make(options: Message) -> Handler:
    """Handler of the worker process; see ``isolation.worker.Factory``."""
    content = options.content
    classifier = Classifier.load(content["bundle"], threads=1)

    def handle(request: Message) -> Iterator[Message]:
        folder = Path(request.content["folder"])
        delivered = [Path(path) for path in request.content["delivered"]]
        answer = answer_study(classifier, folder, delivered, segmentation=content["segmentation"])
        for note in answer.notes:
            yield Message({"note": note})
        for uid, sop_class, data in answer.objects:
            yield Message({"uid": uid, "sop_class": sop_class}, (data,))

    return handle
