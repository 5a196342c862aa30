"""A worker that some inputs kill, as a fault of a decoder's would."""

import os
import signal
from collections.abc import Callable, Iterator

from tumorlens.batch import worker
from tumorlens.batch.answering import Answerer, Row
from tumorlens.batch.items import Item
from tumorlens.isolation.frames import Message


class _Mortal(Answerer):
    def rows(self, item: Item) -> Iterator[Row]:
        if "deadly" in item.path:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().rows(item)


def service(options: Message) -> Callable[[Message], Iterator[Message]]:
    setattr(worker, "Answerer", _Mortal)  # noqa: B010  (mypy forbids the plain way)
    return worker.service(options)
