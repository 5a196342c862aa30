"""Which slices of a head count: those of the brain, not the vertex, the jaw or the teeth.

A head is approximately a sphere of ``HEAD_RADIUS_MM``. The cross-section of a slice, as a share of
the largest one, therefore shows how far below the top of the head the slice lies, whatever the
stated spacing. Axial slices count if they lie ``TOP_MM`` to ``BASE_MM`` below the vertex. Slices in
other planes, and of files that do not state the orientation, count if their cross-section is as
large as that of a sphere ``TOP_MM`` below its top.

Outside the brain, where networks were not trained, false alarms are most frequent: in healthy heads
nearly all suspicious slices lie there (``python -m experiments.volume_rule``).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.imaging.facts import AcquisitionFacts, normal
from tumorlens.imaging.image import MedicalImage

HEAD_RADIUS_MM: Final = 85.0
TOP_MM: Final = 15.0
"""Below the vertex: nearer, a slice shows scalp and the tips of gyri."""
BASE_MM: Final = 95.0
"""Below the vertex: further down are skull base, face, cerebellum and neck."""
UNKNOWN_SPACING_MM: Final = 5.0
"""Assumed distance of slices without a stated position: usual for two-dimensional brain MR."""
_FULL: Final = 0.95
"""Share of the largest cross-section from which a slice counts as a full one."""
_EMPTY: Final = 0.05
_NECK: Final = 0.8
"""The neck begins where the cross-section falls below this share of the largest one above."""
_HEAD_FROM: Final = 0.12
"""Share of the intensity range above which a pixel belongs to the head."""
_TELLING_MM: Final = 20.0
"""In a thinner slab the cross-sections are too similar to check the stated spacing."""
_BELIEVED: Final = (0.4, 2.5)
"""Range of the ratio of stated to estimated distance in which the stated one is accepted."""
_SAMPLES: Final = 200_000
_LITTLE_MM: Final = 60.0
"""Slices that cover less than this do not show most of the head, in any plane."""
FEWEST_SLICES: Final = 5
"""Fewer slices do not show most of the head, whatever their distance."""


class Slices(NamedTuple):
    """What is known about the D slices of a volume."""

    along_mm: NDArray[np.float64]
    """(D,): position on the normal, stated or estimated."""
    in_brain: NDArray[np.bool_]
    """(D,): whether a slice counts."""
    spacing_note: str
    """Why the stated spacing is not used, as text; otherwise empty."""
    coverage_note: str = ""
    """That most of the head is not shown, as text; otherwise empty."""

    @property
    def spacing_is_known(self) -> bool:
        """Whether positions along the slices can be relied on."""
        return not self.spacing_note


def locate_slices(image: MedicalImage) -> Slices:
    """Positions of the slices of a volume (D, H, W), and which of them show the brain."""
    facts = image.facts
    stated = [slice_facts.along_mm for slice_facts in facts.slices] if facts else []
    along = positions(stated, image.depth)
    is_stated = len(stated) == image.depth and None not in stated
    return judge_slices(head_profile(image.pixels), along, up_direction(facts), is_stated=is_stated)


def judge_slices(
    profile: NDArray[np.float64], along_mm: NDArray[np.float64], up: int, *, is_stated: bool
) -> Slices:
    """The same from ``head_profile``, ``positions`` and ``up_direction``."""
    along, note = along_mm, ""
    if up:
        profile = profile / _fullest_below_vertex(profile, up)
    if is_stated and (estimated := _corrected(profile, along_mm, up)) is not None:
        extent = float(np.ptp(along_mm))
        along = estimated
        note = (
            f"the stated slice distance cannot be correct (a head of {extent:.0f} mm), "
            "so it is not used"
        )
    in_brain = profile >= cap_share(TOP_MM)
    if up:
        depth = _depth_below_vertex(profile, along, up)
        in_brain = (depth >= TOP_MM) & (depth <= BASE_MM)
    shown = along[profile > 0] if (profile > 0).any() else along  # blank slices show nothing
    return Slices(along, in_brain, note, _coverage_note(shown, is_stated=is_stated))


def _coverage_note(along_mm: NDArray[np.float64], *, is_stated: bool) -> str:
    """A note if the slices do not show most of the head; an assumed distance is not used."""
    count = len(along_mm)
    extent = float(np.ptp(along_mm) + np.median(np.abs(np.diff(along_mm)))) if count > 1 else 0.0
    if count >= FEWEST_SLICES and not (is_stated and extent < _LITTLE_MM):
        return ""
    over = f" over {extent:.0f} mm" if is_stated else ""
    shown = "1 slice shows" if count == 1 else f"{count} slices{over} show"
    return f"{shown} only part of the head; the answer does not cover the rest"


def positions(stated_mm: Sequence[float | None], depth: int) -> NDArray[np.float64]:
    """Position of each slice on the normal in millimetres: (depth,).

    The stated ones if every slice states it, otherwise ``UNKNOWN_SPACING_MM`` apart.
    """
    known = [along for along in stated_mm if along is not None]
    if len(known) == depth:
        return np.array(known, dtype=np.float64)
    return np.arange(depth, dtype=np.float64) * UNKNOWN_SPACING_MM


def head_profile(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cross-section of the head in each slice of (D, H, W), as a share of a full one: (D,)."""
    step = max(1, int((pixels.size / _SAMPLES) ** (1 / 3)))
    sample = pixels[::step, ::step, ::step]
    low, high = np.quantile(sample, (0.01, 0.995))
    planes = pixels[:, ::step, ::step]
    area = (planes > low + _HEAD_FROM * (high - low)).mean(axis=(1, 2))
    full = max(float(np.quantile(area, 0.95)), 1e-12)
    profile: NDArray[np.float64] = np.minimum(1.0, area / full)
    return profile


def up_direction(facts: AcquisitionFacts | None) -> int:
    """Whether later slices of an axial stack lie higher (1) or lower (-1) in the head.

    0 if the file does not state it, and for other planes.
    """
    if facts is None or facts.orientation_assumed or facts.plane != "axial":
        return 0
    if facts.row_direction is None or facts.column_direction is None:
        return 0
    along = [slice_facts.along_mm for slice_facts in facts.slices]
    first, last = (along[0], along[-1]) if along else (None, None)
    if first is None or last is None or first == last:
        return 0
    z = normal(facts.row_direction, facts.column_direction)[2]
    return 1 if z * (last - first) > 0 else -1


def is_upright_axial(facts: AcquisitionFacts | None) -> bool:
    """Whether slices are axial and their upper end is known."""
    return up_direction(facts) != 0


def cap_share(depth_mm: float) -> float:
    """Cross-section of a sphere ``depth_mm`` below its top, as a share of the largest."""
    return 1.0 - (1.0 - min(depth_mm, HEAD_RADIUS_MM) / HEAD_RADIUS_MM) ** 2


def _cap_depth(share: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The inverse of ``cap_share``."""
    return HEAD_RADIUS_MM * (1.0 - np.sqrt(1.0 - np.minimum(share, 1.0)))


def _fullest_below_vertex(profile: NDArray[np.float64], up: int) -> float:
    """The largest cross-section above the neck: shoulders may be larger."""
    downwards = profile[::-1] if up > 0 else profile
    fullest = np.maximum.accumulate(downwards)
    narrowed = np.flatnonzero((fullest > 0.5) & (downwards < _NECK * fullest))
    last = int(narrowed[0]) if len(narrowed) else len(profile) - 1
    return max(float(fullest[last]), 1e-12)


def _depth_below_vertex(
    profile: NDArray[np.float64], along: NDArray[np.float64], up: int
) -> NDArray[np.float64]:
    """(D,); negative above the head."""
    with_head = np.flatnonzero(profile > _EMPTY)
    if not len(with_head):
        return np.zeros(len(profile))
    top = with_head[-1] if up > 0 else with_head[0]
    side = np.where((np.arange(len(profile)) - top) * up > 0, -1.0, 1.0)
    depth: NDArray[np.float64] = _cap_depth(profile[top]) + side * np.abs(along - along[top])
    return depth


def _corrected(
    profile: NDArray[np.float64], along: NDArray[np.float64], up: int
) -> NDArray[np.float64] | None:
    """Positions estimated from the shape of the head; None if the stated ones agree with it.

    Compares the slices between the vertex (or the emptier end) and the first full slice.
    """
    with_head = np.flatnonzero(profile > _EMPTY)
    full = np.flatnonzero(profile >= _FULL)
    if len(with_head) < 2 or not len(full):
        return None
    ends = [(int(with_head[0]), int(full[0])), (int(with_head[-1]), int(full[-1]))]
    known = {1: ends[1], -1: ends[0]}
    end, first_full = known.get(up) or min(ends, key=lambda pair: float(profile[pair[0]]))
    expected = float(_cap_depth(_FULL) - _cap_depth(float(profile[end])))
    if expected < _TELLING_MM or end == first_full:
        return None
    ratio = abs(float(along[first_full] - along[end])) / expected
    if _BELIEVED[0] <= ratio <= _BELIEVED[1]:
        return None
    return np.arange(len(profile), dtype=np.float64) * (expected / abs(first_full - end))
