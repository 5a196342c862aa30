"""Tumour erased: a head without its tumour should no longer be answered with a tumour."""

import numpy as np

from tumorlens.datasets import lesions
from tumorlens.evaluation.probes.data import Images, ProbeData
from tumorlens.evaluation.probes.result import (
    Example,
    Probe,
    ProbeValues,
    Wanted,
    answered_as,
    shown,
    taking_part,
)
from tumorlens.evaluation.probes.result import truth as is_


def outcome(data: ProbeData) -> ProbeValues:
    """Cover every outlined tumour that was answered correctly and can be covered."""
    erased = {int(i): _erased(data, int(i)) for i in np.flatnonzero(data.correct)}
    rows = [i for i, image in erased.items() if image is not None]
    chosen = np.array(rows, dtype=np.int64)
    changed = np.array([erased[i] for i in rows], dtype=np.uint8)
    changed = changed.reshape(-1, *data.images.shape[1:])
    answers = data.answer(changed)
    count, before = len(data), data.predicted[chosen]
    classes = data.classes
    examples = [
        Example(
            data.images[rows[k]],
            changed[k],
            f"{is_(int(data.labels[rows[k]]), classes)}, {answered_as(int(before[k]), classes)}",
            f"erased: {answered_as(int(answers[k]), classes)}",
        )
        for k in shown(len(rows))
    ]
    return ProbeValues(
        {
            "leaves": taking_part(count, chosen, answers != before),
            "healthy": taking_part(count, chosen, answers == classes.no_finding_index),
        },
        tuple(examples),
    )


def _erased(data: ProbeData, i: int) -> Images | None:
    """The image without its tumour; None where that is impossible or makes no visible change."""
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
