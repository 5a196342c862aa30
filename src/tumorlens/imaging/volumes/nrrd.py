"""NRRD volumes with their data in the same file; ``planes`` cuts them into slices.

The first of a list of volumes is read. Format: teem.sourceforge.net/nrrd/format.html.
"""

import math
import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import CorruptInputError
from tumorlens.imaging.geometry.affine import (
    Matrix,
    Placement,
    in_millimetres,
    plausible_sizes,
    sensible,
    usual,
)
from tumorlens.imaging.geometry.planes import Volume
from tumorlens.imaging.inflate import Inflated
from tumorlens.imaging.limits import MAX_HEADER_BYTES, check_volume
from tumorlens.imaging.samples.gray import Color, color_of
from tumorlens.imaging.volumes.nrrd_header import MOST_LINES, Axes, Header
from tumorlens.imaging.volumes.stored import (
    as_meant,
    bits_of,
    checked,
    first_of,
    gray_of,
    mode_of,
    read_samples,
    real,
    surplus,
)

_TO_RAS: Final = {
    "right-anterior-superior": (1, 1, 1), "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1), "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1), "lps": (-1, -1, 1),
}  # fmt: skip
"""Signs of the patient's axes, by the name of the space; other spaces are not a patient's."""
_MILLIMETRES: Final = {"m": 1000.0, "cm": 10.0, "um": 0.001, "μm": 0.001, "µm": 0.001}
_SPACE: Final = re.compile(rb"\s")
_CHUNK: Final = 1 << 20
"""Bytes of text that are parsed at once."""
_QUOTED: Final = re.compile(r'"([^"]*)"')


def read(data: bytes, source: str) -> Volume:
    """The (first) volume of a file's bytes; ``source`` begins messages.

    Raises ``CorruptInputError``, ``LimitExceededError``, ``UnsupportedFormatError``,
    ``BlankImageError``.
    """
    header = Header(data, source)
    kind = header.kind()
    header.check_encoding()
    axes = header.axes(kind)
    x, y, z = axes.shape
    check_volume((z, y, x), source)
    raw, odd = _samples(data, header, axes, kind)
    values = real(raw) if axes.color is None else gray_of(raw[..., :3])
    voxels, without = checked(values.reshape(axes.shape, order="F"), source, axes.volumes)
    color = Color.GRAY if axes.color is None else color_of(raw[..., :3])
    notes = [*first_of(axes.volumes), *without, *odd]
    mode = mode_of(kind) if axes.color is None else "RGB"
    return Volume(voxels, _placement(header, axes), bits_of(kind), mode, notes, color)


def _samples(
    data: bytes, header: Header, axes: Axes, kind: np.dtype[Any]
) -> tuple[NDArray[np.generic], list[str]]:
    """The first volume, its axes in space and then channels; notes."""
    wanted = [*axes.spatial] if axes.color is None else [*axes.spatial, axes.color]
    # Nothing behind the first volume is needed.
    sizes = axes.sizes[: max(wanted) + 1]
    flat, notes = _flat(data, header, axes, kind, math.prod(sizes))
    whole = flat.reshape(sizes, order="F")
    volume = whole[tuple(slice(None) if axis in wanted else 0 for axis in range(len(sizes)))]
    if axes.color is not None:
        volume = np.moveaxis(volume, sorted(wanted).index(axes.color), -1)
    return volume, notes


def _flat(
    data: bytes, header: Header, axes: Axes, kind: np.dtype[Any], count: int
) -> tuple[NDArray[np.generic], list[str]]:
    begin, skip = _begin(data, header), _skip(header)
    if header.is_text:
        numbers = _numbers(data[begin + skip :], header.source, count)
        # Bytes have a luma of whole numbers; others are made float32 anyway.
        if axes.color is not None:
            return np.clip(np.nan_to_num(numbers), 0, 255).astype(np.uint8), []
        return numbers, []
    if header.is_zipped:
        stream, start = Inflated(data[begin:], header.source, zipped=True), skip
    else:
        # A skip of -1: the voxels are the last bytes of the file.
        at = len(data) - math.prod(axes.sizes) * kind.itemsize if skip == -1 else begin + skip
        stream, start = Inflated(data, header.source, zipped=False), max(begin, at)
    raw, notes = as_meant(read_samples(stream, start, count, kind))
    if axes.volumes > 1:
        return raw, notes
    depth = axes.shape[2]
    return raw, [*notes, *surplus(stream, start + raw.nbytes, raw.nbytes // depth)]


def _begin(data: bytes, header: Header) -> int:
    """The byte behind the header and the lines to skip."""
    begin, lines = header.end, header.number("lineskip")
    if not 0 <= lines <= MOST_LINES:
        raise header.damaged(f"line skip {lines}")
    for _ in range(lines):
        begin = data.find(b"\n", begin, header.end + MAX_HEADER_BYTES) + 1
        if begin == 0:
            raise header.damaged(f"line skip {lines}")
    return begin


def _skip(header: Header) -> int:
    """Bytes between that and the voxels, once they are unzipped."""
    skip = header.number("byteskip")
    from_end = skip == -1 and not (header.is_zipped or header.is_text)
    if not from_end and not 0 <= skip <= MAX_HEADER_BYTES:
        raise header.damaged(f"byte skip {skip}")
    return skip


def _numbers(text: bytes, source: str, count: int) -> NDArray[np.float32]:
    """``count`` decimal numbers; of a digit and a space each, at least."""
    if 2 * count - 1 > len(text):
        raise CorruptInputError(
            f"{source}: damaged or cut off ({len(text)} bytes are too few for {count} numbers)"
        )
    numbers = np.empty(count, np.float32)
    parsed = at = 0
    while parsed < count and at < len(text):
        space = _SPACE.search(text, at + _CHUNK)
        part = text[at : space.end() if space else len(text)]
        at += len(part)
        # numpy would make a number of spaces alone. It raises ValueError for other text.
        chunk = np.fromstring(part, np.float64, sep=" ") if part.strip() else np.empty(0)
        chunk = chunk[: count - parsed]
        numbers[parsed : parsed + len(chunk)] = chunk
        parsed += len(chunk)
    if parsed < count:
        raise CorruptInputError(
            f"{source}: damaged or cut off ({parsed} of {count} numbers are there)"
        )
    return numbers


def _placement(header: Header, axes: Axes) -> Placement:
    """From space, directions and origin; the usual orientation where they are missing or odd."""
    notes: list[str] = []
    steps = header.directions(len(axes.sizes))
    spatial = [steps[axis] for axis in axes.spatial] if steps is not None else None
    affine = _stated(header, spatial, notes) if spatial is not None else None
    stated = affine is not None
    if affine is None:
        affine = usual(plausible_sizes(_sizes(header, axes, spatial), notes), axes.shape, notes)
    return Placement(in_millimetres(affine, _unit(header), axes.shape, notes), stated, notes)


def _stated(header: Header, steps: list[Any], notes: list[str]) -> Matrix | None:
    """(4, 4), RAS; None where the file does not relate its space to the patient."""
    name = header.text("space").lower()
    signs = _TO_RAS.get(name.removesuffix("-time"), _TO_RAS.get(name.removesuffix("t")))
    if signs is None or any(len(step) < 3 for step in steps):
        return None
    affine = np.eye(4)
    for axis, step in enumerate(steps):
        affine[:3, axis] = np.asarray(step[:3]) * signs
    if len(steps) == 2:
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        affine[:3, 2] = normal / np.linalg.norm(normal)
    origin = header.origin()
    if origin is None or len(origin) < 3 or not all(map(math.isfinite, origin)):
        notes.append("the file's space origin is missing or not plausible; 0 is used")
        origin = (0.0, 0.0, 0.0)
    affine[:3, 3] = np.asarray(origin[:3]) * signs
    return sensible(affine, "direction matrix", notes)


def _sizes(header: Header, axes: Axes, steps: list[Any] | None) -> list[float]:
    """Voxel sizes, from the lengths of the steps or from the spacings."""
    if steps is not None:
        sizes = [math.hypot(*step) for step in steps]
    else:
        spacings = header.spacings(len(axes.sizes))
        sizes = [spacings[axis] for axis in axes.spatial]
    return [*sizes, 1.0][:3]


def _unit(header: Header) -> float:
    units = set(_QUOTED.findall(header.text("spaceunits"))[:3])
    return _MILLIMETRES.get(units.pop().strip().lower(), 1.0) if len(units) == 1 else 1.0
