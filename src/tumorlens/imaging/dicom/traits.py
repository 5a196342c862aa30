"""How an image was taken, as far as it tells volumes of one series apart. Clauses are PS3.3's."""

from typing import Final

from pydicom.dataset import Dataset

from tumorlens.imaging.dicom.tags import (
    element,
    functional_group,
    items,
    number,
    numbers,
    private_element,
    text,
    texts,
)
from tumorlens.imaging.geometry.contrasts import (
    AGENT,
    COMPONENT,
    DIMENSION,
    IMAGE_TYPE,
    MAGNITUDE,
    WINDOW,
    Trait,
    Traits,
)

_COMPONENTS: Final = {
    "M": MAGNITUDE, "MAGNITUDE": MAGNITUDE, "P": "phase", "PHASE": "phase", "PHASE MAP": "phase",
    "PHASE_MAP": "phase", "VELOCITY MAP": "phase", "R": "real", "REAL": "real",
    "I": "imaginary", "IMAG": "imaginary", "IMAGINARY": "imaginary",
}  # fmt: skip
"""ComplexImageComponent (C.8.13.3.1.1), and what vendors write into ImageType for it."""
_COMPONENT_PREFIXES: Final = {"M_": MAGNITUDE, "P_": "phase", "R_": "real", "I_": "imaginary"}
"""Philips: ``M_FFE``, ``R_IR``..."""
_INDICES: Final = "DimensionIndexValues"
_FRAME_TYPE: Final = "MRImageFrameTypeSequence"
_NUMBERS: Final = (
    ("echo", None, "EchoNumbers"),
    ("echo time", None, "EchoTime"),
    ("echo time", "MREchoSequence", "EffectiveEchoTime"),
    ("b-value", None, "DiffusionBValue"),
    ("b-value", "MRDiffusionSequence", "DiffusionBValue"),
    ("inversion time", None, "InversionTime"),
    ("inversion time", "MRModifierSequence", "InversionTimes"),
    ("flip angle", None, "FlipAngle"),
    ("flip angle", "MRTimingAndRelatedParametersSequence", "FlipAngle"),
    ("repetition time", None, "RepetitionTime"),
    ("repetition time", "MRTimingAndRelatedParametersSequence", "RepetitionTime"),
    ("time point", None, "TemporalPositionIdentifier"),
    ("time point", "FrameContentSequence", "TemporalPositionIndex"),
    ("time point", "TemporalPositionSequence", "TemporalPositionTimeOffset"),
    ("averages", None, "NumberOfAverages"),
    ("averages", "MRAveragesSequence", "NumberOfAverages"),
    ("trigger time", None, "TriggerTime"),
    ("trigger time", "CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    ("trigger time", "CardiacSynchronizationSequence", "NominalPercentageOfCardiacPhase"),
    ("trigger time", "RespiratorySynchronizationSequence", "NominalRespiratoryTriggerDelayTime"),
    ("trigger time", "RespiratorySynchronizationSequence", "NominalPercentageOfRespiratoryPhase"),
    ("echo train", None, "EchoTrainLength"),
    ("acquisition", None, "AcquisitionNumber"),
    ("acquisition", "FrameContentSequence", "FrameAcquisitionNumber"),
)
"""Trait, functional group (or none) and keyword, in the order by which volumes are separated."""
_TEXTS: Final = (
    ("sequence", None, "SequenceName"),
    ("scanning sequence", None, "ScanningSequence"),
    ("sequence variant", None, "SequenceVariant"),
    ("scan options", None, "ScanOptions"),
    (AGENT, None, "ContrastBolusAgent"),
    ("gradient", None, "DiffusionGradientOrientation"),
    ("directionality", "MRDiffusionSequence", "DiffusionDirectionality"),
    ("label", "MRArterialSpinLabelingSequence", "ASLContext"),
    ("velocity direction", "MRVelocityEncodingSequence", "VelocityEncodingDirection"),
    ("nucleus", None, "ImagedNucleus"),
    ("coil", None, "ReceiveCoilName"),
    ("stack", "FrameContentSequence", "StackID"),
    ("series number", None, "SeriesNumber"),
    ("description", None, "SeriesDescription"),
    ("protocol", None, "ProtocolName"),
    ("frame of reference", None, "FrameOfReferenceUID"),
    ("derivation", None, "DerivationDescription"),
    ("frame label", "FrameContentSequence", "FrameLabel"),
    ("patient position", None, "PatientPosition"),
    ("series date", None, "SeriesDate"),
    ("series time", None, "SeriesTime"),
    ("comment", None, "ImageComments"),
)
_CLOCKS: Final = (
    ("acquisition time", "FrameContentSequence", "FrameAcquisitionDateTime"),
    ("acquisition time", "FrameContentSequence", "FrameReferenceDateTime"),
    ("acquisition time", None, "AcquisitionDateTime"),
    ("acquisition time", None, "AcquisitionTime"),
    ("content time", None, "ContentTime"),
)
_PRIVATE_B_VALUES: Final = (
    (0x0019, "SIEMENS MR HEADER", 0x0C),
    (0x0043, "GEMS_PARM_01", 0x39),
    (0x2001, "Philips Imaging DD 001", 0x03),
    (0x0065, "Image Private Header", 0x09),
)
"""Group, creator and element of the b-value where makers have one of their own; the last is of
United Imaging."""
_GE_COMPONENTS: Final = {0: MAGNITUDE, 1: "phase", 2: "real", 3: "imaginary"}
"""Values of GE's own element for the component, where ImageType has no word for it."""
_GE_OFFSET: Final = 1_000_000_000
"""GE adds this to some b-values."""


def traits_of(dataset: Dataset, frame: int) -> Traits:
    """What the data set says of ``frame`` (from 0)."""
    words = image_type(dataset, frame)
    traits: dict[str, float | str] = {}
    if component := _component(dataset, frame, words):
        traits[COMPONENT] = component
    if kinds := [word for word in words if word not in _COMPONENTS]:
        traits[IMAGE_TYPE] = "\\".join(kinds)
    for name, group, keyword in _NUMBERS:
        value = number(_group(dataset, frame, group), keyword)
        if value is not None:
            traits.setdefault(name, value)
    if "b-value" not in traits and (private := _private_b_value(dataset)) is not None:
        traits["b-value"] = private
    for name, group, keyword in _TEXTS:
        if words := texts(_group(dataset, frame, group), keyword):
            traits[name] = "\\".join(words)
    if gradient := _gradient(dataset, frame):
        traits.setdefault("gradient", gradient)
    if spacing := _pixel_size(dataset, frame):
        traits["pixel size"] = spacing
    traits |= _weak(dataset, frame)
    traits |= {} if WINDOW in traits else _samples(dataset)
    pairs: tuple[Trait, ...] = tuple(traits.items())
    return pairs


def _samples(dataset: Dataset) -> dict[str, float | str]:
    """How values are stored: without a window, those of another kind are in another unit."""
    bits = number(dataset, "BitsAllocated")
    photometric = text(dataset, "PhotometricInterpretation")
    if bits is None or not photometric:
        return {}
    return {"samples": f"{bits:g}-bit {photometric.upper()}"}


def _weak(dataset: Dataset, frame: int) -> dict[str, float | str]:
    """What slices of one volume may differ in too: indices, window, clock, number."""
    traits: dict[str, float | str] = {}
    stated = texts(functional_group(dataset, frame, "FrameContentSequence"), _INDICES)
    indices = numbers(list(stated), len(stated)) or ()
    traits |= {f"{DIMENSION} {axis}": index for axis, index in enumerate(indices, start=1)}
    voi = functional_group(dataset, frame, "FrameVOILUTSequence") or dataset
    window = [number(voi, keyword) for keyword in ("WindowCenter", "WindowWidth")]
    if None not in window:
        traits[WINDOW] = "/".join(f"{value:g}" for value in window)
    for name, group, keyword in _CLOCKS:
        if clock := text(_group(dataset, frame, group), keyword):
            traits.setdefault(name, clock)
    if (number(dataset, "NumberOfFrames") or 1) > 1:
        traits["frame number"] = float(frame + 1)
    elif (counted := number(dataset, "InstanceNumber")) is not None:
        traits["instance number"] = counted
    return traits


def _group(dataset: Dataset, frame: int, group: str | None) -> Dataset:
    """The functional group; the data set itself without one, as older objects borrow elements."""
    return (None if group is None else functional_group(dataset, frame, group)) or dataset


def _gradient(dataset: Dataset, frame: int) -> str:
    """The direction of diffusion weighting of an enhanced object (C.8.13.5.9)."""
    diffusion = functional_group(dataset, frame, "MRDiffusionSequence")
    directions = items(diffusion, "DiffusionGradientDirectionSequence")
    return "\\".join(texts(directions[0], "DiffusionGradientOrientation")) if directions else ""


def _pixel_size(dataset: Dataset, frame: int) -> str:
    """In millimetres, rounded, as a word: 1% more is another grid."""
    measures = functional_group(dataset, frame, "PixelMeasuresSequence") or dataset
    spacing = numbers(element(measures, "PixelSpacing"), 2)
    return "" if spacing is None else f"{spacing[0]:.3g}"


def image_type(dataset: Dataset, frame: int) -> tuple[str, ...]:
    """FrameType or ImageType (C.7.6.1.1.2)."""
    stated = texts(functional_group(dataset, frame, _FRAME_TYPE), "FrameType")
    return tuple(word.upper() for word in stated or texts(dataset, "ImageType"))


def _component(dataset: Dataset, frame: int, words: tuple[str, ...]) -> str | None:
    """Which part of the complex signal is shown; None where it is not stated."""
    group = functional_group(dataset, frame, _FRAME_TYPE)
    stated = text(group, "ComplexImageComponent") or text(dataset, "ComplexImageComponent")
    # The first two values say whether it was computed; what is shown comes after them.
    for word in (*([stated.upper()] if stated else []), *words[2:]):
        known = _COMPONENTS.get(word) or _COMPONENT_PREFIXES.get(word[:2])
        if known is not None:
            return known
    return _private_component(dataset)


def _private_component(dataset: Dataset) -> str | None:
    stated = numbers(private_element(dataset, 0x0043, "GEMS_PARM_01", 0x2F), 1)
    if stated:
        return _GE_COMPONENTS.get(int(stated[0]))
    word = private_element(dataset, 0x2005, "Philips MR Imaging DD 001", 0x11)
    return _COMPONENTS.get(word) if isinstance(word, str) else None


def _private_b_value(dataset: Dataset) -> float | None:
    for group, creator, offset in _PRIVATE_B_VALUES:
        value = private_element(dataset, group, creator, offset)
        first = value[0] if hasattr(value, "append") and len(value) else value
        if (b_value := numbers(first, 1)) is not None:
            return b_value[0] % _GE_OFFSET
    return None
