"""Slices are turned upright, and each pixel stays at its place in the patient."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.imaging import reader
from tumorlens.imaging.facts import Vector, sides_of
from tumorlens.imaging.geometry.affine import LPS_TO_RAS, affine_of
from tumorlens.imaging.geometry.turn import Turn, turn_of
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.study import read_study

Gray = NDArray[np.uint8]
Write = Callable[..., bytes]
CORNER = np.array([-90.0, -100.0, 5.0])


@pytest.mark.parametrize(
    ("row", "column", "turn"),
    [
        ((1, 0, 0), (0, 1, 0), None),
        ((-1, 0, 0), (0, 1, 0), None),
        ((1, 0, 0), (0, -1, 0), (False, True, False)),
        ((-1, 0, 0), (0, -1, 0), (False, True, True)),
        ((0, 1, 0), (1, 0, 0), (True, False, False)),
        ((0, -1, 0), (1, 0, 0), (True, True, False)),
        ((1, 0, 0), (0, 0, -1), None),
        ((1, 0, 0), (0, 0, 1), (False, True, False)),
        ((0, 0, -1), (1, 0, 0), (True, False, False)),
        ((0, 1, 0), (0, 0, -1), None),
        ((0, 0, 1), (0, 1, 0), (True, True, False)),
        ((1, 0, 0), (0, 0.8, -0.6), None),
        ((0.8, -0.6, 0), (-0.6, -0.8, 0), (False, True, False)),
        ((0.7, 0.7, 0), (0, 0, 1), None),
    ],
)
def test_which_slices_are_turned(
    row: Vector, column: Vector, turn: tuple[bool, bool, bool] | None
) -> None:
    """Axial slices have the face on top, the others the crown; oblique ones have no plane."""
    assert turn_of(row, column) == (None if turn is None else Turn(*turn))


@pytest.mark.parametrize(("axes", "how"), [
    ([1, 0, 0, 0, 1, 0], None), ([-1, 0, 0, 0, 1, 0], None), ([1, 0, 0, 0, 0, -1], None),
    ([-1, 0, 0, 0, -1, 0], "upside down"), ([1, 0, 0, 0, -0.96, 0.28], "upside down"),
    ([0, 1, 0, 0, 0, 1], "upside down"), ([0, 1, 0, 1, 0, 0], "rotated by 90 degrees"),
    ([0, -1, 0, 1, 0, 0], "rotated by 90 degrees"), ([0, 0, -1, 1, 0, 0], "rotated by 90 degrees"),
])  # fmt: skip
@pytest.mark.parametrize("spacing", [[1.0, 1.0], [1.0, 1.05]])
def test_pixels_stay_where_they_are(
    head: Gray, write_dicom: Write, axes: list[float], how: str | None, spacing: list[float]
) -> None:
    stored = head[:, 30:]
    image = reader.read_bytes(
        write_dicom(
            stored, ImageOrientationPatient=axes, ImagePositionPatient=CORNER.tolist(),
            PixelSpacing=spacing,
        )
    )  # fmt: skip
    assert image.notes == ((f"the slices are stored {how}; they are turned upright",) * bool(how))
    sides = sides_of(image.facts)
    assert sides is not None
    assert sides.top[0] in ("A", "H")
    row, column = np.array(axes).reshape(2, 3)
    for y, x in [(0, 0), (60, 20), (60, 50), (len(stored) - 1, 7)]:
        point = CORNER + y * spacing[0] * column + x * spacing[1] * row
        assert _at(image, point) == stored[y, x]


def test_slices_in_a_mirror_are_those_of_an_upright_series(
    head: Gray, write_dicom: Write, tmp_path: Path
) -> None:
    """The order of the slices is that of their new normal."""
    for name, step in (("upright", 1), ("mirror", -1)):
        (tmp_path / name).mkdir()
        for index in range(4):
            corner = [-90, -100 + (len(head) - 1) * (step < 0), [0, 5, 10, 20][index]]
            data = write_dicom(
                (head[::step] // 2).astype(np.uint16) + 10 * index,
                SOPInstanceUID=f"1.9.{index}",
                ImagePositionPatient=corner,
                ImageOrientationPatient=[1, 0, 0, 0, step, 0],
            )
            (tmp_path / name / f"{index}.dcm").write_bytes(data)
    (upright,), (mirror,) = (read_study(tmp_path / name).images for name in ("upright", "mirror"))
    np.testing.assert_array_equal(mirror.pixels, upright.pixels)
    assert mirror.facts is not None
    assert upright.facts is not None
    assert [
        (one.sop_instance_uid, one.position_mm, one.along_mm) for one in mirror.facts.slices
    ] == [(one.sop_instance_uid, one.position_mm, one.along_mm) for one in upright.facts.slices]
    assert mirror.facts.column_direction == upright.facts.column_direction
    assert {*mirror.notes} - {*upright.notes} == {
        "the slices are stored upside down; they are turned upright"
    }


def test_a_slice_without_a_position_is_turned_as_the_others(
    head: Gray, write_dicom: Write, tmp_path: Path
) -> None:
    for index in range(5):
        unplaced = {"ImageOrientationPatient": None, "ImagePositionPatient": None}
        placed = {
            "ImageOrientationPatient": [-1, 0, 0, 0, -1, 0],
            "ImagePositionPatient": [90, 100, 5 * index],
        }
        data = write_dicom(
            head, SOPInstanceUID=f"1.9.{index}", InstanceNumber=index + 1,
            **(unplaced if index == 2 else placed),
        )  # fmt: skip
        (tmp_path / f"{index}.dcm").write_bytes(data)
    (image,) = read_study(tmp_path).images
    np.testing.assert_array_equal(image.pixels, np.stack([head[::-1, ::-1]] * 5))


@pytest.mark.parametrize(("spacing", "rows", "columns"), [([2, 1], 2, 1), ([0.9, 1.8], 1, 2)])
def test_oblong_pixels_become_square(
    head: Gray, write_dicom: Write, spacing: list[float], rows: int, columns: int
) -> None:
    stored = head[::rows, ::columns]
    image = reader.read_bytes(
        write_dicom(stored, PixelSpacing=spacing, ImagePositionPatient=CORNER.tolist())
    )
    size = f"pixels of {spacing[0]:g} x {spacing[1]:g} mm"
    assert image.notes == (f"{size} are not square; the slices are resampled to square ones",)
    assert image.pixels.shape == (len(stored) * rows, stored.shape[1] * columns)
    assert image.pixel_spacing_mm == (min(spacing), min(spacing))
    affine = affine_of(image)
    assert affine is not None
    # The outer edges stay where they were.
    edges = LPS_TO_RAS @ affine @ [-0.5, -0.5, 0, 1]
    np.testing.assert_allclose(edges[:3], CORNER - [spacing[1] / 2, spacing[0] / 2, 0])


@pytest.mark.parametrize(
    ("ratio", "rows", "end"),
    [
        ([2, 1], 2, "; the slices are resampled to square ones"), ([100, 101], 1, None),
        ([0, 0], 1, None), ([9, 1], 1, ": the head looks stretched"),
    ],
)  # fmt: skip
def test_pixels_of_an_aspect_alone(
    head: Gray, write_dicom: Write, ratio: list[int], rows: int, end: str | None
) -> None:
    image = reader.read_bytes(write_dicom(head, PixelSpacing=None, PixelAspectRatio=ratio))
    assert image.pixels.shape == (rows * len(head), head.shape[1])
    assert image.pixel_spacing_mm is None
    note = f"pixels of aspect {ratio[0]}:{ratio[1]} are not square{end}"
    assert image.notes == ((note,) if end else ())
    assert image.facts is not None
    assert image.facts.slices[0].position_mm == (-90, -100, 0)


def test_pixels_that_are_nearly_square_are_left_alone(head: Gray, write_dicom: Write) -> None:
    image = reader.read_bytes(write_dicom(head, PixelSpacing=[0.9, 0.92]))
    np.testing.assert_array_equal(image.pixels, head)
    assert image.notes == ()


def test_turned_slices_of_oblong_pixels(head: Gray, write_dicom: Write) -> None:
    stored = np.ascontiguousarray(head.T[:, ::2])
    image = reader.read_bytes(
        write_dicom(stored, ImageOrientationPatient=[0, 1, 0, 1, 0, 0], PixelSpacing=[1, 2])
    )
    upright = reader.read_bytes(write_dicom(head[::2], PixelSpacing=[2, 1]))
    np.testing.assert_array_equal(image.pixels, upright.pixels)
    assert image.facts is not None
    assert upright.facts is not None
    assert image.facts.slices == upright.facts.slices


def test_an_image_that_would_become_too_large_is_noted(head: Gray, write_dicom: Write) -> None:
    tall = np.tile(head, (8000 // len(head) + 1, 1))[:8000, :140]
    image = reader.read_bytes(write_dicom(tall, PixelSpacing=[0.225, 0.15]))
    assert image.pixels.shape == tall.shape
    note = "pixels of 0.225 x 0.15 mm are not square: the head looks stretched"
    assert image.notes == (note,)


def _at(image: MedicalImage, point: NDArray[np.float64]) -> float:
    """The pixel at a point of the patient, LPS."""
    affine = affine_of(image)
    assert affine is not None
    x, y, z = np.linalg.solve(LPS_TO_RAS @ affine, [*point, 1])[:3]
    assert [x, y, z] == pytest.approx([round(x), round(y), 0], abs=1e-6)
    return float(image.pixels[round(y), round(x)])
