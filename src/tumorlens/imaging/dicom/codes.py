"""The coded words of our reports, and where each comes from.

Standard codes are those that pydicom ships out of the standard's tables (PS3.16): SNOMED CT as
``SCT``, DICOM's own as ``DCM``, units as ``UCUM``. The tables hold no code for glioma, meningioma,
a tumour of the pituitary gland or for a computer that holds back its answer, and a code that
cannot be confirmed is worse than none, so these are of the private scheme ``99TUMORLENS``
(PS3.16 8.2: private designators begin with 99); a tumour also carries the standard's "Neoplasm".
"""

from typing import Final

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from tumorlens.labels import CLASSES, DISPLAY_NAMES, NO_TUMOR

SCHEME: Final = "99TUMORLENS"

NEOPLASM: Final = codes.SCT.Neoplasm
"""(108369006, SCT), of CID 7159 "Lesion Segmentation Type"."""
BRAIN: Final = codes.SCT.Brain
"""(12738006, SCT), of CID 4 "Anatomic Region"."""
PITUITARY: Final = codes.SCT.Pituitary
"""(56329008, SCT), of CID 7153 "Central Nervous System Segmentation Type"."""
COMMENT: Final = codes.DCM.Comment
"""(121106, DCM)."""
NO_UNITS: Final = codes.UCUM.NoUnits
"""(1, UCUM): probabilities are ratios, 0 to 1."""

PROCEDURE: Final = Code("head-mr-class", SCHEME, "Classification of MR images of the head")
DECISION: Final = Code("decision", SCHEME, "Decision of the classifier")
DECISIONS: Final = {
    "classified": Code("classified", SCHEME, "Classified: kind named, or no tumour"),
    "detected": Code("detected", SCHEME, "Detected: a tumour, kind uncertain"),
    "abstained": Code("abstained", SCHEME, "Abstained: presence of a tumour uncertain"),
    "rejected": Code("rejected", SCHEME, "Rejected: not an image to answer for"),
}
CLASS: Final = Code("class", SCHEME, "Class found by the classifier")
LABELS: Final = {
    name: Code(name, SCHEME, f"Image class: {DISPLAY_NAMES[name]}") for name in CLASSES
}
PROBABILITIES: Final = {
    name: Code(f"p-{name}", SCHEME, f"Probability of {DISPLAY_NAMES[name]}") for name in CLASSES
}
TUMOR_PROBABILITY: Final = Code("p-tumor", SCHEME, "Probability of a tumour of any kind")
_PRESENT: Final[Code] = codes.SCT.Present
"""(52101004, SCT)."""
_ABSENT: Final[Code] = codes.SCT.Absent
"""(272519000, SCT)."""
_INDETERMINATE: Final[Code] = codes.SCT.Indeterminate
"""(82334004, SCT)."""
SIDES: Final = {
    "left": codes.SCT.Left,
    "right": codes.SCT.Right,
    "midline": codes.SCT.Midline,
}
"""Of CID 244 "Laterality", and (261129000, SCT)."""
STATUS: Final = Code("status", SCHEME, "Status of this result")
RESEARCH: Final = Code("research", SCHEME, "Research output, not for diagnosis or treatment")


def presence(decision: str, label: str | None) -> Code | None:
    """Whether a neoplasm is there: present, absent or indeterminate; None of a rejected image."""
    if decision == "rejected":
        return None
    if decision == "abstained":
        return _INDETERMINATE
    return _ABSENT if label == NO_TUMOR else _PRESENT


def finding_type(decision: str, label: str | None) -> Code | None:
    """``Neoplasm`` where a tumour is reported, its kind named or not; else nothing."""
    is_tumor = decision != "rejected" and presence(decision, label) == _PRESENT
    found: Code | None = NEOPLASM if is_tumor else None
    return found


def site(label: str | None) -> Code:
    """Where in the head: the pituitary gland, or the brain as a whole."""
    place: Code = PITUITARY if label == "pituitary" else BRAIN
    return place
