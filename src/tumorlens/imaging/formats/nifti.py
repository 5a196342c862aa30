"""NIfTI-1 and NIfTI-2, plain or gzipped, decoded with nibabel (``imaging.nifti``)."""

from typing import TYPE_CHECKING, Final

from tumorlens.imaging.formats.format import Format, cut_into_slices
from tumorlens.imaging.inflate import GZIP, first_inflated

if TYPE_CHECKING:
    from tumorlens.imaging.planes import Volume

_MAGIC_1: Final = (b"n+1\x00", b"ni1\x00")
_MAGIC_1_AT: Final = 344
_MAGIC_2: Final = (b"n+2\x00\r\n\x1a\n", b"ni2\x00\r\n\x1a\n")
_MAGIC_2_AT: Final = 4
_BEGINNING: Final = _MAGIC_1_AT + 4


def _begins(data: bytes) -> bool:
    if data.startswith(GZIP):
        data = first_inflated(data, _BEGINNING)
    return data.startswith(_MAGIC_1, _MAGIC_1_AT) or data.startswith(_MAGIC_2, _MAGIC_2_AT)


def _read(data: bytes, source: str) -> "Volume":
    from tumorlens.imaging import nifti

    return nifti.read(data, source)


NIFTI: Final = Format(
    "nifti", "NIfTI", (".nii", ".nii.gz"), _begins, cut_into_slices(_read), holds_volumes=True
)
