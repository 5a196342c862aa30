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
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tumorlens.datasets.fingerprints import ORIENTATIONS, Fingerprints, hamming, orient

MAX_DISTANCE: Final = 12
"""Differing hash bits up to which a pair is checked."""
MIN_CORRELATION: Final = 0.97
"""Pearson correlation of 64x64 thumbnails from which a pair counts as the same picture.

On the public set 22,966 pairs pass both and none joins two patients; from 0.95 four do.
"""
_CHUNK: Final = 512
_PAIRS_AT_ONCE: Final = 4096


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
    """Find pairs whose pictures match in some orientation; the best one is reported."""
    unit = _standardized(fingerprints.thumbnails)
    best: dict[tuple[int, int], tuple[float, int, int]] = {}
    for orientation in range(len(ORIENTATIONS)):
        turned = _standardized(orient(fingerprints.thumbnails, orientation))
        for left, right, distance in _shortlist(fingerprints, orientation, max_distance):
            correlation = np.einsum("ij,ij->i", unit[left], turned[right])
            for k in np.flatnonzero(correlation >= min_correlation):
                pair = int(left[k]), int(right[k])
                found = (float(correlation[k]), orientation, int(distance[k]))
                if pair not in best or found[0] > best[pair][0]:
                    best[pair] = found
    rows = [(*pair, *best[pair]) for pair in sorted(best)]
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    whole = table[:, [0, 1, 3, 4]].astype(np.int64)
    return Pairs(whole[:, 0], whole[:, 1], whole[:, 2], whole[:, 3], table[:, 2])


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
    usable = fingerprints.usable
    rows = np.flatnonzero(usable)
    _, content = np.unique(np.array(fingerprints.pixel_sha256), return_inverse=True)
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        distance = hamming(fingerprints.hashes[chunk, 0], fingerprints.hashes[rows, orientation])
        i, j = np.nonzero(distance <= max_distance)
        left, right, bits = chunk[i], rows[j], distance[i, j].astype(np.int64)
        keep = (left < right) & (content[left] != content[right])
        left, right, bits = left[keep], right[keep], bits[keep]
        for first in range(0, len(left), _PAIRS_AT_ONCE):
            part = slice(first, first + _PAIRS_AT_ONCE)
            yield left[part], right[part], bits[part]


def _standardized(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, S, S) to (N, S*S) with mean 0 and length 1, so that products are correlations."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), np.float32(1e-6))
    return flat
