"""Probe: paste a tumour into a healthy head; the answer should then be a tumour."""

from typing import Final, NamedTuple

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
)

_TRIES: Final = 24
_SEED: Final = 20_170


class _Graft(NamedTuple):
    """A healthy head with another head's tumour, and with its own mirrored tissue there."""

    row: int
    donor: int
    pasted: Images
    control: Images


def outcome(data: ProbeData) -> ProbeValues:
    """Paste a tumour into every correctly answered healthy head in which one fits."""
    grafts = _grafts(data)
    rows = np.array([graft.row for graft in grafts], dtype=np.int64)
    answers = data.answer([graft.pasted for graft in grafts])
    of_control = data.answer([graft.control for graft in grafts])
    donors = data.labels[np.array([g.donor for g in grafts], dtype=np.int64)]
    count, classes = len(data), data.classes
    none, named = classes.no_finding_index, classes.display_name(classes.no_finding or "")
    examples = [
        Example(
            data.images[rows[k]],
            grafts[k].pasted,
            f"is {named}, answered {named}",
            f"{classes.display_name(classes.names[donors[k]])} pasted: "
            f"{answered_as(int(answers[k]), classes)}",
        )
        for k in example_indices(len(grafts))
    ]
    return ProbeValues(
        {
            "tumor": taking_part(count, rows, answers != none),
            "class": taking_part(count, rows, answers == donors),
            "control": taking_part(count, rows, of_control != none),
        },
        tuple(examples),
    )


def _grafts(data: ProbeData) -> list[_Graft]:
    known = data.correct & (data.labels < len(data.classes))
    donors = np.flatnonzero(data.masks.any(axis=(1, 2)) & known & ~data.healthy)
    hosts = np.flatnonzero(data.correct & data.healthy)
    if len(donors) == 0:
        return []
    grafts = [_graft(data, int(row), donors.tolist()) for row in hosts]
    return [graft for graft in grafts if graft is not None]


def _graft(data: ProbeData, row: int, donors: list[int]) -> _Graft | None:
    """Try donors in random order until a tumour lies on tissue and is visible."""
    host = lesions.to_float(data.images[row])
    random = np.random.default_rng([_SEED, int(data.records[row].sha256[:8], 16)])
    for donor in random.permutation(donors)[:_TRIES].tolist():
        image, mask = lesions.to_float(data.images[donor]), data.masks[donor]
        if random.random() < 0.5:
            image, mask = image[:, ::-1], mask[:, ::-1]
        if not lesions.fits(host, mask):
            continue
        pasted = lesions.pasted(host, image, mask)
        if lesions.visible(host, pasted, mask):
            control = lesions.pasted(host, host[:, ::-1], mask)
            return _Graft(row, donor, lesions.to_bytes(pasted), lesions.to_bytes(control))
    return None


PROBE = Probe(
    "pasted",
    "{Finding} pasted",
    "{A_finding} of another image is pasted into a healthy head that was classified correctly. The "
    "region inside the expert's outline is placed at its original or mirrored position, with its "
    "original contrast to the surrounding tissue. As a control, the head's own mirrored tissue is "
    "pasted in the same way.",
    {
        "tumor": Wanted("answered with {a_finding}", "at least 80%", of_presence=True),
        "class": Wanted("answered with the donor's class", "high", of_presence=True),
        "control": Wanted(
            "control: healthy tissue pasted, answered with {a_finding}", "rare", of_presence=True
        ),
    },
    outcome,
    needs_outlines=True,
)
