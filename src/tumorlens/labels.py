"""Classes of a network, labels of a set of images, and the words for both.

Classes belong to a bundle: ``ClassSet`` travels in it. ``BRAIN_TUMORS`` is that of the bundled
networks, and of every bundle that states none.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from tumorlens.text import composed, natural

if TYPE_CHECKING:  # the command line starts without numpy
    import numpy as np
    from numpy.typing import NDArray

ANY_TUMOR: Final = "tumor"
"""A tumour whose kind is not known: any class but that of no finding is correct."""
OTHER_TUMOR: Final = "other_tumor"
"""A tumour of no known class: any answer but no finding is correct, naming a class is not."""
OTHER_PATHOLOGY: Final = "other_pathology"
"""A disease that is none of the classes: no answer is correct, only rejecting is."""
NOT_BRAIN_MRI: Final = "not_brain_mri"
"""No slice of brain MRI, such as a head CT: for the gate, which rejects it."""
UNANSWERABLE: Final = (OTHER_PATHOLOGY, NOT_BRAIN_MRI)


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """A coded word, as DICOM writes one (PS3.3 8.8)."""

    value: Annotated[str, Meta(min_length=1)]
    scheme: Annotated[
        str, Meta(min_length=1, description="SCT, DCM, or a private one that begins with 99.")
    ]
    meaning: Annotated[str, Meta(min_length=1, max_length=64)]


class ClassInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One class of a network."""

    name: Annotated[str, Meta(min_length=1, description="As in manifests and records.")]
    display_name: Annotated[
        str, Meta(min_length=1, description="As people read it, within a sentence.")
    ]
    code: Annotated[
        Code | None, Meta(description="For DICOM; null: a private code is made of the name.")
    ] = None


class ClassSet(msgspec.Struct, frozen=True, kw_only=True):
    """The classes that a network tells apart; arrays over classes are in their order."""

    members: tuple[ClassInfo, ...]
    no_finding: Annotated[
        str | None,
        Meta(
            description="The class that means that nothing is found. Null: there is none, and only "
            "the kind is asked for."
        ),
    ] = None
    finding: Annotated[
        str, Meta(description="What the other classes are, in one word for sentences: tumour.")
    ] = "finding"

    def __post_init__(self) -> None:
        """Raise ``ValueError`` unless names are several and unique, and ``no_finding`` is one."""
        if len(self.members) < 2:
            raise ValueError("a network needs at least two classes")
        if len(set(self.names)) < len(self.members):
            raise ValueError("two classes have the same name")
        if self.no_finding is not None and self.no_finding not in self.names:
            raise ValueError(f"no_finding is {self.no_finding!r}, which is none of the classes")

    def __len__(self) -> int:
        return len(self.members)

    @property
    def names(self) -> tuple[str, ...]:
        """Of every class."""
        return tuple(member.name for member in self.members)

    @property
    def display_names(self) -> dict[str, str]:
        """Classes as people read them, keyed by name."""
        return {member.name: member.display_name for member in self.members}

    def display_name(self, label: str) -> str:
        """A class, or another label of a set, as people read it."""
        return self.display_names.get(label) or label_name(label)

    @property
    def no_finding_index(self) -> int | None:
        """Index of the class that means "no finding"."""
        return None if self.no_finding is None else self.names.index(self.no_finding)

    @property
    def kinds(self) -> tuple[int, ...]:
        """Indices of all classes but "no finding"."""
        return tuple(i for i, name in enumerate(self.names) if name != self.no_finding)

    @property
    def answerable(self) -> tuple[str, ...]:
        """Labels for which some answer is correct; arrays of truths index them. Classes first."""
        vague = (ANY_TUMOR, OTHER_TUMOR) if self.no_finding is not None else ()
        return (*self.names, *(name for name in vague if name not in self.names))

    def correct_classes(self, label: str) -> tuple[int, ...]:
        """Indices of the classes that answer ``label`` correctly; none for ``UNANSWERABLE``.

        Raises ``KeyError`` for a label that is neither that nor ``answerable``.
        """
        if label in self.names:
            return (self.names.index(label),)
        if label in self.answerable:
            return self.kinds
        if label in UNANSWERABLE:
            return ()
        raise KeyError(label)

    def unknown(self, labels: Iterable[str]) -> list[str]:
        """Those labels that are neither answerable nor known to have no answer, sorted."""
        return sorted(set(labels).difference(self.answerable, UNANSWERABLE))

    @property
    def a_finding(self) -> str:
        """``a tumour``, ``an abscess``."""
        return f"{'an' if self.finding[:1].lower() in 'aeiou' else 'a'} {self.finding}"

    @property
    def findings(self) -> str:
        """Several of them: ``tumours``, ``abscesses``, ``metastases``, ``anomalies``."""
        word = self.finding
        if word.endswith("is"):
            return f"{word[:-2]}es"
        if word.endswith("y") and word[-2:-1] not in "aeiou":
            return f"{word[:-1]}ies"
        return f"{word}es" if word.endswith(("s", "x", "z", "ch", "sh")) else f"{word}s"

    def finding_probability(self, row: "Sequence[float] | NDArray[np.float64]") -> float | None:
        """Of all kinds together, from probabilities (C,); None without a "no finding"."""
        none = self.no_finding_index
        return None if none is None else min(1.0, max(0.0, 1.0 - float(row[none])))

    def suspicion(self, table: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """(..., C) probabilities to (...): of any finding, or how sure the kind is without that."""
        none = self.no_finding_index
        return table.max(axis=-1) if none is None else 1.0 - table[..., none]

    def likeliest_kind(self, row: "NDArray[np.float64]") -> str:
        """The most probable class of (C,) but "no finding"."""
        return self.names[max(self.kinds, key=lambda k: float(row[k]))]


BRAIN_TUMORS: Final = ClassSet(
    members=(
        ClassInfo(name="glioma", display_name="glioma"),
        ClassInfo(name="meningioma", display_name="meningioma"),
        ClassInfo(name="notumor", display_name="no tumour"),
        ClassInfo(name="pituitary", display_name="pituitary tumour"),
    ),
    no_finding="notumor",
    finding="tumour",
)
"""The classes of the bundled networks."""
CLASSES: Final = BRAIN_TUMORS.names
NO_TUMOR: Final = "notumor"
NO_TUMOR_INDEX: Final = CLASSES.index(NO_TUMOR)
TUMOR_INDICES: Final = BRAIN_TUMORS.kinds
ANSWERABLE: Final = BRAIN_TUMORS.answerable
LABELS: Final[tuple[str, ...]] = (*BRAIN_TUMORS.answerable, *UNANSWERABLE)
"""What the images of the public sets are labelled with; the first four are classes."""

LABEL_NAMES: Final[dict[str, str]] = {
    **BRAIN_TUMORS.display_names,
    ANY_TUMOR: "tumour of unknown kind",
    OTHER_TUMOR: "tumour of another kind",
    OTHER_PATHOLOGY: "other disease",
    NOT_BRAIN_MRI: "not brain MRI",
}
"""The same as people read them."""

_NO_FINDING: Final = frozenset({
    NO_TUMOR, "no_tumor", "no", "normal", "healthy", "none", "negative", "no_finding", "control",
    "controls",
})  # fmt: skip
"""Names of classes, in plain form, that mean "no finding"."""

SEQUENCES: Final[tuple[str, ...]] = ("T1", "T1CE", "T2", "FLAIR", "other")
"""Kinds of MRI contrast that the sequence output tells apart, in its order."""

RESEARCH_NOTICE: Final = (
    "Research software, not a medical device: not for diagnosis or treatment decisions."
)


def plain_name(name: str) -> str:
    """``No Tumour`` as ``no_tumor``: names of folders and classes are compared in this form."""
    small = composed(name.strip().lower())
    return re.sub(r"[\s_-]+", "_", small).replace("tumour", "tumor")


def label_name(label: str) -> str:
    """A label of a set as people read it."""
    return LABEL_NAMES.get(label, label.replace("_", " "))


def sorted_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Each label once: those of ``LABELS`` in its order, then others by name, 2 before 10."""
    present = set(labels)
    others = sorted(present.difference(LABELS), key=lambda label: (natural(label), label))
    return (*(n for n in LABELS if n in present), *others)


def class_set(labels: Iterable[str]) -> ClassSet:
    """The classes of a network that is trained on images with these labels.

    The four where all of them occur, and nothing else. Otherwise each label is a class; ``tumor``
    only where no kind of tumour is named beside it. A class means "no finding" by its name. Raises
    ``ValueError`` where there are fewer than two classes, or two mean "no finding".
    """
    names = [n for n in sorted_labels(labels) if n not in (OTHER_TUMOR, *UNANSWERABLE)]
    if set(CLASSES) <= set(names) <= set(LABELS):
        return BRAIN_TUMORS
    if any(CLASSES[i] in names for i in TUMOR_INDICES):
        names = [name for name in names if name != ANY_TUMOR]
    none = [name for name in names if plain_name(name) in _NO_FINDING]
    if len(none) > 1:
        raise ValueError(f"the classes {' and '.join(none)} both mean that nothing is found")
    known = {member.name: member for member in BRAIN_TUMORS.members}
    known[ANY_TUMOR] = ClassInfo(name=ANY_TUMOR, display_name="tumour")
    return ClassSet(
        members=tuple(
            known.get(name, ClassInfo(name=name, display_name=label_name(name))) for name in names
        ),
        no_finding=none[0] if none else None,
        finding=BRAIN_TUMORS.finding if set(names) <= set(known) else "finding",
    )
