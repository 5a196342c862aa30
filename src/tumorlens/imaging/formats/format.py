"""What the registry knows of a format."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tumorlens.imaging.image import MedicalImage

Decoder = Callable[[bytes, str, str], "MedicalImage"]
"""Takes the file's bytes, its name for messages, and the plane to cut a volume along."""


@dataclass(frozen=True, slots=True)
class Format:
    """One input format.

    ``decoder`` imports its library itself: recognising files does not need it. It
    raises an ``InputError`` whose message begins with the name where it knows what is wrong;
    whatever else it raises becomes ``CorruptInputError`` (``imaging.decoding``). Bounds on sizes
    are in ``imaging.limits``.
    """

    name: str
    title: str
    """For people: ``NIfTI``."""
    suffixes: tuple[str, ...]
    """Of names that claim this format. They never decide how a file is read."""
    begins: Callable[[bytes], bool]
    """Whether the first ``registry.SNIFF_BYTES`` bytes of a file are this format's."""
    decoder: Decoder
    windowed: bool = False
    """Whether the decoder maps stored values to gray itself, so that no intensity is mended."""
    holds_volumes: bool = False
    """Whether nearly all files are volumes."""


def begins_with(*signatures: bytes) -> Callable[[bytes], bool]:
    """Test for any of some first bytes."""
    return lambda data: data.startswith(signatures)


def cut_into_slices(module: str) -> Decoder:
    """The decoder of a format whose files are volumes, by ``read`` of a module of ``volumes``.

    It takes bytes and name, and its ``planes.Volume`` is cut along the plane.
    """

    def decode(data: bytes, source: str, plane: str) -> "MedicalImage":
        from tumorlens.imaging.geometry.planes import cut

        return cut(
            import_module(f"tumorlens.imaging.volumes.{module}").read(data, source), plane, source
        )

    return decode
