"""MGH and MGZ volumes of FreeSurfer; ``planes`` cuts them into slices.

The first of several frames is read; frames of one slice each form one volume.
Format: surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat, and mriio.cpp of FreeSurfer
for the default where a header states no orientation.
"""

import math
from typing import Final

import numpy as np
from nibabel.freesurfer.mghformat import DATA_OFFSET, MGHHeader

from tumorlens.errors import CorruptInputError, UnsupportedFormatError
from tumorlens.imaging.geometry.affine import (
    Matrix,
    Placement,
    centred,
    in_millimetres,
    plausible_sizes,
    sensible,
)
from tumorlens.imaging.geometry.planes import Volume
from tumorlens.imaging.inflate import Inflated
from tumorlens.imaging.limits import check_volume
from tumorlens.imaging.volumes.stored import (
    as_meant,
    bits_of,
    check_first_axis,
    checked,
    first_of,
    mode_of,
    read_as_slices,
    read_samples,
    real,
)

_KINDS: Final = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
"""Types of samples by their code, as FreeSurfer writes them (mri.h, MRI_UCHAR to MRI_USHRT)."""
_FLAG_AT: Final = 28
"""The byte of goodRASFlag, which nibabel sets where it is 0."""
_CORONAL: Final = np.array([[-1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
"""(3, 3), the directions of x, y and z in its columns: left, down, front."""


def read(data: bytes, source: str) -> Volume:
    """The (first) volume of a file's bytes; ``source`` begins messages.

    Raises ``CorruptInputError``, ``LimitExceededError``, ``UnsupportedFormatError``,
    ``BlankImageError``.
    """
    stream = Inflated(data, source)
    block = bytes(stream.take(DATA_OFFSET))
    header = MGHHeader(block, check=False)
    shape, notes = _shape(header, source)
    code = int(header["type"])
    if code not in _KINDS:
        raise UnsupportedFormatError(f"{source}: MGH voxels of type {code}")
    kind = np.dtype(_KINDS[code])
    raw, odd = as_meant(read_samples(stream, DATA_OFFSET, math.prod(shape), kind))
    volumes = math.prod(int(side) for side in header["dims"]) // math.prod(shape)
    voxels, without = checked(real(raw).reshape(shape, order="F"), source, volumes)
    # What follows the voxels are times of the scan and a history, of any length: no surplus.
    states_orientation = int.from_bytes(block[_FLAG_AT : _FLAG_AT + 2], "big", signed=True) > 0
    placed = _placement(header, shape, states_orientation)
    return Volume(voxels, placed, bits_of(kind), mode_of(kind), [*notes, *odd, *without])


def _shape(header: MGHHeader, source: str) -> tuple[tuple[int, int, int], list[str]]:
    """The sides, checked before anything is taken for them, and a note on several frames."""
    x, y, z, frames = (int(side) for side in header["dims"])
    if min(x, y, z, frames) < 1:
        raise CorruptInputError(f"{source}: damaged MGH (dimensions {(x, y, z, frames)})")
    check_first_axis((x, y, z, frames), source)
    are_slices = z == 1 < frames
    z = frames if are_slices else z
    check_volume((z, y, x), source)
    return (x, y, z), read_as_slices(frames) if are_slices else first_of(frames)


def _placement(header: MGHHeader, shape: tuple[int, int, int], stated: bool) -> Placement:
    """From the directions, the voxel sizes and the centre; FreeSurfer's default without them."""
    notes: list[str] = []
    sizes = plausible_sizes(header["delta"], notes) if stated else [1.0, 1.0, 1.0]
    affine = _stated(header, sizes, shape, notes) if stated else None
    states_orientation = affine is not None
    if affine is None:
        size = "" if stated else ", 1 mm"
        notes.append(
            f"the file does not state its orientation; FreeSurfer's default (coronal{size}) "
            "is assumed"
        )
        affine = centred(_CORONAL * sizes, shape)
    return Placement(in_millimetres(affine, 1.0, shape, notes), states_orientation, notes)


def _stated(
    header: MGHHeader, sizes: list[float], shape: tuple[int, int, int], notes: list[str]
) -> Matrix | None:
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(header["Mdc"], np.float64).T * sizes
    # The centre is that of voxel (X / 2, Y / 2, Z / 2), whose index is whole where sides are even.
    middle = np.asarray(shape) / 2
    affine[:3, 3] = np.asarray(header["Pxyz_c"], np.float64) - affine[:3, :3] @ middle
    return sensible(affine, "direction matrix", notes)
