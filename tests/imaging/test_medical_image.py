"""The one form of an image or a volume in memory."""

import numpy as np
import pytest

from tumorlens.errors import VolumeError
from tumorlens.imaging.facts import AcquisitionFacts
from tumorlens.imaging.image import MedicalImage, single

FACTS = AcquisitionFacts(notes=("gap of 10 mm",))


@pytest.mark.parametrize(
    ("shape", "depth", "is_volume"),
    [((5, 9), 1, False), ((1, 5, 9), 1, True), ((3, 5, 9), 3, True)],
)
def test_sides_and_slices(shape: tuple[int, ...], depth: int, is_volume: bool) -> None:
    image = MedicalImage(np.zeros(shape, np.float32), "x", 8, "L")
    assert (image.height, image.width, image.depth, image.is_volume) == (5, 9, depth, is_volume)


def test_pixels_of_bytes_are_a_copy_and_those_of_floats_are_the_samples() -> None:
    data = np.arange(6, dtype=np.uint8).reshape(2, 3)
    image = MedicalImage(data, "x", 8, "L")
    assert image.pixels.dtype == np.float32
    assert image.pixels.tolist() == data.tolist()
    floats = data.astype(np.float32)
    assert MedicalImage(floats, "x", 32, "F").pixels is floats


def test_notes_are_those_of_the_files_then_what_is_odd_about_the_pixels() -> None:
    image = MedicalImage(np.zeros((5, 9), np.float32), "x", 8, "L", facts=FACTS)
    more = image.remarked("colour is dropped").remarked("margin", "text")
    assert more.notes == ("gap of 10 mm", "colour is dropped", "margin", "text")
    assert image.notes == ("gap of 10 mm",), "the image itself stays as it was"
    assert image.remarked() is image
    assert MedicalImage(np.zeros((5, 9), np.float32), "x", 8, "L").notes == ()


def test_a_volume_is_no_single_image() -> None:
    image = MedicalImage(np.zeros((5, 9), np.float32), "x", 8, "L")
    assert single(image) is image
    volume = MedicalImage(np.zeros((3, 5, 9), np.float32), "head.nii", 8, "L")
    with pytest.raises(VolumeError, match=r"head\.nii: a volume of 3 slices"):
        single(volume)
