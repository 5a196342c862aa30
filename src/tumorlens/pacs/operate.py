"""What an operator does with the queue: look at it, try a study again, take one out of it.

Each works beside a node that is running: the node sees the changed rows at its next look.
"""

from collections.abc import Sequence

import msgspec

from tumorlens.pacs import schema
from tumorlens.pacs.private import SpoolError
from tumorlens.pacs.spool import DROPPED, FAILED, MADE, RECEIVING, Spool

_SHORTEST_KEY = 6


class StudyStatus(msgspec.Struct, frozen=True):
    """What is known of a study."""

    study: str
    """A salted hash of its StudyInstanceUID."""
    state: str
    instances: int
    attempts: int
    """Failed attempts to answer it."""
    reason: str
    """Why the last try failed; empty where none did."""
    age_s: float
    """Seconds since its last instance came."""
    unsent: int
    """Objects of its answer that are still to be delivered."""


def statuses(spool: Spool) -> list[StudyStatus]:
    """All studies that the spool knows, the newest last."""
    with spool.reading() as db:
        rows = db.execute(
            "SELECT study, state, "
            "(SELECT COUNT(*) FROM instances WHERE instances.study=studies.study), "
            "attempts, reason, MAX(0, ? - received), "
            "(SELECT COUNT(*) FROM objects WHERE objects.study=studies.study AND sent=0) "
            "FROM studies ORDER BY received, rowid",
            (spool.now(),),
        ).fetchall()
    return [StudyStatus(*row) for row in rows]


def choose(spool: Spool, names: Sequence[str]) -> list[str]:
    """Keys of the studies named by key, the beginning of one, or StudyInstanceUID.

    Raises ``SpoolError`` where a name is of no study, or of several.
    """
    with spool.reading() as db:
        known = [str(row[0]) for row in db.execute("SELECT study FROM studies").fetchall()]
    return [_choose(spool, name, known) for name in names]


def _choose(spool: Spool, name: str, known: Sequence[str]) -> str:
    whole = spool.key(name)
    fitting = [
        key
        for key in known
        if key in (name, whole) or (len(name) >= _SHORTEST_KEY and key.startswith(name))
    ]
    if not fitting:
        raise SpoolError(f"no study {name}; 'tumorlens pacs status' lists them")
    if len(fitting) > 1:
        raise SpoolError(f"{len(fitting)} studies begin with {name}; give more digits")
    return fitting[0]


def failed(spool: Spool) -> list[str]:
    """Keys of the studies that were set aside."""
    with spool.reading() as db:
        rows = db.execute("SELECT study FROM studies WHERE state=?", (FAILED,)).fetchall()
    return [str(row[0]) for row in rows]


def retry(spool: Spool, keys: Sequence[str]) -> int:
    """Answer studies again that were set aside, deliver at once what waits; say how many."""
    count = 0
    with spool.changing() as db:
        for key in keys:
            # The node does not wait any longer for a study of another revision.
            count += db.execute(
                "UPDATE studies SET state=REPLACE(state, ?, ?), attempts=0, reason='', "
                "revision=revision+1 WHERE study=? AND state IN (?, ?)",
                (FAILED, RECEIVING, key, FAILED, MADE),
            ).rowcount
    return count


def drop(spool: Spool, keys: Sequence[str]) -> int:
    """Delete studies with their images and answers, delivered or not; say how many files."""
    with spool.changing() as db:
        for key in keys:
            # With another revision, what the node makes of it just now is not kept.
            db.execute(
                "UPDATE studies SET state=?, closed=?, revision=revision+1 WHERE study=?",
                (DROPPED, spool.now(), key),
            )
            schema.mark_study(db, key)
    count = spool.delete_marked()
    with spool.changing() as db:
        schema.forget(db, DROPPED, spool.now())
    return count
