"""Synthetic DICOM files of axial MR slices."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage


def write(
    path: Path,
    pixels: NDArray[np.generic],
    *,
    number: int = 1,
    pixel_mm: float = 1.0,
    slice_mm: float = 1.0,
    values: Mapping[str, Any] | None = None,
) -> None:
    """Write (H, W), or (D, H, W) as frames, of 8 or 16 bits; the ``number``-th of its series.

    ``values`` by keyword are added, or replace what stands below.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    bits = 8 * pixels.dtype.itemsize
    stated: dict[str, Any] = {
        "SOPClassUID": MRImageStorage, "SOPInstanceUID": f"1.2.3.{number}", "Modality": "MR",
        "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "InstanceNumber": number,
        "PixelSpacing": [pixel_mm, pixel_mm], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, number * slice_mm],
        "Rows": pixels.shape[-2], "Columns": pixels.shape[-1], "SamplesPerPixel": 1,
        "BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": 0,
        "PhotometricInterpretation": "MONOCHROME2",
    }  # fmt: skip
    if pixels.ndim == 3:
        stated["NumberOfFrames"] = len(pixels)
    for keyword, value in {**stated, **(values or {})}.items():
        setattr(dataset, keyword, value)
    dataset.add_new("PixelData", "OW" if bits == 16 else "OB", pixels.tobytes())
    dataset.save_as(path, enforce_file_format=True)
