"""Whether the slices of a volume are those of several volumes in turns.

Files that mix echoes or time points slice by slice may say nothing of it. The slices do: those of
one head are most like their neighbours.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_SIDE: Final = 64
"""Pixels a side that are looked at, about."""
_MOST_VOLUMES: Final = 4
_FEWEST_SLICES: Final = 4
"""Of each volume."""
_UNLIKE: Final = 0.05
"""Least distance of neighbours, from 0 for equal slices: nearly equal ones are in no order."""
_NEARER: Final = 1.4
"""How many times as far apart neighbours are than slices of one volume. Of 47 heads in all planes,
and of every third and sixth slice of them, none reaches 1.1."""


def notes_on_turns(samples: NDArray[Any]) -> list[str]:
    """A note where slices (D, H, W) are those of several volumes in turns."""
    count = volumes_in_turns(samples)
    if count == 1:
        return []
    return [
        f"slices are less like their neighbours than like those {count} further on; {count} "
        "volumes may be mixed"
    ]


def volumes_in_turns(samples: NDArray[Any]) -> int:
    """How many volumes take turns in (D, H, W), by how much slices resemble each other."""
    depth = len(samples)
    step = max(1, max(samples.shape[1:]) // _SIDE)
    rows = samples[:, ::step, ::step].reshape(depth, -1).astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1)
    shows = lengths > 0
    rows[shows] /= lengths[shows, None]
    most = min(_MOST_VOLUMES, depth // _FEWEST_SLICES)
    # Without the contrast and the brightness of each slice: half the squared distance.
    apart = [_distance(rows, shows, lag) for lag in range(1, most + 1)]
    if len(apart) < 2 or apart[0] <= _UNLIKE:
        return 1
    nearest = int(np.argmin(apart[1:])) + 1
    return nearest + 1 if apart[0] > _NEARER * apart[nearest] else 1


def _distance(rows: NDArray[np.float64], shows: NDArray[np.bool_], lag: int) -> float:
    """The mean of slices ``lag`` apart that both show something; 1 where there are none."""
    both = shows[lag:] & shows[:-lag]
    alike = np.einsum("ij,ij->i", rows[lag:][both], rows[:-lag][both])
    return float(1 - alike.mean()) if alike.size else 1.0
