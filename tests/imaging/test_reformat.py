"""Thin sagittal and coronal series are answered in axial slices; thick and partial ones are not."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from tests.answers import volume

from tumorlens.imaging.facts import sides_of
from tumorlens.imaging.finder import find
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.reader import read
from tumorlens.reporting.attention_map import as_dicom

Write = Callable[..., bytes]
AXES = {"sagittal": 2, "coronal": 1}
DIRECTIONS = {"sagittal": [0, 1, 0, 0, 0, -1], "coronal": [1, 0, 0, 0, 0, -1]}


@pytest.fixture
def body() -> NDArray[np.uint16]:
    """An ellipsoid with a bright lump: (z upwards, y to the back, x to the left), 2 mm apart."""
    z, y, x = np.indices((66, 80, 62), dtype=np.float64)
    inside = ((z - 33) / 30) ** 2 + ((y - 40) / 36) ** 2 + ((x - 31) / 28) ** 2 < 1
    lump = (z - 45) ** 2 + (y - 30) ** 2 + (x - 40) ** 2 < 25
    gray = 100 + z + y + x + np.where(lump, 300, 0)
    voxels: NDArray[np.uint16] = np.where(inside, gray, 5 + (x + y + z) % 7).astype(np.uint16)
    return voxels


def stored(
    write: Write, body: NDArray[np.uint16], plane: str, mm: float = 2.0, **tags: Any
) -> list[bytes]:
    """``body`` in files of one slice, from the patient's left or from the front."""
    axis = AXES[plane]
    slices = np.moveaxis(body, axis, 0)[:, ::-1]
    count = len(slices)
    files = []
    for index in range(count):
        corner = [0.0, 0.0, 2.0 * (body.shape[0] - 1)]
        corner[2 - axis] = mm * index
        files.append(
            write(
                np.ascontiguousarray(slices[index]),
                ImageOrientationPatient=DIRECTIONS[plane],
                ImagePositionPatient=corner,
                PixelSpacing=[2, 2],
                SliceThickness=mm,
                SOPInstanceUID=f"1.2.3.{index + 1}",
                FrameOfReferenceUID="1.2.9",
                InstanceNumber=count - index,
                **tags,
            )
        )
    return files


def place(folder: Path, files: list[bytes]) -> Path:
    folder.mkdir()
    for index, data in enumerate(files):
        (folder / f"{index:03d}").write_bytes(data)
    return folder


def only(folder: Path, plane: str = "axial") -> MedicalImage:
    (one,) = find(str(folder)).inputs
    return one.read(plane).image


@pytest.mark.parametrize("plane", ["sagittal", "coronal"])
def test_thin_slices_are_cut_into_axial_ones(
    plane: str, body: NDArray[np.uint16], write_dicom: Write, tmp_path: Path
) -> None:
    image = only(place(tmp_path / "study", stored(write_dicom, body, plane)))
    assert image.facts is not None
    assert (image.facts.plane, image.depth) == ("axial", 66)
    np.testing.assert_array_equal(image.pixels, body)
    assert sides_of(image.facts) == ("R", "L", "A", "P")
    assert image.facts.slices[45].position_mm == pytest.approx((0, 0, 90))
    assert len(image.facts.acquired) == body.shape[AXES[plane]]
    assert f"{plane} slices 2 mm apart; answered in axial slices made from them" in image.notes


@pytest.mark.parametrize("plane", ["sagittal", "coronal"])
def test_the_map_goes_back_onto_the_files(
    plane: str, body: NDArray[np.uint16], write_dicom: Write, tmp_path: Path
) -> None:
    image = only(place(tmp_path / "study", stored(write_dicom, body, plane)))
    made = as_dicom(image.pixels > 400, image, volume())
    segmented = pydicom.dcmread(io.BytesIO(made.data))
    uids = [
        str(frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)
        for frame in segmented.PerFrameFunctionalGroupsSequence
    ]
    lump = np.moveaxis(body > 400, AXES[plane], 0)[:, ::-1]
    expected = {f"1.2.3.{k + 1}": one for k, one in enumerate(lump) if one.any()}
    frames = np.atleast_3d(segmented.pixel_array)
    assert sorted(uids) == sorted(expected)
    for uid, frame in zip(uids, frames, strict=True):
        np.testing.assert_array_equal(frame, expected[uid])


def test_another_plane_can_be_asked_for(
    body: NDArray[np.uint16], write_dicom: Write, tmp_path: Path
) -> None:
    folder = place(tmp_path / "study", stored(write_dicom, body, "sagittal"))
    image = only(folder, "sagittal")
    assert image.facts is not None
    assert (image.facts.plane, image.facts.acquired) == ("sagittal", ())
    assert only(folder, "coronal").pixels.shape == (80, 66, 62)


@pytest.mark.parametrize(
    ("mm", "kept"), [(2.9, slice(None)), (3.5, slice(None)), (2.0, slice(0, 40))]
)
def test_thick_and_partial_ones_keep_their_slices(
    mm: float, kept: slice, body: NDArray[np.uint16], write_dicom: Write, tmp_path: Path
) -> None:
    files = stored(write_dicom, body, "sagittal", mm)[kept]
    image = only(place(tmp_path / "study", files))
    assert image.facts is not None
    assert image.facts.plane == ("axial" if mm == 2.9 else "sagittal")


@pytest.mark.parametrize("gone", [20, 0])
def test_a_gap_keeps_the_slices(
    gone: int, body: NDArray[np.uint16], write_dicom: Write, tmp_path: Path
) -> None:
    files = stored(write_dicom, body, "sagittal")
    del files[gone]
    image = only(place(tmp_path / "study", files))
    assert image.facts is not None
    assert image.facts.plane == ("sagittal" if gone else "axial")


def test_frames_of_one_file(body: NDArray[np.uint16], write_dicom: Write, tmp_path: Path) -> None:
    path = tmp_path / "frames.dcm"
    path.write_bytes(
        write_dicom(
            np.ascontiguousarray(np.moveaxis(body, 2, 0)[:, ::-1]),
            ImageOrientationPatient=DIRECTIONS["sagittal"],
            ImagePositionPatient=[0, 0, 130],
            PixelSpacing=[2, 2],
        )
    )
    assert read(path).depth == body.shape[2]  # its frames state no place of their own
