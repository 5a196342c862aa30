"""The class vocabulary. Every array over classes in this project is in this order."""

from typing import Final

CLASSES: Final[tuple[str, ...]] = ("glioma", "meningioma", "notumor", "pituitary")
NO_TUMOR: Final = "notumor"
NO_TUMOR_INDEX: Final = CLASSES.index(NO_TUMOR)
TUMOR_INDICES: Final[tuple[int, ...]] = tuple(
    i for i, name in enumerate(CLASSES) if name != NO_TUMOR
)

DISPLAY_NAMES: Final[dict[str, str]] = {
    "glioma": "glioma",
    "meningioma": "meningioma",
    "notumor": "no tumour",
    "pituitary": "pituitary tumour",
}

RESEARCH_NOTICE: Final = (
    "Research software, not a medical device: not for diagnosis or treatment decisions."
)
