"""Answers studies of the spool that have stopped arriving, and delivers the answers."""

import errno
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tumorlens.errors import CrashedError, DeadlineError, InputError, LimitExceededError
from tumorlens.imaging.dicom.classes import REPORT
from tumorlens.pacs.answering import StudyAnswer
from tumorlens.pacs.destination import Destination, SendError, UnansweredError, UnreachableError
from tumorlens.pacs.journal import Journal
from tumorlens.pacs.private import SpoolError
from tumorlens.pacs.spool import FAILED, MADE, RECEIVING, Spool, Waiting

log = logging.getLogger(__name__)

_POLL_S: Final = 0.5
_NO_ROOM_S: Final = 2.0
"""Pause before the next check whether the disk has room again."""
_COMPLAIN_S: Final = 60.0
"""Shortest time between two equal lines of the log."""
_PRUNE_S: Final = 60.0
_LONGEST_RETRY_S: Final = 300.0
_MAX_ATTEMPTS: Final = 5
"""Attempts to classify; delivery is tried without limit."""
_MAX_FAULTS: Final = 2
"""Attempts to classify a study that ended its process, or exceeded its memory or time."""
_MAX_INTERRUPTED: Final = 20
"""Attempts to classify where this process ended meanwhile: that says little about the study."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


Answer = Callable[[str, Path, Sequence[Path]], StudyAnswer]
"""Answers the study of a key in a folder, of which these reports were delivered before.

Raises ``InputError`` where the study ended its process, or filled memory or time.
"""


class Worker:
    """Processes the queue, one study at a time, in the thread that calls it."""

    def __init__(
        self, spool: Spool, answer: Answer, destination: Destination, *,
        quiet_s: float, keep_s: float, retry_s: float = 1.0, journal: Journal | None = None,
    ) -> None:  # fmt: skip
        """Wait ``retry_s`` after a failure, and twice as long after each further one."""
        self._spool, self._answer_study, self._destination = spool, answer, destination
        self._quiet_s, self._keep_s = quiet_s, keep_s
        self._retry_s = retry_s
        self._journal = journal or Journal()
        self._prune_due = 0.0
        self._pause = _Pause(retry_s)
        self._complaint, self._complained = "", 0.0
        self.last_look = time.monotonic()
        """When it last began to look at a study, or for one."""

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop``; a study that is begun is finished first.

        A disk without room is waited for. Raises ``SpoolError`` where the queue is damaged.
        """
        while not stop.is_set():
            try:
                worked = self.once(stop)
                self._prune()
            except OSError as error:
                self._complain(f"the spool cannot be written: {error.strerror}")
                if error.errno != errno.EBUSY:  # locked by another program: there may be room
                    self._relieve()
                stop.wait(_NO_ROOM_S)
            else:
                if not worked:
                    stop.wait(_POLL_S)

    def _complain(self, words: str) -> None:
        now = time.monotonic()
        if words != self._complaint or now - self._complained > _COMPLAIN_S:
            self._complaint, self._complained = words, now
            log.error("%s", words)
            self._journal.record("no_room", reason=words)

    def _relieve(self) -> None:
        try:
            if gone := self._spool.relieve():
                log.warning("too little disk space: deleted %d files that were delivered", gone)
        except OSError as error:
            self._complain(f"could not delete old files: {error.strerror}")

    def _prune(self) -> None:
        if self._spool.space.is_short.is_set():
            self._relieve()
        if time.monotonic() >= self._prune_due:
            self._prune_due = time.monotonic() + _PRUNE_S
            self._spool.prune(self._keep_s)
            self._spool.space.hold_reserve()

    def once(self, stop: threading.Event | None = None) -> int:
        """Work on every study that is due; return how many.

        While the destination is out of reach, studies are answered, and their answers wait.
        """
        worked = 0
        self.last_look = time.monotonic()
        for study in self._spool.due(self._quiet_s):
            if stop is not None and stop.is_set():
                break
            if study.state != MADE or not self._pause.lasts():
                self.last_look = time.monotonic()
                self._work(study)
                worked += 1
        return worked

    def _work(self, study: Waiting) -> None:
        try:
            if study.state == RECEIVING and not self._answered(study):
                return
            if not self._pause.lasts():
                self._deliver(study)
        except SendError as error:
            if isinstance(error, UnreachableError):
                self._pause.begin()
            log.warning("study %s: not delivered (%s); will try again", study.key, error)
            self._journal.record("not_delivered", study=study.key, reason=str(error))
            self._spool.postpone(study, _delay(self._spool.tries(study), self._retry_s))

    def _answered(self, study: Waiting) -> bool:
        """Answer a study; False where it has to wait, or is set aside."""
        if study.attempts >= _MAX_INTERRUPTED:
            self._set_aside(study, "the process ended in each of them")
            return False
        if lost := self._spool.lost(study.key):
            self._set_aside(
                study, f"files of {lost} images are missing or damaged; send the study again"
            )
            return False
        self._spool.space.require_some()  # to find out after the work would be a waste
        begun = self._spool.begin(study)
        try:
            answer = self._answer(begun)
            self._spool.keep_answer(begun, answer.objects)
        except SpoolError:
            raise
        except (CrashedError, DeadlineError, LimitExceededError) as error:
            self._journal.record("worker_replaced", study=study.key, reason=error.kind)
            self._fail(begun, _why(error), _MAX_FAULTS)
            return False
        except OSError as error:
            if error.errno in _NO_ROOM:  # no fault of the study
                self._spool.take_back(begun)
                raise
            self._fail(begun, type(error).__name__, _MAX_ATTEMPTS)
            return False
        except Exception as error:  # one study must not stop the node, nor be lost
            # Not its text, nor a traceback: both may quote the file.
            self._fail(begun, type(error).__name__, _MAX_ATTEMPTS)
            return False
        log.info("study %s: %d objects made", study.key, len(answer.objects))
        self._journal.record("answered", study=study.key, objects=len(answer.objects))
        return True

    def _answer(self, study: Waiting) -> StudyAnswer:
        folder = self._spool.study_folder(study.key)
        delivered = self._spool.delivered(study.key, REPORT)
        answer = self._answer_study(study.key, folder, delivered)
        for note in answer.notes:
            log.warning("study %s: %s", study.key, note)
        return answer

    def _fail(self, study: Waiting, reason: str, most: int) -> None:
        if study.attempts >= most:
            self._set_aside(study, reason)
            return
        log.error("study %s: %s; will try again", study.key, reason)
        self._journal.record("not_answered", study=study.key, reason=reason)
        self._spool.postpone(study, _delay(study.attempts - 1, self._retry_s), reason)

    def _set_aside(self, study: Waiting, reason: str) -> None:
        log.error("study %s: set aside after %d tries: %s", study.key, study.attempts, reason)
        self._journal.record("set_aside", study=study.key, reason=reason)
        self._spool.finish(study, FAILED, reason)

    def _deliver(self, study: Waiting) -> None:
        refused: SendError | None = None
        unanswered: set[str] = set()
        for uid, sop_class in self._spool.unsent(study.key):
            if sop_class in unanswered:
                continue
            path = self._spool.object_path(uid)
            if not self._spool.is_whole(uid):
                log.error(
                    "study %s: a file of its answer is missing or damaged; the answer is computed "
                    "again",
                    study.key,
                )
                self._spool.answer_again(study)
                return
            try:
                self._send(path, sop_class)
            except UnansweredError as error:  # to this kind of object: others may be welcome
                refused = error
                unanswered.add(sop_class)
                continue
            except UnreachableError:
                raise
            except SendError as error:  # of this object: the others may be welcome
                refused = error
            else:
                self._spool.mark_sent(uid)
            self._pause.end()
        if refused is not None:
            raise refused
        self._spool.finish(study)
        log.info("study %s: delivered", study.key)
        self._journal.record("delivered", study=study.key)

    def _send(self, path: Path, sop_class: str) -> None:
        try:
            self._destination.send(path, sop_class)
        except SendError:
            raise
        except Exception as error:  # one study must not stop the node; no text: it may quote
            raise SendError(type(error).__name__) from error


class _Pause:
    """Time in which nothing is sent: a destination that is down is tried once, not per study."""

    def __init__(self, retry_s: float) -> None:
        self._retry_s, self._failures, self._until = retry_s, 0, 0.0

    def lasts(self) -> bool:
        return time.monotonic() < self._until

    def begin(self) -> None:
        self._until = time.monotonic() + _delay(self._failures, self._retry_s)
        self._failures += 1

    def end(self) -> None:
        self._failures, self._until = 0, 0.0


def _why(error: InputError) -> str:
    if isinstance(error, CrashedError):
        return "it crashed the process that read it"
    if isinstance(error, DeadlineError):
        return "reading it took too long, and was stopped"
    return "reading it needs too much memory"


def _delay(attempts: int, first_s: float) -> float:
    return min(first_s * 2.0 ** min(attempts, 16), _LONGEST_RETRY_S)
