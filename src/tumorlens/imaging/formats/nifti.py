"""NIfTI-1 and NIfTI-2, plain or gzipped, decoded with nibabel (``imaging.volumes.nifti``)."""

from typing import Final

from tumorlens.imaging.formats.format import Format, cut_into_slices
from tumorlens.imaging.inflate import GZIP, first_inflated

_MAGIC_1: Final = (b"n+1\x00", b"ni1\x00")
_MAGIC_1_AT: Final = 344
_MAGIC_2: Final = (b"n+2\x00\r\n\x1a\n", b"ni2\x00\r\n\x1a\n")
_MAGIC_2_AT: Final = 4
_BEGINNING: Final = _MAGIC_1_AT + 4


def _begins(data: bytes) -> bool:
    if data.startswith(GZIP):
        data = first_inflated(data, _BEGINNING)
    return data.startswith(_MAGIC_1, _MAGIC_1_AT) or data.startswith(_MAGIC_2, _MAGIC_2_AT)


NIFTI: Final = Format(
    "nifti", "NIfTI", (".nii", ".nii.gz"), _begins, cut_into_slices("nifti"), holds_volumes=True
)
