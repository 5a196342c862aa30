"""Label maps, masks and maps of probabilities or distances, which may look like a head."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import UnsupportedFormatError

_MOST_LABELS: Final = 7
"""An image of 3 bits a voxel has 8 values; MR volumes of 8 bits have a hundred and more."""
_CHUNK: Final = 1 << 16
_LOOKED_AT: Final = 8
"""Slices that are looked at for areas of one value each."""
_SIDE: Final = 200
"""Fewest pixels a side that are looked at, of larger slices: enlarged pixels are no areas."""
_EVEN: Final = 0.8
"""Part of the neighbours inside areas that have the same value; of 8 bits of MR it is 0.2, of 12
grey levels of smooth MR 0.7."""
_MANY: Final = 12
"""From as many values, no MR is as even: only drawings without noise."""
_MOST_NAMES: Final = 1024
_FAR: Final = (0.5, 0.1)
"""Part of the steps between areas that lead beyond the next value, of few values and of many: names
have no order, but cortex and white matter are often named one after the other."""
_SAMPLED: Final = 1 << 20
"""Voxels that are looked at, about, for one value that most of what is bright has."""
_BINS: Final = 20
_DARK: Final = 6
"""Bins of ``_BINS`` that are not bright, as cubic interpolation leaves the outside of a mask ..."""
_HIGHEST: Final = 12
"""... and the first that the inside may be in, which it makes larger than 1 here and there."""
_ONE_VALUE: Final = 0.55
"""Part of what is bright in one bin of these; of MR volumes it is up to 0.2, of resampled masks 0.6
and more."""
_FEWEST_BRIGHT: Final = 0.05
"""Part of a volume that is bright; fewer voxels may be text or damage far above all others."""
_AT_BORDER: Final = 0.25
"""Part of the faces of a volume that is bright where it is inverted, or has bright padding."""
_LIKELY: Final = 0.3
"""Probabilities from here on are counted ..."""
_CERTAIN: Final = 0.95
"""... and how many of them are this large ..."""
_MOST_CERTAIN: Final = 0.3
"""... at least, as a part: of MR that is scaled to 0..1 it is up to 0.04, where the brightest
hundredth is clipped up to 0.16, and up to 0.25 where two hundredths are."""
_POSSIBLE: Final = 0.01
_FEWEST_POSSIBLE: Final = 0.03
"""Part of a volume that has some probability in maps of lesions; of MR without skull it is 0.1."""
_SAME_STEEPNESS: Final = 0.1
_MOST_EVEN: Final = 0.3
"""Part of the inside of a volume that is as steep, to a tenth, as its median; of MR it is up to
0.12, of distances 0.45 and more, which grow by 1 for each millimetre from the border ..."""
_OUTSIDE: Final = 0.25
"""... of what has the lowest value: so large a part of the volume at least."""


def check_no_label_map(samples: NDArray[np.generic], source: str) -> None:
    """Raise ``UnsupportedFormatError`` for a volume (D, H, W) of labels.

    It has 2 to 7 distinct values, or areas of one value each, as parcellations of a hundred
    regions have, or one value in most of what is bright, as masks have that were resampled. One of
    a single value is blank, which other checks report.
    """
    if samples.ndim != 3:
        return
    distinct = _distinct(samples)
    if 2 <= len(distinct) <= _MOST_LABELS:
        values = ", ".join(f"{value:g}" for value in sorted(distinct))
        raise UnsupportedFormatError(
            f"{source}: a label map or mask, not an image (its only values are {values})"
        )
    if len(distinct) > 1 and _has_areas(_some_slices(samples)):
        raise UnsupportedFormatError(
            f"{source}: a label map, not an image (it has areas of one value each)"
        )
    if len(distinct) > 1 and _is_soft_mask(samples):
        raise UnsupportedFormatError(
            f"{source}: a mask, not an image (most of what is bright has one value)"
        )


def check_no_computed_map(voxels: NDArray[np.float32], source: str) -> None:
    """Raise ``UnsupportedFormatError`` for a volume (X, Y, Z) of probabilities or distances.

    The values must be those of the file: a window scales images to 0..1, and clips them.
    """
    sample = _spread(voxels)
    if float(sample.min()) >= 0 and 0.5 < float(sample.max()) <= 1 and _are_probabilities(sample):
        raise UnsupportedFormatError(
            f"{source}: a probability map, not an image (its values are 0 to 1, and most of them "
            "are near one of the two)"
        )
    if _are_distances(voxels):
        raise UnsupportedFormatError(
            f"{source}: a distance map, not an image (its values grow evenly from a border)"
        )


def _are_probabilities(sample: NDArray[np.float64]) -> bool:
    """Whether many of the values of 0 to 1 are near 1, or nearly all are 0."""
    counted, certain = (int((sample >= least).sum()) for least in (_LIKELY, _CERTAIN))
    is_rare = int((sample >= _POSSIBLE).sum()) < _FEWEST_POSSIBLE * sample.size
    is_certain = counted >= _POSSIBLE * sample.size and certain >= _MOST_CERTAIN * counted
    return is_rare or is_certain


def _are_distances(voxels: NDArray[np.float32]) -> bool:
    """Whether what is not outside is equally steep nearly everywhere."""
    step = _step(voxels)
    corner = tuple(slice(0, side - (side > 1), step) for side in voxels.shape)
    here = voxels[corner].astype(np.float64)
    squared = np.zeros_like(here)
    for axis, side in enumerate(voxels.shape):
        beside = list(corner)
        beside[axis] = slice(int(side > 1), side, step)
        squared += (voxels[tuple(beside)] - here) ** 2
    steepness = np.sqrt(squared[here > here.min()])
    usual = float(np.median(steepness)) if 0 < steepness.size <= (1 - _OUTSIDE) * here.size else 0.0
    return (
        usual > 0 and float((np.abs(steepness / usual - 1) <= _SAME_STEEPNESS).mean()) >= _MOST_EVEN
    )


def _step(voxels: NDArray[np.generic]) -> int:
    """Between voxels that are looked at, along each axis."""
    return max(1, round(float(np.cbrt(voxels.size / _SAMPLED))))


def _spread(voxels: NDArray[np.generic]) -> NDArray[np.float64]:
    """Voxels from all of (D, H, W), about ``_SAMPLED``."""
    step = _step(voxels)
    return voxels[::step, ::step, ::step].astype(np.float64)


def _some_slices(samples: NDArray[np.generic]) -> NDArray[np.generic]:
    """A few along the shortest axis (N, H, W), of large ones not each pixel."""
    axis = int(np.argmin(samples.shape))
    indices = np.linspace(0, samples.shape[axis] - 1, min(_LOOKED_AT, samples.shape[axis]))
    slices: NDArray[np.generic] = np.moveaxis(samples, axis, 0)[indices.astype(int)]
    step = max(1, min(slices.shape[1:]) // _SIDE)
    return slices[:, ::step, ::step]


def _is_soft_mask(samples: NDArray[np.generic]) -> bool:
    """Whether most of what is bright in (D, H, W) has one value, the border being dark."""
    sample = _spread(samples)
    low, high = float(sample.min()), float(sample.max())
    counts, _ = np.histogram(sample, _BINS, (low, high))
    bright, most = int(counts[_DARK:].sum()), int(counts[_HIGHEST:].max())
    if bright < _FEWEST_BRIGHT * sample.size or most < _ONE_VALUE * bright:
        return False
    faces = [sample[[0, -1]], sample[:, [0, -1]], sample[:, :, [0, -1]]]
    border = np.concatenate([face.ravel() for face in faces])
    return bool((border > (low + high) / 2).mean() < _AT_BORDER)


def _has_areas(slices: NDArray[np.generic]) -> bool:
    """Whether neighbours in (N, H, W) that are no background nearly all have the same value."""
    values, counts = np.unique(slices, return_counts=True)
    # Air and padding are even in images too.
    lowest = slices.min(axis=(1, 2), keepdims=True)
    inside = (slices != lowest) & (slices != values[counts.argmax()])
    if len(values) > _MOST_NAMES or not np.array_equal(values, np.rint(values)):
        return False
    if evenness(slices, inside) < _EVEN:
        return False
    ranks = np.searchsorted(values, slices).astype(np.int64)
    steps = np.concatenate(
        [np.abs(after - before)[both] for after, before, both in _pairs(ranks, inside)]
    )
    steps = steps[steps > 0]
    return bool(len(steps) and (steps > 1).mean() >= _FAR[len(values) >= _MANY])


def evenness(samples: NDArray[np.generic], inside: NDArray[np.bool_]) -> float:
    """The part of the neighbours ``inside`` (..., H, W) that have the same value.

    The lesser one of both directions; 0 where there are no neighbours.
    """
    return min(_part(after == before, both) for after, before, both in _pairs(samples, inside))


def _part(equal: NDArray[np.bool_], both: NDArray[np.bool_]) -> float:
    """How much of ``both`` is equal. Counted: selecting the pixels takes seven times as long."""
    return int(np.count_nonzero(equal & both)) / max(1, int(np.count_nonzero(both)))


def _pairs(
    samples: NDArray[Any], inside: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]]:
    """Neighbours below and beside each other, and whether both are ``inside``."""
    yield samples[..., 1:, :], samples[..., :-1, :], inside[..., 1:, :] & inside[..., :-1, :]
    yield samples[..., 1:], samples[..., :-1], inside[..., 1:] & inside[..., :-1]


def _distinct(samples: NDArray[np.generic]) -> set[float]:
    """The distinct values; only some, more than ``_MOST_LABELS``, where there are many."""
    distinct: set[float] = set()
    flat = samples.ravel(order="K")
    for start in range(0, flat.size, _CHUNK):
        distinct.update(np.unique(flat[start : start + _CHUNK]).tolist())
        if len(distinct) > _MOST_LABELS:
            break
    return distinct
