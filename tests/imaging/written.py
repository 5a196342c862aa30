"""One volume written as each format that holds volumes."""

import gzip
from typing import Any, Final

import nibabel
import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray

Volume = NDArray[np.float32]
Affine = NDArray[np.float64]
AFFINE: Final = np.array([[2.0, 0, 0, -40], [0, 2, 0, -50], [0, 0, 2, -30], [0, 0, 0, 1]])
_NRRD_TYPES: Final = {
    "int8": "signed char", "uint8": "unsigned char", "int16": "short", "uint16": "ushort",
    "int32": "int32_t", "uint32": "unsigned int", "int64": "long long int", "uint64": "uint64",
    "float32": "float", "float64": "double",
}  # fmt: skip


def stored_as(codes: str, voxels: Volume, affine: Affine) -> tuple[Volume, Affine]:
    """The same head with its axes turned and mirrored to ``codes``, such as LPS."""
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(tuple(codes)))
    return apply_orientation(voxels, turn), affine @ inv_ornt_aff(turn, voxels.shape)


def nifti(voxels: NDArray[np.generic], affine: Affine = AFFINE) -> bytes:
    """NIfTI-1, gzipped."""
    data: bytes = nibabel.Nifti1Image(voxels, affine).to_bytes()
    return gzip.compress(data, 1, mtime=0)


def mgh(voxels: NDArray[np.generic], affine: Affine = AFFINE) -> bytes:
    """MGH, not gzipped."""
    data: bytes = nibabel.MGHImage(voxels, affine).to_bytes()
    return data


def mgz(voxels: NDArray[np.generic], affine: Affine = AFFINE) -> bytes:
    """MGZ: MGH, gzipped."""
    return gzip.compress(mgh(voxels, affine), 1, mtime=0)


def nrrd(
    voxels: NDArray[np.generic],
    affine: Affine = AFFINE,
    *,
    behind: bytes | None = None,
    **fields: str | None,
) -> bytes:
    """NRRD in LPS; ``fields`` replace those of the header, or with None leave them out."""
    values: dict[str, Any] = described(voxels, affine) | fields
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in values.items() if value]
    header = "\n".join(["NRRD0005", "# a remark", *lines, "Remark:=of a program: 1", "", ""])
    if behind is None:
        behind = voxels.tobytes(order="F")
        if values["encoding"] in ("gzip", "gz"):
            behind = gzip.compress(behind, 1, mtime=0)
    return header.encode() + behind


def described(voxels: NDArray[np.generic], affine: Affine) -> dict[str, str]:
    """The fields of the header."""
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    return {
        "type": _NRRD_TYPES[voxels.dtype.name],
        "dimension": str(voxels.ndim),
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, voxels.shape)),
        "space_directions": " ".join(_vector(lps[:3, axis]) for axis in range(3)),
        "kinds": " ".join(["domain"] * voxels.ndim),
        "endian": "big" if voxels.dtype.byteorder == ">" else "little",
        "encoding": "raw",
        "space_origin": _vector(lps[:3, 3]),
    }


def _vector(parts: NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(part)) for part in parts)})"
