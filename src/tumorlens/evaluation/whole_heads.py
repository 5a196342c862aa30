"""Whole heads: answer each volume of a list, and fit the thresholds for volumes.

The list is a CSV file with the columns file, class, set, family, patient; rows of class ``mask``
and of diseases without a correct answer are left out. Thresholds are fitted separately for axial
volumes, whose brain is found by its distance from the vertex, and for other planes.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from tumorlens.bundle import DecisionRule, WholeKind
from tumorlens.datasets.tables import read_index
from tumorlens.errors import DatasetError, InputError
from tumorlens.evaluation.abstention import WHOLE_HEADS, fit_thresholds
from tumorlens.evaluation.metrics import correct_of
from tumorlens.evaluation.small_samples import controlled_threshold
from tumorlens.imaging import reader
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.volume import answer_image, whole_kind
from tumorlens.labels import ANY_TUMOR, CLASSES, NO_TUMOR, NO_TUMOR_INDEX

PLANES: Final = ("axial", "coronal", "sagittal")
LEAST_NOTUMOR: Final = 0.67
"""Lowest threshold for "no tumour". Lists of volumes are short, and a network misses fewer tumours
of people whose slices it was trained on. On volumes put together from validation slices, this one
keeps the missed tumours below 1% (``python -m experiments.volumes``; at 0.5, 4.6%)."""
_LABELS: Final = {"tumor_unspecified": ANY_TUMOR, "other_tumor": ANY_TUMOR}


class WholeHead(NamedTuple):
    """One volume with the answer of the network."""

    file: str
    group: str
    """The unit for resampling: the set of a healthy head, the patient of a tumour."""
    patient: str
    label: str
    """One of ``labels.ANSWERABLE``."""
    plane: str
    kind: WholeKind
    probabilities: tuple[float, ...]
    """(4,), in the order of ``labels.CLASSES``."""
    rejected: bool = False


def answer_list(
    classifier: Classifier,
    path: Path,
    planes: Sequence[str] = PLANES,
    held_out_sources: Collection[str] = (),
) -> list[WholeHead]:
    """Answer every volume that ``path`` lists, cut in each of ``planes``.

    Those whose set or family is among ``held_out_sources`` are left out. Raises ``DatasetError``
    where the list cannot be read or a volume of it is missing or damaged.
    """
    rows = read_index(path)
    if rows and not {"file", "class", "set", "patient"} <= rows[0].keys():
        raise DatasetError(f"{path}: needs the columns file, class, set and patient")
    return [
        _head(classifier, path.parent / row["file"], row, plane)
        for row in rows
        if _label(row["class"]) and not {row["set"], row.get("family")} & set(held_out_sources)
        for plane in planes
    ]


def fit_volume_decisions(
    heads: Sequence[WholeHead], slices: DecisionRule, chosen_on: str = ""
) -> dict[WholeKind, DecisionRule]:
    """Thresholds for each kind of volume that ``heads`` has with and without a tumour.

    There are few volumes of each kind. So the threshold for the kind is at least that for single
    slices, ``slices``, and the one for a tumour keeps the limit of false alarms for new patients
    (``small_samples``): a head cut in two planes is one case, not two.
    """
    rules: dict[WholeKind, DecisionRule] = {}
    kinds: tuple[WholeKind, ...] = ("axial", "other")
    for kind in kinds:
        own = [head for head in heads if head.kind == kind and not head.rejected]
        if len({head.label == NO_TUMOR for head in own}) < 2:
            continue
        probabilities = np.array([head.probabilities for head in own])
        fitted = fit_thresholds(probabilities, correct_of([h.label for h in own]), WHOLE_HEADS)
        rules[kind] = DecisionRule(
            notumor_threshold=max(fitted.notumor_threshold, LEAST_NOTUMOR),
            tumor_threshold=max(fitted.tumor_threshold, _false_alarms(own)),
            kind_threshold=max(fitted.kind_threshold, slices.kind_threshold),
            chosen_on=chosen_on,
        )
    return rules


def _false_alarms(heads: Sequence[WholeHead]) -> float:
    """The lowest threshold for a tumour that few new patients without one reach."""
    healthy = [head for head in heads if head.label == NO_TUMOR]
    tumor = np.array([1.0 - head.probabilities[NO_TUMOR_INDEX] for head in healthy])
    patients = [head.patient for head in healthy]
    return controlled_threshold(tumor, patients, WHOLE_HEADS.alarms).threshold


def _label(name: str) -> str | None:
    label = _LABELS.get(name, name)
    return label if label in (*CLASSES, ANY_TUMOR) else None


def _head(classifier: Classifier, file: Path, row: dict[str, str], plane: str) -> WholeHead:
    label = _label(row["class"]) or ""
    try:
        image = reader.read(file, plane)
        if not image.is_volume:
            raise InputError("a single image, not a volume")
        answer = answer_image(classifier, image).answer
    except InputError as error:
        raise DatasetError(f"{file}: {error}") from error
    probabilities = answer.probabilities
    return WholeHead(
        row["file"],
        row["set"] if label == NO_TUMOR else row["patient"],
        row["patient"],
        label,
        plane,
        whole_kind(image),
        tuple(probabilities[name] if probabilities else 0.25 for name in CLASSES),
        rejected=probabilities is None,
    )
