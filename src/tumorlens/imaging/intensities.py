"""Values that are no intensities, and would set the window: burned-in text, padding, background.

The window of ``preprocessing`` takes nearly all values for those of the head. A few samples at the
top of a 16-bit range, a border far below all others, or a background in the middle of z-scores
break that, so they are mended here, where files are read, and noted.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.samples.gray import Samples

_SAMPLES: Final = 262_144
_MOST_OUTLIERS: Final = 0.1
"""Part of all samples that may lie far above the others: text and marks, no tissue."""
_FEWEST_OUTLIERS: Final = 0.003
"""Fewer do not move the window, whose top leaves out as many."""
_FAR: Final = 3.0
"""Outliers lie this many times the usual range above the darkest value."""
_BIN: Final = 0.25
"""Width of the bins in which the usual values end, in usual ranges."""
_EMPTY_BIN: Final = 0.001
"""Part of all samples that a bin beyond the usual values may hold: the edges of letters."""
_TEXT: Final = 0.25
"""Part of the outliers that have the largest value."""
_FEWEST_BELOW: Final = 0.005
_FEWEST_INSIDE: Final = 0.2
"""Part of all samples that the image itself has, whatever its background."""
_BORDER: Final = 0.9
"""Part of the border that one value fills where it is a background."""
_DARK: Final = 0.15
"""Height, in the range of the other samples, up to which a background is dark enough."""
_NEAR_ZERO: Final = 0.25
"""Part of a negative background up to which other values, by noise, are negative too."""
_CLEAR: Final = 0.05
"""Distance of a negative background from the others, in usual ranges, that matters."""
_SPECK: Final = 0.002
"""Part of a slice that an area of background has at least."""
_BETWEEN: Final = (0.02, 0.98)
"""Part of the other samples that lie below a background that is neither dark nor bright."""


_Sample = NDArray[np.float32]
"""Some of the samples, sorted."""


def mended(image: MedicalImage) -> MedicalImage:
    """Take values that are no intensities out of ``image``; itself where there are none.

    Images of 8 bits have no room for outliers: of these only the background is mended.
    """
    samples, note = _background(image.samples)
    notes = [note] if note else []
    if image.bit_depth > 8:
        sample = _sample(samples)
        for step in (_padding, _negative, _outliers, _bright):
            samples, note = step(samples, sample)
            if note:
                notes.append(note)
                sample = _sample(samples)
    return replace(image, samples=samples).remarked(*notes) if notes else image


def _sample(samples: Samples) -> _Sample:
    """Some samples of all slices, flat and sorted."""
    step = max(1, int((samples.size / _SAMPLES) ** (1 / samples.ndim)))
    sample = samples[(slice(None, None, step),) * samples.ndim].flatten()
    # Bytes are then sorted by counting, in a fifth of the time.
    sample.sort(kind="stable" if sample.dtype == np.uint8 else "quicksort")
    return sample.astype(np.float32, copy=False)


def _background(samples: Samples) -> tuple[Samples, str]:
    """Darken one constant value that fills the border but lies between those of the head."""
    edges = [samples[..., 0, :], samples[..., -1, :], samples[..., :, 0], samples[..., :, -1]]
    border = np.concatenate([edge.ravel() for edge in edges])
    if (border <= samples.min()).mean() > 0.5:
        return samples, ""  # dark already, as of nearly all images
    value = np.median(border)
    if (border == value).mean() < _BORDER:
        return samples, ""
    sample = _sample(samples)
    inside = sample[sample != value]
    share = len(inside) / len(sample)
    if not _FEWEST_INSIDE <= share <= 1 - _FEWEST_BELOW:
        return samples, ""
    below = float((inside < value).mean())
    dark = inside[0] + _DARK * float(np.quantile(inside, 0.99) - inside[0])
    if value < dark or not _BETWEEN[0] < below < _BETWEEN[1]:
        return samples, ""
    note = (
        f"one value ({value:g}) fills the border but lies between the others; it is treated as dark"
    )
    outside = _areas(samples == value)
    return np.where(outside, samples.dtype.type(inside[0]), samples), note


def _areas(same: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``same``, of any number of slices, without specks: a head has each value by chance too."""
    from scipy import ndimage  # here, not above: nearly no image needs it

    areas = np.zeros_like(same)
    planes = zip(
        same.reshape(-1, *same.shape[-2:]), areas.reshape(-1, *same.shape[-2:]), strict=True
    )
    for plane, out in planes:
        labels, _ = ndimage.label(plane)
        sizes = np.bincount(labels.ravel())
        large = sizes >= _SPECK * plane.size
        large[0] = False
        out[...] = large[labels]
    return areas


def _padding(samples: Samples, sample: _Sample) -> tuple[Samples, str]:
    """Raise values that lie far below all others: padding of the border, no measurement."""
    gaps = np.diff(sample)
    at = int(np.argmax(gaps)) if len(gaps) else 0
    below, rest = sample[: at + 1], sample[at + 1 :]
    if len(rest) < _FEWEST_INSIDE * len(sample) or len(below) < _FEWEST_BELOW * len(sample):
        return samples, ""
    usual = float(np.quantile(rest, 0.99) - rest[0])
    if not gaps[at] > usual > 0 or below[-1] - below[0] > usual:
        return samples, ""
    note = f"values up to {below[-1]:g} lie far below all others and are treated as background"
    return np.maximum(samples, rest[0]), note


def _negative(samples: Samples, sample: _Sample) -> tuple[Samples, str]:
    """Raise one negative value below all others to 0, as magnitudes are not negative."""
    value = float(sample[0])
    rest = sample[sample > value]
    if not _FEWEST_INSIDE <= len(rest) / len(sample) <= 1 - _FEWEST_BELOW:
        return samples, ""
    usual = float(np.quantile(rest, 0.99) - rest[0])
    if usual <= 0 or value >= 0:
        return samples, ""
    if rest[0] <= _NEAR_ZERO * value or rest[0] - value <= _CLEAR * usual:
        return samples, ""
    note = f"one value ({value:g}) lies below all others and is treated as background"
    return np.maximum(samples, samples.dtype.type(min(rest[0], 0))), note


def _bright(samples: Samples, sample: _Sample) -> tuple[Samples, str]:
    """Darken one value that lies farther above all others than these lie apart."""
    value = sample[-1]
    rest = sample[sample < value]
    if not _FEWEST_INSIDE <= len(rest) / len(sample) <= 1 - _FEWEST_BELOW:
        return samples, ""
    if not value - rest[-1] > rest[-1] - rest[0] > 0:
        return samples, ""
    note = f"one value ({value:g}) lies far above all others and is treated as background"
    return np.where(samples >= value, samples.dtype.type(rest[0]), samples), note


def _outliers(samples: Samples, sample: _Sample) -> tuple[Samples, str]:
    """Blank a few values that lie far above all others: text, marks, damage."""
    low, body, top = (float(v) for v in np.quantile(sample, (0.01, 1 - _MOST_OUTLIERS, 1.0)))
    usual = body - low
    if usual <= 0 or top - low <= _FAR * usual:
        return samples, ""
    limit = _end_of_body(sample, body, usual)
    outliers = sample[sample > limit]
    if len(outliers) < _FEWEST_OUTLIERS * len(sample) or outliers[-1] - low <= _FAR * (limit - low):
        return samples, ""
    # Text is burned in with one value; a small head in much air has many.
    if (outliers >= top - usual * _BIN).mean() < _TEXT:
        return samples, ""
    note = (
        f"{len(outliers) / len(sample):.1%} of the samples lie far above all others "
        "(burned-in text?) and are treated as background"
    )
    return np.where(samples > limit, samples.dtype.type(sample[0]), samples), note


def _end_of_body(sample: NDArray[np.float32], body: float, usual: float) -> float:
    """The largest of the usual values: beyond, a bin is all but empty."""
    start = body
    while start < sample[-1]:
        left, right = np.searchsorted(sample, (start, start + _BIN * usual), side="right")
        if right - left < _EMPTY_BIN * len(sample):
            return float(sample[left - 1])
        start += _BIN * usual
    return float(sample[-1])
