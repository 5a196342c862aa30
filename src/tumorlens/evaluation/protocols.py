"""How test images were chosen, and which published figures they can be compared with.

The accuracy of the same architecture can be 98% or below 90%, depending on whether patients are in
both training and test. Every report therefore states the protocol.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

from tumorlens.datasets import splits
from tumorlens.datasets.splits import TEST, Split, SplitInfo
from tumorlens.errors import DatasetError, SplitError
from tumorlens.labels import ClassSet
from tumorlens.text import percent


@dataclasses.dataclass(frozen=True, slots=True)
class Paper:
    """What a publication reports on the ``folder`` protocol."""

    citation: str
    validation_accuracy: float
    test_accuracy: float
    test_log_loss: float

    @property
    def figures(self) -> str:
        """All figures in one line."""
        return (
            f"{percent(self.validation_accuracy)} validation accuracy, "
            f"{percent(self.test_accuracy)} test accuracy, test loss {self.test_log_loss}"
        )


PAPER: Final = Paper("Ganguly and Ghosh (2025)", 0.9922, 0.9844, 0.2829)


@dataclasses.dataclass(frozen=True, slots=True)
class Protocol:
    """How test images were chosen."""

    name: str
    """``folder``, ``clean``, ``clean-cv``, ``patient-cv``, ``external``, ``leave-one-source-out``;
    ``other`` for a split that is not bundled."""
    description: str
    comparable: bool
    """Whether the paper's figures are of the same protocol and the same images."""
    comparison: str
    """The same as text; empty if the paper has no figures for these images."""

    @property
    def paper(self) -> Paper | None:
        """The paper with figures for these images; None for other images."""
        return PAPER if self.comparison else None


def require_part(split: Split, parts: Sequence[str], part: str) -> None:
    """Raise ``SplitError`` if no image of the manifest is in ``part``."""
    if part in parts:
        return
    present = sorted(set(parts))
    hint = ""
    if any(name.startswith("fold") for name in present):
        hint = f"; it is a cross-validation: name a fold, as in {split.info.name}:0"
    raise SplitError(
        f"split {split.info.name}: no image of the manifest is in its part {part!r} "
        f"(there are: {', '.join(present)}){hint}"
    )


def require_known(labels: Sequence[str], classes: ClassSet) -> None:
    """Raise ``DatasetError`` if an image has a class that is unknown to the bundle."""
    unknown = classes.unknown(labels)
    if unknown:
        count = sum(label in unknown for label in labels)
        raise DatasetError(
            f"{count} images are labelled {', '.join(unknown)}, but the bundle knows "
            f"{', '.join(classes.names)}: import the set again with --map FOLDER=LABEL, or "
            "choose a bundle of these classes"
        )


def protocol_of(split: SplitInfo, part: str, name: str = "") -> Protocol:
    """The protocol of a split.

    ``name`` is given if the protocol is not that of a split file, such as ``external``.
    """
    base, round_of, _ = split.name.partition(":")
    if not name:
        name = base if _is_bundled(split) else "other"
        name = "clean" if name == "clean-cv" and round_of else name
    comparable = name == "folder" and part == TEST
    if comparable:
        sentence = "Same protocol, same test images: comparable."
    elif name == "folder":
        sentence = "Not comparable: the paper's figures are for other parts of this split."
    elif name in ("clean", "clean-cv"):
        sentence = (
            "Not comparable: the paper's figures are for the published folders, which have the "
            "same patients in training and test; here, no patient is in two parts."
        )
    elif name == splits.PATIENT_CV:
        sentence = (
            "Not comparable: this protocol has three classes of tumour, and no patient is in two "
            "parts. A network that also has the class no tumour may answer with it, which counts "
            "as wrong."
        )
    else:
        sentence = ""
    return Protocol(name, split.description, comparable, sentence)


def _is_bundled(split: SplitInfo) -> bool:
    """Whether it is a bundled split, or a fold of one."""
    if split.name.partition(":")[0] not in splits.SHIPPED:
        return False
    try:
        return splits.load(split.name).info.sha256 == split.sha256
    except SplitError:
        return False
