"""What a DICOM file says it shows, where that is not what the network was trained on."""

import re
import unicodedata
from typing import Final

from pydicom.dataset import Dataset

from tumorlens.imaging.dicom.tags import functional_group, items, text
from tumorlens.imaging.dicom.traits import image_type

_COMPUTED: Final = frozenset({
    "ADC", "ADCUNSPECIFIED", "EADC", "FA", "COLFA", "FACOLOR", "COLORFA", "TENSOR",
    "MIP", "MINIP", "MNIP", "PROJECTIONIMAGE", "VRT", "SUB", "SUBTRACT", "SUBTRACTION",
    "CBF", "CBV", "RCBF", "RCBV", "RELCBF", "RELCBV", "RELMTT", "MTT", "TTP", "TMAX",
    "PBP", "GBP", "KTRANS", "KEP", "IAUC",
})  # fmt: skip
"""Words for maps and projections, without spaces and the like: values of ImageType (PS3.3
C.8.3.1.1.1, C.8.13.3.1.1, and vendors'). Each word that ends with MAP is one too."""
_MAP: Final = "MAP"
_NAMES: Final = frozenset({
    "ADC", "EADC", "COLFA", "CBF", "CBV", "RCBF", "RCBV", "RELCBF", "RELCBV", "MTT", "TTP", "TMAX",
    "MIP", "MINIP", "SUBTRACTION", "SUBTRAKTION", "SUBTRACTED", "DADC", "APPARENT", "KTRANS",
    "FRACTIONAL", "ANISO", "ANISOTROPY", "BLOOD FLOW", "BLOOD VOLUME",
})  # fmt: skip
"""Words for maps and projections that a SeriesDescription has for nothing else: APPARENT of the
diffusion coefficient. Each word that ends with MAP is one too."""
_WORD: Final = re.compile("BLOOD (?:FLOW|VOLUME)|[A-Z0-9]+")
"""Blood alone is no map: T1-weighted images of vessel walls are named black blood."""
_DERIVED: Final = "DERIVED"
_LOCALIZERS: Final = frozenset({
    "LOC", "LOCALISER", "LOCALISERS", "LOCALIZER", "LOCALIZERS", "SCOUT", "SCOUTS", "SURVEY",
})  # fmt: skip
"""Words for coarse images that later series are planned on: in ImageType, or in what vendors and
hospitals write into SeriesDescription."""
_CALIBRATION: Final = "CALIBRATION"
"""In a SeriesDescription, of a coarse image by which later series are reconstructed."""
_HEAD: Final = frozenset({
    "BRAIN", "CABECA", "CABEZA", "CEREBRAL", "CEREBRALE", "CEREBRALI", "CEREBRO", "CRANE", "CRANEO",
    "CRANIAL", "CRANIO", "CRANIUM", "ENCEFALO", "ENCEPHALE", "GEHIRN", "HEAD", "HIRN", "IAC",
    "KOPF", "NEURO", "ORBIT", "ORBITS", "PITUITARY", "SCHADEL", "SCHAEDEL", "SELLA", "SKULL",
    "TESTA", "TETE",
})  # fmt: skip
_ELSEWHERE: Final = frozenset({
    "ABDOMEN", "ANKLE", "ARM", "BECKEN", "BREAST", "BWS", "CALF", "CHEST", "COLUMNA", "ELBOW",
    "EPAULE", "EXTREMITY", "FEMUR", "FETUS", "FOOT", "FOREARM", "GENOU", "HALS", "HAND", "HEART",
    "HIP", "HOMBRO", "HUMERUS", "HWS", "KIDNEY", "KNEE", "KNIE", "LEG", "LIVER", "LUMBAR", "LWS",
    "NECK", "PANCREAS", "PELVIS", "PROSTATE", "RACHIS", "RODILLA", "SACRUM", "SCHULTER", "SHOULDER",
    "THIGH", "THORAX", "UTERUS", "WRIST",
})  # fmt: skip
"""Parts of the body (PS3.16 annex L; the most frequent ones in German, French and Spanish) whose
slices do not show the patient's brain."""
_ANGIOGRAPHY: Final = "ARM"
"""In French descriptions: angio-resonance magnetique. BodyPartExamined has English words alone."""
_SPINE: Final = "SPINE"
_DESCRIPTIONS: Final = (
    "SeriesDescription", "ProtocolName", "PerformedProcedureStepDescription", "StudyDescription",
    "RequestedProcedureDescription",
)  # fmt: skip
"""Where a part of the body is named if no element for it is filled in; those of a study come last,
as it may be of several parts."""
_HUMAN: Final = frozenset({"HUMAN", "HOMO", "MAN"})
"""Words for our own species: "Homo sapiens" in DICOM's codes (PS3.16 CID 7454)."""
_OTHER_NUCLEI: Final = frozenset({"C", "F", "HE", "LI", "NA", "O", "P", "XE"})
"""Elements other than hydrogen whose nuclei are imaged, such as 23NA."""
_OF_QUALITY: Final = ("YES", "BOTH")
"""Values of QualityControlImage (PS3.3 C.7.6.1) of images with a phantom in them."""


def purpose_notes(dataset: Dataset, frame: int) -> list[str]:
    """Notes where ``frame`` is not for diagnosis: a map, a projection, a localizer..."""
    stated = image_type(dataset, frame)
    described = _WORD.findall((text(dataset, "SeriesDescription") or "").upper())
    computed = [word for word in stated if _is_computed(word)]
    if not computed and _DERIVED in stated[:1]:
        computed = [w for w in described if w in _NAMES or w.endswith(_MAP)][:1]
    localizer = [word for word in (*stated, *described) if word in _LOCALIZERS][:1]
    kinds = [
        *(f"the image is computed from others ({word})" for word in computed),
        *(f"the image is a localizer ({word})" for word in localizer),
        *(["the image is a calibration"] if _CALIBRATION in described else []),
    ]
    return [f"{kind}, which the network was not trained on" for kind in kinds]


def _is_computed(word: str) -> bool:
    plain = re.sub("[^A-Z0-9]", "", word)
    return plain in _COMPUTED or plain.endswith(_MAP)


def subject_notes(dataset: Dataset) -> list[str]:
    """Notes where the file states something other than the head of a person."""
    part, species = body_part(dataset), _species(dataset)
    part = _described_part(dataset) if part is None else part
    notes = []
    if part is not None and _is_elsewhere(part):
        notes.append(f"the file states another part of the body ({part})")
    if species is not None and not _HUMAN.intersection(re.findall("[A-Z]+", species.upper())):
        notes.append(f"the file states another species ({species})")
    nucleus = text(dataset, "ImagedNucleus") or text(dataset, "ResonantNucleus") or ""
    if re.sub("[^A-Z]", "", nucleus.upper()) in _OTHER_NUCLEI:
        notes.append(f"the file states another nucleus than that of hydrogen ({nucleus})")
    if text(dataset, "QualityControlImage") in _OF_QUALITY:
        notes.append("the file states that it is a quality control image, such as one of a phantom")
    return notes


def _species(dataset: Dataset) -> str | None:
    codes = items(dataset, "PatientSpeciesCodeSequence")
    return text(dataset, "PatientSpeciesDescription") or (
        text(codes[0], "CodeMeaning") if codes else None
    )


def body_part(dataset: Dataset) -> str | None:
    """What the file states, in the elements of simple or of enhanced objects."""
    if (stated := text(dataset, "BodyPartExamined")) is not None:
        return stated
    anatomy = functional_group(dataset, 0, "FrameAnatomySequence") or dataset
    regions = items(anatomy, "AnatomicRegionSequence")
    return text(regions[0], "CodeMeaning") if regions else None


def _described_part(dataset: Dataset) -> str | None:
    """The first word for a part of the body other than the head, of what describes the series."""
    for keyword in _DESCRIPTIONS:
        words = _words(text(dataset, keyword) or "")
        if _HEAD.intersection(words):
            return None
        if named := [word for word in words if word != _ANGIOGRAPHY and _is_elsewhere(word)]:
            return named[0]
    return None


def _is_elsewhere(part: str) -> bool:
    words = _words(part)
    if _HEAD.intersection(words):
        return False
    return any(word in _ELSEWHERE or word.endswith(_SPINE) for word in words)


def _words(stated: str) -> list[str]:
    """In capitals, without accents."""
    plain = unicodedata.normalize("NFKD", stated.upper())
    return re.findall("[A-Z]+", "".join(char for char in plain if not unicodedata.combining(char)))
