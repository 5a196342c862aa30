"""Probe: only the outer frame of the image, where no tumour is, and the image without it."""

import numpy as np

from tumorlens.datasets.controls import inside_frame
from tumorlens.evaluation.probes.data import Images, ProbeData
from tumorlens.evaluation.probes.result import Probe, ProbeValues, Wanted


def only(images: Images) -> Images:
    """Blacken everything inside the frame."""
    return np.where(inside_frame(images.shape[-1]), np.uint8(0), images)


def removed(images: Images) -> Images:
    """Blacken the frame."""
    return np.where(inside_frame(images.shape[-1]), images, np.uint8(0))


def outcome(data: ProbeData) -> ProbeValues:
    """Answer for each image without its inside, and without its frame."""
    framed = data.answer(only(data.images))
    unframed = data.answer(removed(data.images))
    missed = np.where(data.healthy, np.nan, unframed == data.classes.no_finding_index)
    return ProbeValues(
        {
            "only_correct": data.correctly(framed).astype(np.float64),
            "removed_changed": (unframed != data.predicted).astype(np.float64),
            "removed_correct": data.correctly(unframed).astype(np.float64),
            "removed_missed": missed,
        }
    )


PROBE = Probe(
    "frame",
    "Frame",
    "Of the image that the network sees, only the outer 8% is kept, or it is set to black. A "
    "network that is correct from the frame alone uses cues about the origin of the image.",
    {
        "only_correct": Wanted("correct from the frame alone", "about chance"),
        "removed_changed": Wanted("answers changed without the frame", "at most 2%"),
        "removed_correct": Wanted("correct without the frame", "as before"),
        "removed_missed": Wanted(
            "{findings} missed without the frame", "as before", of_presence=True
        ),
    },
    outcome,
)
