"""Find duplicates: equal bytes, equal pixels, and copies that were edited or rotated.

A perceptual hash makes a shortlist, a correlation of pixels decides. Neither is enough alone: on
the public set, slices of different patients come within 4 bits of each other, and copies of one
slice differ by more than 12.
"""

import dataclasses
from collections.abc import Hashable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tumorlens.datasets.fingerprints import (
    ORIENTATIONS,
    THUMBNAIL_SIZE,
    Fingerprints,
    Progress,
    fingerprint,
    hamming,
    orient,
)
from tumorlens.datasets.manifest import Manifest

MAX_DISTANCE: Final = 12
"""Differing hash bits up to which a pair is checked."""
MIN_CORRELATION: Final = 0.97
"""Pearson correlation of 64x64 thumbnails from which a pair counts as the same picture.

On the public set 22,966 pairs pass both and none joins two patients; from 0.95 four do.
"""
_BLOCK: Final = 1024
"""Hashes that are compared with as many at a time: what that takes stays in the cache."""
_PAIRS_AT_ONCE: Final = 4096
_THUMBNAILS_AT_ONCE: Final = 1024
_COARSE: Final = 16
"""Side of the coarse pictures: where heads differ, they do at this size already."""
_SLACK: Final = 1e-3
"""More than float32 rounds away."""
_NOTHING: Final = (-1.0, 0, 0)


@dataclasses.dataclass(frozen=True, slots=True)
class Pairs:
    """K pairs of near-duplicates, none of equal pixels; ``left`` < ``right`` as manifest rows."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    orientation: NDArray[np.int64]
    """Index into ``fingerprints.ORIENTATIONS``: how the right picture must be turned to match."""
    distance: NDArray[np.int64]
    """Differing bits of the perceptual hashes, 0 to 64."""
    correlation: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.left)


def identical(keys: Sequence[Hashable]) -> list[tuple[int, ...]]:
    """Group rows that share a key, for example their bytes' hash; empty keys never match.

    Groups of two or more rows, each ascending, ordered by first row.
    """
    groups: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        if key:
            groups.setdefault(key, []).append(row)
    return [tuple(rows) for rows in groups.values() if len(rows) > 1]


def near_duplicates(
    fingerprints: Fingerprints,
    max_distance: int = MAX_DISTANCE,
    min_correlation: float = MIN_CORRELATION,
) -> Pairs:
    """Find pairs whose pictures agree in some orientation; the best orientation is reported.

    All hashes are compared with all, a block at a time; of what is left, coarse pictures; and only
    of what agrees there the thumbnails, which are read as they are needed. No step loses a pair
    that the next would have kept.
    """
    best: dict[tuple[int, int], tuple[float, int, int]] = {}
    coarse = _coarse(fingerprints.thumbnails)
    most = 2.0 * (1.0 - min_correlation) + _SLACK
    for orientation in range(len(ORIENTATIONS)):
        turned = _turned(coarse, orientation)
        for left, right, distance in _shortlist(fingerprints, orientation, max_distance):
            apart = np.square(coarse[left] - turned[right]).sum(axis=(1, 2))
            kept = np.flatnonzero(apart <= most)
            correlations = _correlations(
                fingerprints.thumbnails, left[kept], right[kept], orientation
            )
            for k, correlation in zip(kept, correlations, strict=True):
                pair = int(left[k]), int(right[k])
                found = (float(correlation), orientation, int(distance[k]))
                if correlation >= min_correlation and found[0] > best.get(pair, _NOTHING)[0]:
                    best[pair] = found
    rows = [(*pair, *best[pair]) for pair in sorted(best)]
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    whole = table[:, [0, 1, 3, 4]].astype(np.int64)
    return Pairs(whole[:, 0], whole[:, 1], whole[:, 2], whole[:, 3], table[:, 2])


def look_alikes(manifest: Manifest, progress: Progress | None = None) -> list[tuple[int, int]]:
    """Pairs of rows whose pictures are the same or nearly, as the audit finds them.

    Reads every picture; those that cannot be read are in no pair.
    """
    prints = fingerprint(manifest, progress)
    pairs = near_duplicates(prints)
    found = list(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))
    same = identical(prints.pixel_sha256)
    return found + [(rows[0], other) for rows in same for other in rows[1:]]


def clusters(count: int, pairs: Pairs, groups: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Number ``count`` rows so that rows joined by a pair or a group share a number; (count,)."""
    chained = [(rows[0], other) for rows in groups for other in rows[1:]]
    links = np.array(chained, dtype=np.int64).reshape(-1, 2)
    left = np.concatenate([pairs.left, links[:, 0]])
    right = np.concatenate([pairs.right, links[:, 1]])
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _shortlist(
    fingerprints: Fingerprints, orientation: int, max_distance: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (left, right, distance) of usable pairs with near hashes and different pixels."""
    rows = np.flatnonzero(fingerprints.usable)
    _, content = np.unique(np.array(fingerprints.pixel_sha256), return_inverse=True)
    upright = fingerprints.hashes[rows, 0]
    turned = fingerprints.hashes[rows, orientation]
    for top in range(0, len(rows), _BLOCK):
        for start in range(top, len(rows), _BLOCK):
            distance = hamming(upright[top : top + _BLOCK], turned[start : start + _BLOCK])
            i, j = np.nonzero(distance <= max_distance)
            left, right, bits = rows[top + i], rows[start + j], distance[i, j].astype(np.int64)
            keep = (left < right) & (content[left] != content[right])
            left, right, bits = left[keep], right[keep], bits[keep]
            for first in range(0, len(left), _PAIRS_AT_ONCE):
                part = slice(first, first + _PAIRS_AT_ONCE)
                yield left[part], right[part], bits[part]


def _correlations(
    thumbnails: NDArray[np.uint8], left: NDArray[np.int64], right: NDArray[np.int64], turn: int
) -> NDArray[np.float32]:
    """Of each pair's thumbnails, the right one turned: (K,)."""
    parts = []
    for first in range(0, len(left), _THUMBNAILS_AT_ONCE):
        part = slice(first, first + _THUMBNAILS_AT_ONCE)
        one = _standardized(thumbnails[left[part]])
        other = _standardized(orient(thumbnails[right[part]], turn))
        parts.append(np.einsum("ij,ij->i", one, other))
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)


def _coarse(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The lowest cosine coefficients (N, 16, 16) of standardized thumbnails.

    A projection: pictures are at least as far apart as these are, so what differs here by more
    than a correlation allows need not be looked at.
    """
    coarse = np.empty((len(thumbnails), _COARSE, _COARSE), dtype=np.float32)
    basis = dct(np.eye(THUMBNAIL_SIZE, dtype=np.float32), norm="ortho", axis=0)[:_COARSE]
    for first in range(0, len(thumbnails), _THUMBNAILS_AT_ONCE):
        part = slice(first, first + _THUMBNAILS_AT_ONCE)
        pictures = _standardized(thumbnails[part]).reshape(-1, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
        coarse[part] = basis @ pictures @ basis.T
    return coarse


def _turned(coarse: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """The coefficients of turned pictures: mirroring turns the sign of the odd ones."""
    odd = np.where(np.arange(_COARSE) % 2, np.float32(-1), np.float32(1))
    if orientation & 1:
        coarse = coarse * odd
    if orientation & 2:
        coarse = coarse * odd[:, np.newaxis]
    return np.swapaxes(coarse, 1, 2) if orientation & 4 else coarse


def _standardized(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, S, S) to (N, S*S) with mean 0 and length 1, so that products are correlations."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), np.float32(1e-6))
    return flat
