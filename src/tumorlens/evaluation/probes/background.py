"""Probe: blacken the background, whose noise may reveal the scanner."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tumorlens.evaluation.probes.data import Images, ProbeData
from tumorlens.evaluation.probes.result import Probe, ProbeValues, Wanted

AIR: Final = 31
"""Gray value, of 255, up to which a pixel may be air: the level at which heads are cropped."""
_CLOSING: Final = 2
"""Pixels by which gaps in the skull are closed, so that dark tissue inside is not air."""


def blackened(image: Images) -> Images:
    """Blacken dark pixels that are connected to the border, (S, S)."""
    clean = image.copy()
    clean[air(image)] = 0
    return clean


def air(image: Images) -> NDArray[np.bool_]:
    """(S, S) whether a pixel lies in the dark region around the head."""
    # Wide enough that the corner stays air, whatever the image shows there.
    border = _CLOSING + 1
    dark = np.pad(image <= AIR, border, constant_values=True)
    open_ = ndimage.binary_erosion(dark, iterations=_CLOSING, border_value=1)
    labels, _ = ndimage.label(open_)
    outside = labels == labels[0, 0]
    grown = ndimage.binary_dilation(outside, iterations=_CLOSING)
    return (grown & dark)[border:-border, border:-border]


def outcome(data: ProbeData) -> ProbeValues:
    """Answer for each image with black air."""
    answers = data.answer([blackened(image) for image in data.images])
    return ProbeValues(
        {
            "changed": (answers != data.predicted).astype(np.float64),
            "correct": data.correctly(answers).astype(np.float64),
        }
    )


PROBE = Probe(
    "background",
    "Background",
    "The dark region around the head is set to black, with the noise and ghosts in it.",
    {
        "changed": Wanted("answers changed", "at most 2%"),
        "correct": Wanted("correct", "as before"),
    },
    outcome,
)
