"""Answers studies of the spool that have stopped arriving, and delivers the answers."""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Final

from tumorlens.errors import InputError
from tumorlens.imaging.dicom.derived import DicomObject
from tumorlens.imaging.study import read_study
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.dicom_answer import dicom_answer, dicom_study_answer, is_dicom
from tumorlens.inference.fusion import fuse_study
from tumorlens.inference.volume import predict_image
from tumorlens.pacs.destination import Destination, SendError, UnreachableError
from tumorlens.pacs.spool import FAILED, MADE, RECEIVING, Spool, Waiting

log = logging.getLogger(__name__)

_POLL_S: Final = 0.5
_PRUNE_S: Final = 60.0
_LONGEST_RETRY_S: Final = 300.0
_MAX_ATTEMPTS: Final = 5
"""To classify; to deliver is tried for ever."""


class Worker:
    """Works the queue off, one study at a time, in the thread that calls it."""

    def __init__(
        self, spool: Spool, classifier: Classifier, destination: Destination, *,
        quiet_s: float, keep_s: float, retry_s: float = 1.0,
    ) -> None:  # fmt: skip
        """Wait ``retry_s`` after a failure, and twice as long after each further one."""
        self._spool, self._classifier, self._destination = spool, classifier, destination
        self._quiet_s, self._keep_s = quiet_s, keep_s
        self._retry_s = retry_s
        self._prune_due = 0.0
        self._pause = _Pause(retry_s)

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop``; a study that is begun is finished first."""
        while not stop.is_set():
            worked = self.once(stop)
            self._prune()
            if not worked:
                stop.wait(_POLL_S)

    def _prune(self) -> None:
        if time.monotonic() >= self._prune_due:
            self._prune_due = time.monotonic() + _PRUNE_S
            try:
                self._spool.prune(self._keep_s)
            except OSError as error:
                log.error("could not delete old files: %s", error.strerror)

    def once(self, stop: threading.Event | None = None) -> int:
        """Work on every study that is due; say on how many.

        While the destination is out of reach studies are answered, and what is made waits.
        """
        worked = 0
        for one in self._spool.due(self._quiet_s):
            if stop is not None and stop.is_set():
                break
            if one.state != MADE or not self._pause.lasts():
                self._work(one)
                worked += 1
        return worked

    def _work(self, one: Waiting) -> None:
        try:
            if one.state == RECEIVING:
                self._answer(one)
            if not self._pause.lasts():
                self._deliver(one)
        except SendError as error:
            if isinstance(error, UnreachableError):
                self._pause.begin()
            log.warning("study %s: not delivered (%s); will try again", one.key, error)
            self._spool.postpone(one, _delay(one.attempts, self._retry_s))
        except Exception as error:  # one study must not stop the node, nor be lost
            # Not its text, nor a traceback: both may quote the file.
            log.error("study %s: %s", one.key, type(error).__name__)
            if one.attempts + 1 >= _MAX_ATTEMPTS and one.state == RECEIVING:
                self._spool.finish(one, FAILED)
            else:
                self._spool.postpone(one, _delay(one.attempts, self._retry_s))

    def _answer(self, one: Waiting) -> None:
        objects = [
            (made.sop_instance_uid, made.sop_class_uid, made.data) for made in self._made(one)
        ]
        self._spool.keep_answer(one, objects)
        log.info("study %s: %d objects made", one.key, len(objects))

    def _made(self, one: Waiting) -> Iterator[DicomObject]:
        study = read_study(self._spool.study_folder(one.key))
        for _, error in study.failures:
            log.warning("study %s: not used: %s", one.key, error.kind)
        if study.own:
            log.info("study %s: passed over %d objects that tumorlens wrote", one.key, study.own)
        images, answers = [], []
        objects: list[DicomObject] = []
        for image in study.images:
            if not is_dicom(image):
                continue
            try:
                answer = predict_image(self._classifier, image)
                objects += dicom_answer(self._classifier, image, answer)
            except InputError as error:
                log.warning("study %s: a series is not answered: %s", one.key, error.kind)
                continue
            images.append(image)
            answers.append(answer)
        together = fuse_study(self._classifier, one.key, answers)
        if together is not None:
            yield dicom_study_answer(together, images, answers)
        yield from objects

    def _deliver(self, one: Waiting) -> None:
        refused: SendError | None = None
        for uid, sop_class in self._spool.unsent(one.key):
            try:
                self._destination.send(self._spool.object_path(uid), sop_class)
                self._spool.mark_sent(uid)
            except UnreachableError:
                raise
            except SendError as error:  # of this object: the others may be welcome
                refused = error
            self._pause.end()
        if refused is not None:
            raise refused
        self._spool.finish(one)
        log.info("study %s: delivered", one.key)


class _Pause:
    """For how long nothing is sent: one study finds out that the destination is down, not all."""

    def __init__(self, retry_s: float) -> None:
        self._retry_s, self._failures, self._until = retry_s, 0, 0.0

    def lasts(self) -> bool:
        return time.monotonic() < self._until

    def begin(self) -> None:
        self._until = time.monotonic() + _delay(self._failures, self._retry_s)
        self._failures += 1

    def end(self) -> None:
        self._failures, self._until = 0, 0.0


def _delay(attempts: int, first_s: float) -> float:
    return min(first_s * 2.0 ** min(attempts, 16), _LONGEST_RETRY_S)
