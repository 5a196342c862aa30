"""The one in-memory form of an image or a volume."""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import VolumeError
from tumorlens.imaging.facts import AcquisitionFacts
from tumorlens.imaging.samples.gray import Color

TINTED: Final = "the image is coloured, like a computed map; the network was trained on gray images"


@dataclass(frozen=True, slots=True)
class MedicalImage:
    """A decoded image or volume, before any preprocessing.

    ``pixels`` is float32, (H, W) or (D, H, W), finite, in the file's own intensity unit
    (0 to 255 for 8-bit images, 0 to 65535 for 16-bit ones, arbitrary for float ones; 0 to 1 for
    DICOM that carries a window). Larger is brighter.
    """

    samples: NDArray[np.float32] | NDArray[np.uint8]
    """``pixels``, or, of an image of 8 bits, the same numbers as bytes, which cost less."""
    source: str
    """Where it came from, for messages: a path, or ``<array>``."""
    bit_depth: int
    """Bits a sample was stored with: 1 to 64."""
    mode: str
    """How samples were stored: in Pillow's words (``L``, ``RGB``, ``I;16``...), in DICOM's
    (``MONOCHROME2``, ``PALETTE COLOR``...) or the name of a volume's data type (``int16``...)."""
    pixel_spacing_mm: tuple[float, float] | None = None
    """(row, column) spacing in millimetres, where the file states it."""
    facts: AcquisitionFacts | None = None
    """What DICOM, NIfTI, MGH or NRRD say of the acquisition; None for plain images."""
    remarks: tuple[str, ...] = ()
    """What is odd about the pixels, or was left out of a plain image: sentences for a person."""
    color: Color = Color.GRAY
    """How much of it was in colours."""

    @property
    def pixels(self) -> NDArray[np.float32]:
        """The image or volume; a copy where ``samples`` are bytes."""
        return self.samples.astype(np.float32, copy=False)

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.samples.shape[-2])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.samples.shape[-1])

    @property
    def depth(self) -> int:
        """Slices; 1 for a single image."""
        return 1 if self.samples.ndim == 2 else int(self.samples.shape[0])

    @property
    def is_volume(self) -> bool:
        """Whether ``pixels`` is (D, H, W)."""
        return self.samples.ndim == 3

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know: gaps, duplicates, what was left out."""
        tint = (TINTED,) if self.color is Color.TINTED else ()
        return (*(self.facts.notes if self.facts else ()), *self.remarks, *tint)

    def remarked(self, *remarks: str) -> Self:
        """A copy with more remarks."""
        return replace(self, remarks=(*self.remarks, *remarks)) if remarks else self


def single(image: MedicalImage) -> MedicalImage:
    """``image`` where it is a single image (H, W); raise ``VolumeError`` where it is not."""
    if image.is_volume:
        raise VolumeError(
            f"{image.source}: a volume of {image.depth} slices, where a single image is needed; "
            "save its slices as images"
        )
    return image
