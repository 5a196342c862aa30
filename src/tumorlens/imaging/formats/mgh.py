"""MGH and MGZ of FreeSurfer, whose headers nibabel reads (``imaging.volumes.mgh``)."""

from typing import Final

from tumorlens.imaging.formats.format import Format, cut_into_slices
from tumorlens.imaging.inflate import GZIP, first_inflated

_VERSION: Final = b"\x00\x00\x00\x01"
_BEGINNING: Final = 24
"""Version, four sides and the type of samples: four bytes each."""
_LARGEST_SIDE: Final = 1 << 24
_LARGEST_TYPE: Final = 10


def _begins(data: bytes) -> bool:
    """There is no signature but the version: the numbers after it must be plausible too."""
    if data.startswith(GZIP):
        data = first_inflated(data, _BEGINNING)
    if len(data) < _BEGINNING or not data.startswith(_VERSION):
        return False
    *sides, kind = (int.from_bytes(data[at : at + 4], "big") for at in range(4, _BEGINNING, 4))
    return all(0 < side <= _LARGEST_SIDE for side in sides) and kind <= _LARGEST_TYPE


MGH: Final = Format(
    "mgh", "MGH", (".mgz", ".mgh"), _begins, cut_into_slices("mgh"), holds_volumes=True
)
