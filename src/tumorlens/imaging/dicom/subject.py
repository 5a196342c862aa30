"""What a DICOM file says it shows, where that is not what the network was trained on."""

import re
from typing import Final

from pydicom.dataset import Dataset

from tumorlens.imaging.dicom.tags import functional_group, items, text
from tumorlens.imaging.dicom.traits import image_type

_COMPUTED: Final = frozenset({
    "ADC", "FA", "MIP", "MINIP", "PROJECTION IMAGE", "T1 MAP", "T2 MAP", "DENSITY MAP",
    "DIFFUSION MAP", "VELOCITY MAP", "CBF", "CBV", "RCBF", "RCBV", "MTT", "TTP", "RELCBF",
    "RELCBV", "RELMTT", "ADC_UNSPECIFIED", "EADC", "COLFA", "TENSOR", "T1_MAP", "T2_MAP",
    "T2_STAR_MAP", "T2* MAP", "R2_MAP", "R2_STAR_MAP", "SUB", "SUBTRACTION", "VRT",
})  # fmt: skip
"""Values of ImageType for maps and projections (PS3.3 C.8.3.1.1.1, C.8.13.3.1.1, and vendors')."""
_HEAD: Final = frozenset({"HEAD", "BRAIN", "SKULL"})
_ELSEWHERE: Final = frozenset({
    "ABDOMEN", "ANKLE", "ARM", "BREAST", "CALF", "CHEST", "ELBOW", "EXTREMITY", "FEMUR", "FOOT",
    "FOREARM", "HAND", "HEART", "HIP", "HUMERUS", "KIDNEY", "KNEE", "LEG", "LIVER", "PANCREAS",
    "PELVIS", "PROSTATE", "SHOULDER", "THIGH", "THORAX", "UTERUS", "WRIST",
})  # fmt: skip
"""Parts of the body (PS3.16 annex L) of which no slice shows the brain."""
_SPINE: Final = "SPINE"


def computed_notes(dataset: Dataset, frame: int) -> list[str]:
    """That ``frame`` is no image as it was acquired, but a map or projection."""
    return [
        f"the image is computed from others ({word}), which the network was not trained on"
        for word in image_type(dataset, frame)
        if word in _COMPUTED
    ]


def body_part_notes(dataset: Dataset) -> list[str]:
    """That the file says it shows something else than a head."""
    part = body_part(dataset)
    if part is None or not _is_elsewhere(part):
        return []
    return [f"the file states another part of the body ({part})"]


def body_part(dataset: Dataset) -> str | None:
    """What the file states, in the elements of simple or of enhanced objects."""
    if (stated := text(dataset, "BodyPartExamined")) is not None:
        return stated
    regions = items(functional_group(dataset, 0, "FrameAnatomySequence"), "AnatomicRegionSequence")
    return text(regions[0], "CodeMeaning") if regions else None


def _is_elsewhere(part: str) -> bool:
    words = set(re.findall("[A-Z]+", part.upper()))
    if words & _HEAD:
        return False
    return any(word in _ELSEWHERE or word.endswith(_SPINE) for word in words)
