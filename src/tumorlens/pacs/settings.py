"""How the node is set up."""

import re
from dataclasses import dataclass
from typing import Final

from tumorlens.pacs.tls import Tls

DEFAULT_AE_TITLE: Final = "TUMORLENS"
_TITLE: Final = re.compile(r"[ -\[\]-~]{1,16}")


def checked_title(text: str) -> str:
    """An AE title without the spaces around it, which mean nothing (PS3.5 table 6.2-1).

    Raises ``ValueError`` unless it is one of 1 to 16 printable ASCII characters, no backslash.
    """
    title = text.strip(" ")
    if not _TITLE.fullmatch(title):
        raise ValueError(
            f"{text!a} is not an AE title: 1 to 16 printable ASCII characters, no backslash"
        )
    return title


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Where to listen, and to whom."""

    host: str
    port: int
    ae_title: str = DEFAULT_AE_TITLE
    allowed: tuple[str, ...] = ()
    """AE titles that may call; at least one."""
    tls: Tls | None = None
