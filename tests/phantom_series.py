"""A DICOM series of a phantom, for tests that need an answer with a tumour."""

from collections.abc import Callable

import numpy as np

from tumorlens.demo.phantoms import Patient

SPACING = 6.0


def phantom_series(write_dicom: Callable[..., bytes], label: str) -> list[bytes]:
    """Eight axial slices of a head; the bundle `phantom` knows its ``label``."""
    rng = np.random.default_rng([3, 0])
    patient = Patient.draw(rng, label)
    return [
        write_dicom(
            patient.slice(rng, float(z)).pixels.astype(np.uint16), SeriesInstanceUID="1.2.9",
            SOPInstanceUID=f"1.2.9.{index}", ImagePositionPatient=[-90, -100, SPACING * index],
            FrameOfReferenceUID="1.2.8", PixelSpacing=[1.0, 1.0], InstanceNumber=index + 1,
            SliceThickness=SPACING,
        )
        for index, z in enumerate(np.linspace(-0.35, 0.35, 8))
    ]  # fmt: skip
