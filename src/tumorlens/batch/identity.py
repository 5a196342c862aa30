"""What an answer depends on beside the input: the bundle, the settings, the program."""

import hashlib
from importlib.metadata import version
from typing import Final

import msgspec

from tumorlens.bundle import Bundle

_DIGITS: Final = 12


def identity(bundle: Bundle, plane: str) -> str:
    """A short hash; where it changes, so may every answer.

    Thresholds and temperature count as weights do: ``bundle.json`` holds the hashes of the files.
    """
    known = {"info": bundle.info, "plane": plane, "version": version("tumorlens")}
    text = msgspec.json.encode(known, order="deterministic")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]
