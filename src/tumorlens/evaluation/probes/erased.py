"""Probe: erase the tumour; the answer should then be "no tumour"."""

import numpy as np

from tumorlens.datasets import lesions
from tumorlens.evaluation.probes.data import Images, ProbeData
from tumorlens.evaluation.probes.result import (
    Example,
    Probe,
    ProbeValues,
    Wanted,
    answered_as,
    example_indices,
    taking_part,
    true_class,
)


def outcome(data: ProbeData) -> ProbeValues:
    """Cover every outlined tumour that was answered correctly and can be covered."""
    erased = {i: _erased(data, i) for i in np.flatnonzero(data.correct).tolist()}
    images = {i: image for i, image in erased.items() if image is not None}
    rows, changed = np.array(list(images), dtype=np.int64), list(images.values())
    answers, before, truth = data.answer(changed), data.predicted[rows], data.labels[rows]
    count, classes = len(data), data.classes
    examples = [
        Example(
            data.images[rows[k]],
            changed[k],
            f"{true_class(int(truth[k]), classes)}, {answered_as(int(before[k]), classes)}",
            f"erased: {answered_as(int(answers[k]), classes)}",
        )
        for k in example_indices(len(rows))
    ]
    return ProbeValues(
        {
            "leaves": taking_part(count, rows, answers != before),
            "healthy": taking_part(count, rows, answers == classes.no_finding_index),
        },
        tuple(examples),
    )


def _erased(data: ProbeData, i: int) -> Images | None:
    """The image without its tumour; None if that is impossible or not visible."""
    image, mask = lesions.to_float(data.images[i]), data.masks[i]
    if not lesions.can_be_covered(image, mask):
        return None
    changed = lesions.covered(image, mask)
    return lesions.to_bytes(changed) if lesions.visible(image, changed, mask) else None


PROBE = Probe(
    "erased",
    "{Finding} erased",
    "The mirrored other side is blended in under the expert's outline, where the head is symmetric "
    "and the {finding} lies on one side, was answered correctly and is visible. Effects of the "
    "{finding} on the rest of the head (swelling, shift) remain.",
    {
        "leaves": Wanted("answer changes", "at least 80%", of_presence=True),
        "healthy": Wanted("answered with {none}", "high", of_presence=True),
    },
    outcome,
    needs_outlines=True,
)
