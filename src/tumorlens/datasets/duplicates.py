"""Find duplicates: equal bytes, equal pixels, and copies that were edited or rotated.

A pair must have similar perceptual hashes and correlated pixels. Hashes alone are not enough: on
the public set, slices of different patients differ by as few as 4 bits, and copies of one slice by
more than 12.
"""

import dataclasses
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tumorlens.cores import thread_pool
from tumorlens.datasets.fingerprints import (
    ORIENTATIONS,
    THUMBNAIL_SIZE,
    Fingerprints,
    fingerprint,
    orient,
)
from tumorlens.datasets.manifest import Manifest
from tumorlens.errors import DatasetError
from tumorlens.progress import Progress

MAX_DISTANCE: Final = 12
"""Differing hash bits up to which a pair is checked."""
MIN_CORRELATION: Final = 0.97
"""Pearson correlation of 64x64 thumbnails from which a pair counts as the same image.

On the public set 22,966 pairs pass both and none joins two patients; from 0.95 four do.
"""
_ROWS: Final = 256
_COLUMNS: Final = 2048
"""Size of the blocks that are compared at a time, so that they fit into the cache."""
_PAIRS_AT_ONCE: Final = 4096
_THUMBNAILS_AT_ONCE: Final = 1024
_COARSE: Final = 16
"""Side of the coarse images, which separate most different heads."""
_COARSEST: Final = 8
"""Side of the images that are compared all with all; about 0.1% of the pairs remain."""
_WORD: Final = 8
_SLACK: Final = 1e-3
"""Tolerance, larger than the rounding of float32."""
_NOTHING: Final = (-1.0, 0, 0)
_Candidates = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""(K,) three times: left and right row of pairs, and the differing bits of their hashes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pairs:
    """K pairs of near-duplicates, none of equal pixels; ``left`` < ``right`` as manifest rows."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    orientation: NDArray[np.int64]
    """Index into ``fingerprints.ORIENTATIONS``: how the right image must be turned to match."""
    distance: NDArray[np.int64]
    """Differing bits of the perceptual hashes, 0 to 64."""
    correlation: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.left)

    @property
    def rows(self) -> list[tuple[int, int]]:
        """Left and right row of each pair."""
        return list(zip(self.left.tolist(), self.right.tolist(), strict=True))


def identical(keys: Sequence[Hashable]) -> list[tuple[int, ...]]:
    """Group rows that share a key, for example their bytes' hash; empty keys never match.

    Groups of two or more rows, each ascending, ordered by first row.
    """
    groups: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        if key:
            groups.setdefault(key, []).append(row)
    return [tuple(rows) for rows in groups.values() if len(rows) > 1]


def chained(groups: Iterable[Sequence[int]]) -> list[tuple[int, int]]:
    """Pairs that connect each group: its first row with every other."""
    return [(rows[0], other) for rows in groups for other in rows[1:]]


def near_duplicates(
    fingerprints: Fingerprints,
    max_distance: int = MAX_DISTANCE,
    min_correlation: float = MIN_CORRELATION,
) -> Pairs:
    """Find pairs whose images agree in some orientation; the best orientation is reported.

    The coarsest images are compared all with all, in blocks; then the hashes and coarse images of
    the remaining pairs; then the thumbnails of the pairs that remain after that. No step drops a
    pair that a later step would keep.

    Raises ``DatasetError`` if no image can be read.
    """
    if len(fingerprints) and not fingerprints.usable.any():
        raise DatasetError(f"no image can be read: {fingerprints.problems[0]}")
    best: dict[tuple[int, int], tuple[float, int, int]] = {}
    search = _Search.prepare(fingerprints, max_distance, min_correlation)
    for orientation in range(len(ORIENTATIONS)):
        for left, right, distance in search.candidates(orientation):
            correlations = _correlations(fingerprints, left, right, orientation)
            for k in np.flatnonzero(correlations >= min_correlation):
                pair = int(left[k]), int(right[k])
                match = (float(correlations[k]), orientation, int(distance[k]))
                if match[0] > best.get(pair, _NOTHING)[0]:
                    best[pair] = match
    lines = [(*pair, *best[pair]) for pair in sorted(best)]
    table = np.array(lines, dtype=np.float64).reshape(-1, 5)
    whole = table[:, [0, 1, 3, 4]].astype(np.int64)
    return Pairs(whole[:, 0], whole[:, 1], whole[:, 2], whole[:, 3], table[:, 2])


class LookAlikes(NamedTuple):
    """Pairs of identical or nearly identical images."""

    pairs: list[tuple[int, int]]
    """Rows of the manifest."""
    unread: list[str]
    """The errors of images that cannot be read, which are in no pair."""


def look_alikes(manifest: Manifest, progress: Progress | None = None) -> LookAlikes:
    """Compare all images with all, as the audit does.

    Raises ``DatasetError`` where none can be read.
    """
    prints = fingerprint(manifest, progress)
    pairs = near_duplicates(prints).rows + chained(identical(prints.pixel_sha256))
    return LookAlikes(pairs, [problem for problem in prints.problems if problem])


def clusters(count: int, pairs: Pairs, groups: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Number ``count`` rows so that rows joined by a pair or a group share a number; (count,)."""
    # Arrays, not lists: a large set has millions of pairs.
    links = np.array(chained(groups), dtype=np.int64).reshape(-1, 2)
    near = np.column_stack([pairs.left, pairs.right])
    return connected(count, np.concatenate([near, links]))


def connected(
    count: int, links: NDArray[np.int64] | Sequence[tuple[int, int]]
) -> NDArray[np.int64]:
    """Number ``count`` rows so that rows of a link (K, 2), or of several, share a number."""
    left, right = np.asarray(links, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


@dataclasses.dataclass(frozen=True, slots=True)
class _Search:
    """The search for near-duplicates among N usable images."""

    rows: NDArray[np.int64]
    """(N,) in the manifest."""
    content: NDArray[np.int64]
    """(N,) equal where the pixels are."""
    hashes: NDArray[np.uint64]
    """(N, 8), as in ``Fingerprints``."""
    coarse: NDArray[np.float32]
    """(N, 16, 16)"""
    max_distance: int
    most: float
    """Largest squared distance of coarse images."""

    @classmethod
    def prepare(cls, prints: Fingerprints, max_distance: int, min_correlation: float) -> Self:
        """Compute what does not depend on the orientation."""
        rows = np.flatnonzero(prints.usable)
        _, content = np.unique(np.array(prints.pixel_sha256)[rows], return_inverse=True)
        most = 2.0 * (1.0 - min_correlation) + _SLACK
        coarse = _coarse(prints, rows)
        return cls(rows, content, prints.hashes[rows], coarse, max_distance, most)

    def candidates(self, orientation: int) -> Iterator[_Candidates]:
        """Yield (left, right, distance) of pairs with near hashes and near coarse images.

        The right image is turned. The squared distance |a|^2 + |b|^2 - 2ab is at most ``most``
        where ab - |a|^2/2 reaches (|b|^2 - most)/2: one product of matrices and one comparison.
        """
        turned = _turned(self.coarse, orientation)
        low, other = (
            each[:, :_COARSEST, :_COARSEST].reshape(len(each), -1) for each in (self.coarse, turned)
        )
        # Turning an image does not change its length.
        count, squares = len(low), np.square(low).sum(axis=1, dtype=np.float32)
        left = np.column_stack([low, squares / -2])
        # Padded to whole words for ``_nonzero``, with columns that match nothing.
        right = np.zeros((low.shape[1] + 1, count + -count % _WORD), dtype=np.float32)
        right[:-1, :count], right[-1] = other.T, 1
        needed = np.full(right.shape[1], np.inf, dtype=np.float32)
        needed[:count] = (squares - np.float32(self.most)) / 2

        def near_block(top: int) -> list[_Candidates]:
            block, near = left[top : top + _ROWS], []
            for start in range(top - top % _WORD, len(needed), _COLUMNS):
                part = slice(start, start + _COLUMNS)
                i, j = _nonzero(block @ right[:, part] >= needed[part])
                near.append(self._near(i + top, j + start, orientation, turned))
            return near

        with thread_pool() as pool:
            for candidates in pool.map(near_block, range(0, count, _ROWS)):
                yield from candidates

    def _near(
        self,
        i: NDArray[np.int64],
        j: NDArray[np.int64],
        orientation: int,
        turned: NDArray[np.float32],
    ) -> _Candidates:
        """The near pairs among (i, j), and the number of differing bits of their hashes."""
        upper = i < j
        i, j = i[upper], j[upper]
        bits = np.bitwise_count(self.hashes[i, 0] ^ self.hashes[j, orientation])
        similar = (bits <= self.max_distance) & (self.content[i] != self.content[j])
        i, j, bits = i[similar], j[similar], bits[similar]
        close = np.zeros(len(i), dtype=np.bool_)
        for first in range(0, len(i), _PAIRS_AT_ONCE):
            part = slice(first, first + _PAIRS_AT_ONCE)
            apart = np.square(self.coarse[i[part]] - turned[j[part]]).sum(axis=(1, 2))
            close[part] = apart <= self.most
        return self.rows[i[close]], self.rows[j[close]], bits[close].astype(np.int64)


def _nonzero(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``numpy.nonzero`` of (A, B), faster if few are set; B must be a multiple of ``_WORD``."""
    bytes_of = mask.view(np.uint8).reshape(-1, _WORD)
    words = np.flatnonzero(mask.view(np.uint64))
    word, byte = np.nonzero(bytes_of[words])
    return np.divmod(words[word] * _WORD + byte, mask.shape[1])


def _correlations(
    prints: Fingerprints, left: NDArray[np.int64], right: NDArray[np.int64], turn: int
) -> NDArray[np.float32]:
    """Correlation of the thumbnails of each pair, the right one turned: (K,)."""
    parts = []
    for first in range(0, len(left), _THUMBNAILS_AT_ONCE):
        part = slice(first, first + _THUMBNAILS_AT_ONCE)
        left_images = _standardized(prints.thumbnails_of(left[part]))
        right_images = _standardized(orient(prints.thumbnails_of(right[part]), turn))
        parts.append(np.einsum("ij,ij->i", left_images, right_images))
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)


def _coarse(prints: Fingerprints, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The lowest cosine coefficients (N, 16, 16) of standardized thumbnails of N rows.

    A projection: the distance of two images is at least the distance of their coefficients, so
    pairs that differ too much here can be dropped.
    """
    coarse = np.empty((len(rows), _COARSE, _COARSE), dtype=np.float32)
    basis = dct(np.eye(THUMBNAIL_SIZE, dtype=np.float32), norm="ortho", axis=0)[:_COARSE]
    for first in range(0, len(rows), _THUMBNAILS_AT_ONCE):
        part = slice(first, first + _THUMBNAILS_AT_ONCE)
        flat = _standardized(prints.thumbnails_of(rows[part]))
        coarse[part] = basis @ flat.reshape(-1, THUMBNAIL_SIZE, THUMBNAIL_SIZE) @ basis.T
    return coarse


def _turned(coarse: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """The coefficients of turned images: mirroring changes the sign of the odd ones."""
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
