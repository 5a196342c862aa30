"""Tumour erased: without its tumour a head should not be told a tumour."""

import numpy as np

from tumorlens.evaluation.probes import lesions
from tumorlens.evaluation.probes.finding import Example, Outcome, Probe, Wanted, said, taking_part
from tumorlens.evaluation.probes.finding import truth as is_
from tumorlens.evaluation.probes.pictures import Pictures
from tumorlens.labels import NO_TUMOR_INDEX

_EXAMPLES = 6


def outcome(pictures: Pictures) -> Outcome:
    """Cover every outlined tumour that was answered rightly and can be covered."""
    rows = [i for i in np.flatnonzero(pictures.right) if _eligible(pictures, int(i))]
    chosen = np.array(rows, dtype=np.int64)
    changed = np.zeros((len(rows), *pictures.images.shape[1:]), dtype=np.uint8)
    for k, i in enumerate(rows):
        changed[k] = lesions.to_bytes(
            lesions.covered(lesions.to_float(pictures.images[i]), pictures.masks[i])
        )
    answers = pictures.answer(changed)
    count, before = len(pictures), pictures.predicted[chosen]
    apart = np.linspace(0, len(rows) - 1, min(_EXAMPLES, len(rows))).astype(int)
    examples = [
        Example(
            pictures.images[rows[k]],
            changed[k],
            f"{is_(int(pictures.labels[rows[k]]))}, {said(int(before[k]))}",
            f"erased: {said(int(answers[k]))}",
        )
        for k in apart
    ]
    return Outcome(
        {
            "leaves": taking_part(count, chosen, answers != before),
            "healthy": taking_part(count, chosen, answers == NO_TUMOR_INDEX),
        },
        tuple(examples),
    )


def _eligible(pictures: Pictures, i: int) -> bool:
    return lesions.can_be_covered(lesions.to_float(pictures.images[i]), pictures.masks[i])


PROBE = Probe(
    "erased",
    "Tumour erased",
    "The mirrored other side is blended in under the expert's outline, where the head is symmetric "
    "and the tumour lies on one side and was answered rightly. What the tumour does to the rest of "
    "the head (swelling, shift) stays.",
    {
        "leaves": Wanted("leaves its class", "at least 80%"),
        "healthy": Wanted("becomes no tumour", "high"),
    },
    outcome,
)
