"""MGH: types, frames, what a header may leave out, and damage."""

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from tests.imaging.written import AFFINE, Volume, mgh, mgz, nifti

from tumorlens.errors import (
    BlankImageError,
    CorruptInputError,
    LimitExceededError,
    UnsupportedFormatError,
)
from tumorlens.imaging import reader
from tumorlens.imaging.facts import sides_of
from tumorlens.imaging.image import MedicalImage

SHIPPED = Path(nibabel.__file__).parent / "tests" / "data"
_DIMS, _TYPE, _FLAG, _SIZES, _DIRECTIONS, _CENTRE = 4, 20, 28, 30, 42, 78


def read(data: bytes, plane: str = "axial") -> MedicalImage:
    return reader.read_bytes(data, "here", plane)


def patched(data: bytes, at: int, kind: str, *values: float) -> bytes:
    changed = bytearray(data)
    struct.pack_into(f">{kind}", changed, at, *values)
    return bytes(changed)


@pytest.mark.parametrize("kind", ["uint8", "int16", "int32", "float32", "uint16"])
def test_every_type(ras: Volume, kind: str) -> None:
    voxels = np.clip(ras, 0, 255).astype(kind)
    for data in (mgh(voxels), mgz(voxels)):
        image = read(data)
        np.testing.assert_array_equal(image.pixels, read(nifti(voxels)).pixels)
        assert (image.mode, image.bit_depth) == (kind, 8 * voxels.dtype.itemsize)
        assert image.notes == ()


def test_a_file_that_nibabel_ships() -> None:
    """Three frames of 3 x 4 x 5 voxels: recognised, and too small for a head."""
    with pytest.raises(LimitExceededError, match="sides must be 32"):
        reader.read(SHIPPED / "test.mgz")


def test_frames_of_one_slice_each_are_slices(ras: Volume) -> None:
    image = read(mgz(ras[:, :, None, :]))
    np.testing.assert_array_equal(image.pixels, read(nifti(ras)).pixels)
    assert image.notes == ("the 36 volumes have one slice each; they are read as slices",)


def test_the_first_of_several_frames(ras: Volume) -> None:
    image = read(mgz(np.stack([ras, ras * 2, ras * 3], axis=-1)))
    np.testing.assert_array_equal(image.pixels, read(nifti(ras)).pixels)
    assert image.notes == ("the first of 3 volumes is read",)
    with pytest.raises(BlankImageError, match="the first of 2 volumes is blank"):
        read(mgz(np.stack([0 * ras, ras], axis=-1)))


@pytest.mark.parametrize("flag", [0, -1])
def test_no_orientation_means_coronal_slices(ras: Volume, flag: int) -> None:
    """And 1 mm, whatever the fields behind it hold."""
    data = patched(mgh(ras), _FLAG, "h3f", flag, 7, 8, 9)
    image = read(data, "coronal")
    # x to the left, y down and z to the front: the file's own slices, from the front back.
    np.testing.assert_array_equal(image.pixels, ras[:, :, ::-1].transpose(2, 1, 0))
    assert image.pixel_spacing_mm == pytest.approx((1, 1))
    assert image.notes == (
        "the file does not state its orientation; FreeSurfer's default (coronal, 1 mm) is assumed",
    )
    assert sides_of(image.facts) is None


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_directions_that_make_no_sense(ras: Volume, value: float) -> None:
    image = read(patched(mgh(ras), _DIRECTIONS, "3f", value, value, value), "coronal")
    assert image.notes == (
        "the file's direction matrix is not plausible and is not used",
        "the file does not state its orientation; FreeSurfer's default (coronal) is assumed",
    )
    assert image.pixel_spacing_mm == pytest.approx((2, 2))
    assert sides_of(image.facts) is None


def test_sizes_that_make_no_sense(ras: Volume) -> None:
    for size in (0.0, np.nan, np.inf):
        image = read(patched(mgh(ras), _SIZES, "3f", size, size, size))
        assert image.notes == ("a voxel size of the file is missing or not plausible; 1 is used",)
        assert image.pixel_spacing_mm == pytest.approx((1, 1))
        np.testing.assert_array_equal(image.pixels, read(nifti(ras)).pixels)
    (note,) = read(mgh(ras, np.diag([200.0, 200, 200, 1]))).notes
    assert note == "no head is as large as the file says (8000, 9600, 7200 mm)"


def test_a_centre_that_is_no_number(ras: Volume) -> None:
    image = read(patched(mgh(ras), _CENTRE, "f", np.nan))
    assert image.notes[0] == "the file's direction matrix is not plausible and is not used"


def test_types_that_are_not_read(ras: Volume) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"^here: MGH voxels of type 6$"):
        read(patched(mgh(ras), _TYPE, "i", 6))


def test_values(ras: Volume) -> None:
    odd = ras.copy()
    odd[:4] = np.nan
    assert "10.0% of the samples are not usable numbers" in read(mgh(odd)).notes[0]
    with pytest.raises(BlankImageError):
        read(mgh(np.full_like(ras, np.nan)))
    with pytest.raises(UnsupportedFormatError, match=r"^here: a label map or mask"):
        read(mgh((ras > 500).astype(np.uint8)))


def test_damage_is_corrupt(ras: Volume) -> None:
    whole = mgh(ras)
    plain = whole[: 284 + ras.nbytes]  # without what may follow the voxels
    assert read(plain).notes == ()
    for data in (plain[:-1], plain[:284], plain[:100], gzip.compress(plain)[:-2000]):
        with pytest.raises(CorruptInputError, match=r"^here: damaged or cut off"):
            read(data)


def test_tags_behind_the_voxels_are_no_more_voxels(ras: Volume) -> None:
    assert read(mgh(ras) + bytes(40_000)).notes == ()


@pytest.mark.parametrize("shape", [(32767, 32767, 32767), (600, 600, 600), (64, 64, 5000)])
def test_absurd_dimensions_are_refused(ras: Volume, shape: tuple[int, int, int]) -> None:
    data = patched(mgh(ras), _DIMS, "3i", *shape)
    for stored in (data, gzip.compress(data)):
        with pytest.raises(LimitExceededError):
            read(stored)


def test_dimensions_that_no_volume_has_are_another_format(ras: Volume) -> None:
    for shape in ((0, 48, 36), (-1, 48, 36), (40, 48, 1 << 25)):
        with pytest.raises(UnsupportedFormatError, match="is not an image that tumorlens can read"):
            read(patched(mgh(ras), _DIMS, "3i", *shape))


def test_one_slice_is_an_image(ras: Volume) -> None:
    image = read(mgh(ras[:, :, :1], AFFINE))
    assert (image.is_volume, image.pixels.shape) == (False, (48, 40))
