"""How the node is set up."""

from dataclasses import dataclass
from typing import Final

from tumorlens.pacs.tls import Tls

DEFAULT_AE_TITLE: Final = "TUMORLENS"
DEFAULT_PORT: Final = 11112
"""Registered for DICOM."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Where to listen, and to whom."""

    host: str
    port: int
    ae_title: str = DEFAULT_AE_TITLE
    allowed: tuple[str, ...] = ()
    """AE titles that may call; at least one."""
    tls: Tls | None = None
