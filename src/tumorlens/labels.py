"""The class vocabulary. Every array over classes in this project is in this order."""

from typing import Final

CLASSES: Final[tuple[str, ...]] = ("glioma", "meningioma", "notumor", "pituitary")
NO_TUMOR: Final = "notumor"
NO_TUMOR_INDEX: Final = CLASSES.index(NO_TUMOR)
TUMOR_INDICES: Final[tuple[int, ...]] = tuple(
    i for i, name in enumerate(CLASSES) if name != NO_TUMOR
)

ANY_TUMOR: Final = "tumor"
"""A tumour whose kind is not known: any answer but ``notumor`` is correct."""
OTHER_TUMOR: Final = "other_tumor"
"""A tumour of no known class: any answer but ``notumor`` is correct, naming a class is not."""
OTHER_PATHOLOGY: Final = "other_pathology"
"""A disease that is none of the four classes: no answer is correct, only rejecting is."""
NOT_BRAIN_MRI: Final = "not_brain_mri"
"""No slice of brain MRI, such as a head CT: for the gate, which rejects it."""
ANSWERABLE: Final[tuple[str, ...]] = (*CLASSES, ANY_TUMOR, OTHER_TUMOR)
"""Labels for which some answer is correct; arrays of truths index them."""
LABELS: Final[tuple[str, ...]] = (*ANSWERABLE, OTHER_PATHOLOGY, NOT_BRAIN_MRI)
"""What an image of a set may be labelled with; the first four are classes."""

DISPLAY_NAMES: Final[dict[str, str]] = {
    "glioma": "glioma",
    "meningioma": "meningioma",
    "notumor": "no tumour",
    "pituitary": "pituitary tumour",
}
"""Classes as people read them."""

LABEL_NAMES: Final[dict[str, str]] = {
    **DISPLAY_NAMES,
    ANY_TUMOR: "tumour of unknown kind",
    OTHER_TUMOR: "tumour of another kind",
    OTHER_PATHOLOGY: "other disease",
    NOT_BRAIN_MRI: "no brain MRI",
}
"""The same for every label of a set."""

SEQUENCES: Final[tuple[str, ...]] = ("T1", "T1CE", "T2", "FLAIR", "other")
"""Kinds of MRI contrast that the sequence output tells apart, in its order."""

RESEARCH_NOTICE: Final = (
    "Research software, not a medical device: not for diagnosis or treatment decisions."
)


def correct_classes(label: str) -> tuple[int, ...]:
    """Indices of the classes that answer ``label`` rightly; none for what is not ``ANSWERABLE``.

    Raises ``KeyError`` for what is not one of ``LABELS``.
    """
    if label in (ANY_TUMOR, OTHER_TUMOR):
        return TUMOR_INDICES
    if label in (OTHER_PATHOLOGY, NOT_BRAIN_MRI):
        return ()
    if label not in CLASSES:
        raise KeyError(label)
    return (CLASSES.index(label),)
