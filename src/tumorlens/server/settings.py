"""Settings of the server, with limits that keep a single request cheap."""

import ipaddress
from typing import Annotated, Final

import msgspec
from msgspec import Meta

MIB: Final = 1024 * 1024
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0.0)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one request, and all of them together, may cost."""

    body_bytes: Count = 256 * MIB
    """Largest request body."""
    files: Count = 256
    """Most files in one request."""
    study_files: Count = 4096
    """Most files of one study."""
    pixels: Count = 4096 * 4096
    """Most pixels of one image, checked before it is decoded."""
    body_seconds: Seconds = 120.0
    """Time a body may take to arrive."""
    header_seconds: Seconds = 15.0
    """Time a request line and its headers may take to arrive."""
    queue_images: Count = 512
    """Most images accepted and not yet answered, over all requests."""
    queue_bytes: Count = 512 * MIB
    """Most bytes of uploads held in memory, over all requests."""
    name_characters: Count = 1024
    """Longest file name."""
    connections: Count = 1024
    """Most open connections."""

    file_seconds: Seconds = 10.0
    """Time the work on one file may take."""
    study_seconds: Seconds = 30.0
    """Time the work on one study may take."""
    mib_seconds: Annotated[float, Meta(ge=0.0)] = 1.0
    """Time more for each MiB of the file or study."""
    worker_bytes: Count = 2048 * MIB
    """Memory that the work on one file or study may take."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where the largest request could never be accepted."""
        if self.files > self.queue_images or self.body_bytes > self.queue_bytes:
            raise ValueError("the queue must have room for one request of the largest size")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One server."""

    bundle: str = "default"
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    root_path: str = ""
    """Path below which a reverse proxy offers the server; the proxy strips it."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, without port, that requests may call the server by; ``*`` for any. Loopback names
    are always allowed: a name check keeps web pages from reaching a local server through a name
    of their own (DNS rebinding)."""
    tokens: tuple[str, ...] = ()
    """Bearer tokens, any of which opens ``/v1`` and ``/metrics``; none: open to all who reach
    it."""
    workers: Count | None = None
    """Images worked on at the same time, each in a process of its own; None: as many as there
    are processors. Half as many more are there for what takes long, and one to spare."""
    limits: Limits = Limits()


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach a server bound to ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
