"""Outliers of each class, such as other modalities, planes or layouts.

The thumbnails of a class are reduced to their principal components. An image is an outlier if its
nearest neighbours are far away. Duplicates count once, so that copies are not each other's
neighbours.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from tumorlens.datasets.fingerprints import Fingerprints
from tumorlens.labels import CLASSES

LISTED: Final = 24
"""How many of the farthest images are named in each class."""
_COMPONENTS: Final = 24
_NEIGHBOURS: Final = 10
_WHOLE: Final = 10_000
"""Most images of a class in memory; for more, the scatter matrix is summed in parts."""
_AT_ONCE: Final = 2_000
"""Images of such a part."""
_WORKING_MIB: Final = 128
_FEWEST: Final = 30
"""Distinct images that a class needs for outliers to be defined."""


@dataclasses.dataclass(frozen=True, slots=True)
class Outlier:
    """One outlier, for all its copies."""

    row: int
    """Row of the manifest: the first of the copies."""
    copies: int
    """Number of files with this image, near-duplicates included."""
    score: float
    """Distance to its neighbours, in robust standard deviations above the class's median."""


def outliers(
    fingerprints: Fingerprints, clusters: NDArray[np.int64], classes: Sequence[str] = CLASSES
) -> dict[str, list[Outlier]]:
    """Name the ``LISTED`` farthest images of each class, farthest first.

    ``clusters`` (N,) is the same number for copies of an image. A person must check the ranking. A
    class with fewer than 30 distinct images has no entries.
    """
    labels, usable = np.array(fingerprints.labels), fingerprints.usable
    return {
        name: _of_class(fingerprints, clusters, np.flatnonzero(usable & (labels == name)))
        for name in classes
    }


def _of_class(
    fingerprints: Fingerprints, clusters: NDArray[np.int64], rows: NDArray[np.int64]
) -> list[Outlier]:
    _, first, copies = np.unique(clusters[rows], return_index=True, return_counts=True)
    distinct = rows[first]
    if len(distinct) < _FEWEST:
        return []
    scores = _scores(fingerprints, distinct)
    order = np.argsort(-scores, kind="stable")[:LISTED]
    return [Outlier(int(distinct[k]), int(copies[k]), float(scores[k])) for k in order]


def _scores(fingerprints: Fingerprints, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(M,) for M rows: mean distance to the nearest neighbours, as a robust z-score."""
    components = _components(fingerprints, rows)
    search = NearestNeighbors(n_neighbors=_NEIGHBOURS + 1).fit(components)
    with config_context(working_memory=_WORKING_MIB):
        distance: NDArray[np.float64] = search.kneighbors(components)[0][:, 1:].mean(axis=1)
    median = np.median(distance)
    spread = 1.4826 * np.median(np.abs(distance - median))
    return (distance - median) / max(float(spread), 1e-9)


def _components(fingerprints: Fingerprints, rows: NDArray[np.int64]) -> NDArray[np.floating]:
    """Principal components (M, C) of the thumbnails of M rows."""
    if len(rows) <= _WHOLE:
        model = PCA(_COMPONENTS, svd_solver="randomized", random_state=0)
        return np.asarray(model.fit_transform(_flat(fingerprints, rows)))
    parts = [rows[first : first + _AT_ONCE] for first in range(0, len(rows), _AT_ONCE)]
    mean = sum(_flat(fingerprints, part).sum(axis=0, dtype=np.float64) for part in parts)
    mean = (mean / len(rows)).astype(np.float32)
    scatter = np.zeros((mean.size, mean.size), dtype=np.float64)
    for part in parts:
        centred = _flat(fingerprints, part) - mean
        scatter += centred.T @ centred
    axes = eigsh(scatter, _COMPONENTS, v0=np.ones(mean.size))[1].astype(np.float32)
    return np.concatenate([(_flat(fingerprints, part) - mean) @ axes for part in parts])


def _flat(fingerprints: Fingerprints, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Thumbnails (M, S * S) of M rows, 0 to 1."""
    images = fingerprints.thumbnails_of(rows)
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255.0)
