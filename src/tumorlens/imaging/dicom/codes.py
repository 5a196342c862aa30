"""The coded words of our reports, and where each comes from.

Standard codes are those that pydicom ships out of the standard's tables (PS3.16): SNOMED CT as
``SCT``, DICOM's own as ``DCM``, units as ``UCUM``. The tables hold no code for glioma, meningioma,
a tumour of the pituitary gland or for a computer that abstains, and a code that
cannot be confirmed is worse than none, so these are in the private scheme ``99TUMORLENS``
(PS3.16 8.2: private designators begin with 99); a tumour also carries the standard's "Neoplasm".
Classes of other networks carry the codes that their bundle states, or private ones too.
"""

from typing import Final

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from tumorlens.labels import BRAIN_TUMORS, ClassInfo, ClassSet

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
CLASS: Final = Code("class", SCHEME, "Class found by the classifier")
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


_LONGEST_MEANING: Final = 64
"""Characters of a code's meaning (LO)."""


def _private(value: str, meaning: str) -> Code:
    return Code(value, SCHEME, meaning[:_LONGEST_MEANING])


def decision(name: str, classes: ClassSet) -> Code:
    """The decision ``classified``, ``detected``, ``abstained`` or ``rejected``."""
    word, a_word = classes.finding, classes.a_finding
    nothing = "" if classes.no_finding is None else f", or no {word}"
    unclear = "kind uncertain" if classes.no_finding is None else f"presence of {a_word} uncertain"
    meanings = {
        "classified": f"Classified: kind named{nothing}",
        "detected": f"Detected: {a_word}, kind uncertain",
        "abstained": f"Abstained: {unclear}",
        "rejected": "Rejected: not an image of head MRI",
    }
    return _private(name, meanings[name])


def label(member: ClassInfo) -> Code:
    """A class as the answer: the bundle's code, or a private one."""
    if member.code is not None:
        return Code(member.code.value, member.code.scheme, member.code.meaning)
    return _private(member.name, f"Image class: {member.display_name}")


def probability(member: ClassInfo) -> Code:
    """The name of a class's probability."""
    return _private(f"p-{member.name}", f"Probability of {member.display_name}")


def finding_probability(classes: ClassSet) -> Code:
    """The name of the probability of a finding of any kind."""
    value = "p-tumor" if _is_tumor(classes) else "p-finding"
    return _private(value, f"Probability of {classes.a_finding} of any kind")


def question(classes: ClassSet) -> Code:
    """What is present or absent: a neoplasm, or what else the classes are."""
    finding: Code = NEOPLASM if _is_tumor(classes) else _private("finding", classes.finding)
    return finding


def presence(decision: str, label: str | None, classes: ClassSet) -> Code | None:
    """Whether a finding is there: present, absent or indeterminate.

    None of a rejected image, and where no class means that there is none.
    """
    if decision == "rejected" or classes.no_finding is None:
        return None
    if decision == "abstained":
        return _INDETERMINATE
    return _ABSENT if label == classes.no_finding else _PRESENT


def finding_type(decision: str, label: str | None, classes: ClassSet) -> Code | None:
    """``Neoplasm`` where a tumour is reported, its kind named or not; else nothing."""
    is_tumor = _is_tumor(classes) and presence(decision, label, classes) is _PRESENT
    neoplasm: Code | None = NEOPLASM if is_tumor else None
    return neoplasm


def _is_tumor(classes: ClassSet) -> bool:
    return classes.finding == BRAIN_TUMORS.finding


def site(label: str | None) -> Code:
    """Where in the head: the pituitary gland, or the brain as a whole."""
    region: Code = PITUITARY if label == "pituitary" else BRAIN
    return region
