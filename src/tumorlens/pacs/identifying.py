"""Identity of an instance, read in a worker process: a crafted header can take minutes to read."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tumorlens.errors import InputError
from tumorlens.imaging.dicom.instance import Instance, identify
from tumorlens.isolation.frames import Message
from tumorlens.isolation.pool import Pool, PoolSettings
from tumorlens.isolation.worker import Handler

DEADLINE_S: Final = 15.0
_MEMORY_BYTES: Final = 1 << 30


class UnreadableError(InputError):
    """A received file cannot be read, or not in time; the message is the ``kind`` of why."""

    kind = "unreadable"


Identify = Callable[[Path, str], Instance]
"""Reads the identity of a file that a peer has sent; raises ``UnreadableError``."""


def identify_here(path: Path, _peer: str) -> Instance:
    """See ``Identify``: in this process."""
    try:
        with path.open("rb") as stream:
            return identify(stream, "received")
    except InputError as error:
        raise UnreadableError(error.kind) from error


class Isolated:
    """Reads in worker processes; peers take turns, and what takes long holds up nobody else."""

    def __init__(self) -> None:
        """Start the processes; raises ``WorkerStartError``."""
        settings = PoolSettings(quick=2, slow=1, spare=0, memory_bytes=_MEMORY_BYTES)
        self._pool = Pool(f"{__name__}:make", Message({}), settings)
        self._pool.start()

    def identify(self, path: Path, peer: str) -> Instance:
        """See ``Identify``; raises ``WorkerFaultError`` for faults of the program."""
        request = Message({"path": str(path)})
        outcome = self._pool.submit(
            request, source="received", seconds=DEADLINE_S, turn=(peer, peer)
        ).result()
        if outcome.error is not None:
            raise UnreadableError(outcome.error.kind)
        content = outcome.parts[0].content
        if "why" in content:
            raise UnreadableError(content["why"])
        return Instance(content["study"], content["instance"], content["digest"])

    def close(self) -> None:
        """End the processes."""
        self._pool.close()


def make(_options: Message) -> Handler:
    """Handler of the worker processes; see ``isolation.worker.Factory``."""

    def handle(request: Message) -> Iterator[Message]:
        try:
            instance = identify_here(Path(request.content["path"]), "")
        except UnreadableError as error:
            yield Message({"why": str(error)})
        else:
            yield Message({
                "study": instance.study_uid, "instance": instance.sop_instance_uid,
                "digest": instance.digest,
            })  # fmt: skip

    return handle
