"""Attention maps of tumours as files: NIfTI, and DICOM Segmentation of DICOM series."""

from pathlib import Path
from typing import TYPE_CHECKING

from tumorlens.cli.heatmaps import safe_stem

if TYPE_CHECKING:
    from tumorlens.inference.stream import Watch
    from tumorlens.inference.volume import Answered


def writer(folder: Path) -> "Watch":
    """Return what writes the map of each reported tumour below ``folder``.

    NIfTI files are named ``NUMBER-NAME.nii.gz``, by the place among the images that were answered,
    DICOM files by their SOP Instance UID. Files that do not state slice positions get none.
    """
    import gzip

    from tumorlens.errors import InputError
    from tumorlens.imaging.nifti_mask import as_nifti
    from tumorlens.reporting.attention_map import as_dicom, attention_mask
    from tumorlens.reporting.dicom_answer import is_dicom

    folder.mkdir(parents=True, exist_ok=True)
    answered = 0

    def write(one: "Answered") -> None:
        nonlocal answered
        answered += 1
        image, mask = one.image, attention_mask(one)
        if mask is None:
            return
        if not image.is_volume and (image.facts is None or not image.facts.slices):
            raise InputError(
                f"{image.source}: no map, because the image does not state its position"
            )
        stem = safe_stem(image.source)
        data = gzip.compress(as_nifti(mask, image), mtime=0)
        (folder / f"{answered:05d}-{stem}.nii.gz").write_bytes(data)
        if is_dicom(image):
            made = as_dicom(mask, image, one.answer)
            (folder / f"{made.sop_instance_uid}.dcm").write_bytes(made.data)

    return write
