"""Values that are no intensities do not set the window: text, padding, a background in between."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tumorlens.imaging import reader
from tumorlens.imaging.array import from_array
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.intensities import mended
from tumorlens.imaging.raster import encode

Gray = NDArray[np.uint8]


def text(shape: tuple[int, int]) -> Gray:
    """Letters in the corner, with soft edges, 0 to 255."""
    page = Image.new("L", (shape[1], shape[0]))
    font = ImageFont.load_default(20)
    for line, words in enumerate(("SERIES 5", "W 1200", "1960 M")):
        ImageDraw.Draw(page).text((3, 3 + 22 * line), words, 255, font)
    return np.asarray(page)


def burned_in(head: Gray, top: float, soft: bool) -> NDArray[np.float32]:
    """12-bit data with text at ``top``."""
    letters = text(head.shape).astype(np.float32) / 255
    letters = letters if soft else (letters > 0.5).astype(np.float32)
    written = head * np.float32(16) * (1 - letters) + np.float32(top) * letters
    return written.astype(np.float32)


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("top", [65535, 32767])
def test_text_at_the_top_of_the_range(head: Gray, top: int, soft: bool) -> None:
    marked = burned_in(head, top, soft).astype(np.uint16)
    image = reader.read_bytes(encode.png(marked))
    plain = text(head.shape) == 0
    np.testing.assert_array_equal(image.pixels[plain], 16.0 * head[plain])
    assert image.pixels.max() <= 1.5 * 16 * head.max()
    assert len(image.notes) == 1
    assert "far above all others (burned-in text?)" in image.notes[0]


def test_text_in_dicom_floats_and_arrays(
    head: Gray, write_dicom: Callable[..., bytes], write_tiff: Callable[..., bytes]
) -> None:
    marked = burned_in(head, 65535, soft=False).astype(np.uint16)
    for image in (
        reader.read_bytes(write_dicom(marked)),
        reader.read_bytes(write_tiff(marked.astype(np.float32))),
        from_array(marked),
        reader.read_bytes(nibabel.Nifti1Image(marked[..., None], np.eye(4)).to_bytes()),
    ):
        assert image.pixels.max() == 16 * int(head.max())
        assert "burned-in text" in image.notes[-1]


@pytest.mark.parametrize(
    "kind", [lambda head: head, lambda head: head.astype(np.uint16) * 257,
             lambda head: np.where(head > 200, 2000, head * 4).astype(np.uint16),
             lambda head: np.where(np.indices(head.shape).sum(0) < 120, head * 9, 3).astype("u2")],
)  # fmt: skip
def test_bright_tissue_and_small_heads_are_left_alone(
    head: Gray, kind: Callable[[Gray], NDArray[np.generic]]
) -> None:
    """A bright rim three times as bright as the rest, or a head in much air, is no text."""
    samples = kind(head)
    image = from_array(samples)
    np.testing.assert_array_equal(image.pixels, samples.astype(np.float32))
    assert image.notes == ()


@pytest.mark.parametrize("padding", [-32768, -5000, 0])
def test_padding_far_below(head: Gray, padding: int) -> None:
    """A border that no element of the file calls padding."""
    samples = head.astype(np.int16) + 3000 if padding == 0 else head.astype(np.int16)
    samples[:, :40] = padding
    image = from_array(samples)
    assert image.pixels.min() == (3003 if padding == 0 else 3)
    np.testing.assert_array_equal(image.pixels[:, 40:], samples[:, 40:])
    assert "far below all others" in image.notes[0]


@pytest.mark.parametrize(("padding", "least"), [(-900, 0), (-120, -20), (-200, 0)])
def test_a_negative_background_is_raised(head: Gray, padding: int, least: int) -> None:
    """It shifted the window, though it lies no farther from the others than these lie apart."""
    samples = head.astype(np.int16) * 8 + least
    samples[:, :40] = padding
    image = from_array(samples)
    expected = samples.astype(np.float32)
    expected[:, :40] = min(0, int(samples[:, 40:].min()))
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.notes == (
        f"one value ({padding}) lies below all others and is treated as background",
    )


@pytest.mark.parametrize("least", [-3, -500])
def test_negative_values_of_the_image_stay(head: Gray, least: int) -> None:
    samples = head.astype(np.int16) * 8 + least
    samples[:, :40] = samples.min()
    assert from_array(samples).notes == ()


def test_a_background_far_above_all_others_is_dark(head: Gray) -> None:
    samples = head.astype(np.uint16) * 8
    samples[:, :60] = 65535
    image = from_array(samples)
    expected = samples.astype(np.float32)
    expected[:, :60] = samples[:, 60:].min()
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.notes == (
        "one value (65535) lies far above all others and is treated as background",
    )


@pytest.mark.parametrize("values", [(0, 1), (-1, 0), (0, 65535), (-1000, 0)])
@pytest.mark.parametrize("part", [60, 140])
def test_a_mask_is_no_background(values: tuple[int, int], part: int) -> None:
    samples = np.full((180, 200), values[0], dtype=np.int32)
    samples[:, :part] = values[1]
    image = MedicalImage(samples.astype(np.float32), "a", 16, "I")
    assert mended(image) is image


def stripped(head: Gray) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Scores of what is inside, -2 to 4, and where that is."""
    inside = head > 3
    scores = (head - np.float32(120)) / np.float32(40)
    return scores, inside


@pytest.mark.parametrize("outside", [0.0, 1.0, -0.5])
def test_a_background_between_the_others_is_dark(head: Gray, outside: float) -> None:
    scores, inside = stripped(head)
    samples = np.where(inside, scores, outside).astype(np.float32)
    image = from_array(samples)
    np.testing.assert_array_equal(image.pixels, np.where(inside, scores, scores[inside].min()))
    assert "fills the border but lies between" in image.notes[0]


def test_a_gray_background_of_8_bits_is_dark(head: Gray) -> None:
    """Pixels of the head that have its value by chance stay as they are."""
    samples = np.where(head > 3, head, 96).astype(np.uint8)
    assert (head == 96).sum() > 50
    image = reader.read_bytes(encode.png(samples))
    np.testing.assert_array_equal(image.pixels, np.where(head > 3, head, head[head > 3].min()))


def test_a_volume_of_scores(head: Gray, tmp_path: Path) -> None:
    scores, inside = stripped(head)
    volume = np.stack([np.where(inside, scores, 0)] * 6, axis=-1).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "scores.nii.gz")
    image = reader.read(tmp_path / "scores.nii.gz")
    assert image.pixels[:, 0, 0].max() == pytest.approx(scores[inside].min())
    assert len(image.notes) == 1


@pytest.mark.parametrize("outside", [-5.0, 6.0])
def test_a_background_at_either_end_stays(head: Gray, outside: float) -> None:
    scores, inside = stripped(head)
    samples = np.where(inside, scores, outside).astype(np.float32)
    np.testing.assert_array_equal(from_array(samples).pixels, samples)
