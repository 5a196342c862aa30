"""What kind of object a DICOM file is: an MR image, another modality's, or no image at all."""

from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import UID

from tumorlens.errors import NotMRError, UnsupportedFormatError
from tumorlens.imaging.dicom.tags import numbers, private_element, text, texts
from tumorlens.text import clean

MR: Final = "MR"
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_MR_STORAGE: Final = f"{_STORAGE}4"
"""MR Image Storage; the enhanced ones are below it (PS3.4 B.5)."""
_SECONDARY_CAPTURE: Final = f"{_STORAGE}7"
_NO_IMAGES: Final = tuple(
    _STORAGE + part
    for part in ("4.2", "9", "11", "30", "66", "67", "88", "90", "104", "481.2", "481.3", "481.5")
)  # fmt: skip
"""Spectra, waveforms, presentation states, parametric maps, raw data and segmentations, value
mappings, reports, plans, encapsulated documents, radiotherapy."""
_SPELLINGS: Final = {"MRI": MR}
"""What some exporters write for the defined term (PS3.3 C.7.3.1.1.1)."""
_MOSAIC: Final = "MOSAIC"
"""In ImageType, of Siemens' echo planar series."""
_UNSPECIFIC: Final = (None, "OT", "SC")
"""What secondary captures of MR slices state as modality: other, or nothing."""


def is_image(dataset: Dataset) -> bool:
    """Whether it is an image, or should be: reports, spectra, plans and directories are none.

    A file that states nothing of the kind may be the rest of an image.
    """
    sop_class = _sop_class(dataset)
    if _is_one_of(sop_class, _NO_IMAGES):
        return False
    if not sop_class and _modality(dataset) is None:
        return "DirectoryRecordSequence" not in dataset
    return ("Rows" in dataset and "Columns" in dataset) or _is_one_of(sop_class, (_MR_STORAGE,))


def is_mr_storage(dataset: Dataset) -> bool:
    """Whether its SOP class is one of MR images, or not stated of a file whose modality is MR."""
    sop_class = _sop_class(dataset)
    if not sop_class:  # as in ACR-NEMA, which had no SOP classes
        return _modality(dataset) == MR
    return _is_one_of(sop_class, (_MR_STORAGE,))


def check_kind(dataset: Dataset, source: str) -> None:
    """Raise ``UnsupportedFormatError`` unless it is an image, ``NotMRError`` unless it may be MR.

    A secondary capture, or an object without a SOP class, may be one where its modality says
    nothing else.
    """
    modality = _modality(dataset)
    if _is_mosaic(dataset):
        raise UnsupportedFormatError(
            f"{source}: a mosaic of many slices in one image; export the slices as a volume"
        )
    if not is_image(dataset):
        sop_class = _sop_class(dataset)
        what = clean(UID(sop_class).name) if sop_class else modality
        lists_files = "DirectoryRecordSequence" in dataset
        raise UnsupportedFormatError(
            f"{source}: DICOM without an image ({what or 'of unknown kind'})"
            + ("; name the folder that contains it" if lists_files else "")
        )
    if modality == MR or (modality in _UNSPECIFIC and _may_be_mr(dataset)):
        return
    stated = f"modality {modality}" if modality else "its modality is not stated"
    raise NotMRError(f"{source}: {stated}; only MR is classified")


def _is_mosaic(dataset: Dataset) -> bool:
    """By ImageType, or by Siemens' own number of images in it, which anonymisers keep."""
    count = numbers(private_element(dataset, 0x0019, "SIEMENS MR HEADER", 0x0A), 1)
    return _MOSAIC in texts(dataset, "ImageType") or (count is not None and count[0] > 1)


def kind_notes(dataset: Dataset) -> list[str]:
    """What is assumed about its kind."""
    modality, sop_class = _modality(dataset), _sop_class(dataset)
    if modality == MR and sop_class.startswith(_STORAGE) and not _may_be_mr(dataset):
        stated = f"its SOP class is {clean(UID(sop_class).name)}"
    elif modality == MR or (modality is None and is_mr_storage(dataset)):
        return []
    else:
        stated = f"its modality is {modality}" if modality else "its modality is not stated"
    return [f"the file does not state that it is MR ({stated}); it is treated as MR"]


def _modality(dataset: Dataset) -> str | None:
    stated = text(dataset, "Modality")
    return stated and _SPELLINGS.get(stated.upper(), stated.upper())


def _may_be_mr(dataset: Dataset) -> bool:
    sop_class = _sop_class(dataset)
    return not sop_class or _is_one_of(sop_class, (_MR_STORAGE, _SECONDARY_CAPTURE))


def _sop_class(dataset: Dataset) -> str:
    meta = getattr(dataset, "file_meta", None)
    return text(dataset, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID") or ""


def _is_one_of(sop_class: str, roots: tuple[str, ...]) -> bool:
    """Whether it is one of ``roots`` or a class below one."""
    return f"{sop_class}.".startswith(tuple(f"{root}." for root in roots))
