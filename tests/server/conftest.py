"""Real servers on real sockets, in threads of this process."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the serve extra")

import httpx
import numpy as np
from numpy.typing import NDArray
from tests.server.wire import Start

from tumorlens.imaging.raster import encode
from tumorlens.server import run
from tumorlens.server.settings import Limits, Settings


@contextmanager
def _served(settings: Settings) -> Iterator[str]:
    """Run a server; yield its address once it listens."""
    opened = threading.Event()
    address: list[str] = []

    def announce(text: str) -> None:
        address.append(text)
        opened.set()

    server = run.Server(run.config(settings), announce)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        assert opened.wait(30)
        yield address[0]
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def start(tiny_bundle: Path) -> Start:
    """Starts a server with the bundle of random weights; a context manager that gives its URL."""

    def begin(**changes: Any) -> AbstractContextManager[str]:
        limits = Limits(**changes.pop("limits", {}))
        settings = {"bundle": str(tiny_bundle), "port": 0, "workers": 2, **changes}
        return _served(Settings(limits=limits, **settings))

    return begin


@pytest.fixture(scope="session")
def url(start: Start) -> Iterator[str]:
    """The address of a server with the usual settings."""
    with start() as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def image(head: NDArray[np.uint8]) -> bytes:
    return encode.png(head)
