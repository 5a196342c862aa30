"""Rescale, look-up tables, windows, padding and polarity, against the standard's formulas."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from tumorlens.errors import CorruptInputError, UnsupportedFormatError
from tumorlens.imaging import reader
from tumorlens.imaging.dicom.grayscale import Window

Gray = NDArray[np.uint8]
Write = Callable[..., bytes]


def gray(data: bytes) -> NDArray[np.float32]:
    return reader.read_bytes(data).pixels


def table(values: NDArray[np.uint16], first: int, bits: int = 16) -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(values) % 65536, first, bits])
    item.add_new("LUTData", "OW", values.astype("<u2").tobytes())
    return [item]


def by_pydicom(data: bytes, top: float) -> NDArray[np.float64]:
    """The library's own modality and VOI steps, scaled to 0 to 1."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    measured = apply_modality_lut(dataset.pixel_array, dataset)
    shown: NDArray[np.float64] = np.asarray(apply_voi_lut(measured, dataset), np.float64) / top
    return shown


def test_rescale_and_no_window_keep_the_unit(head: Gray, write_dicom: Write) -> None:
    found = gray(write_dicom(head, RescaleSlope=2.5, RescaleIntercept=-100))
    np.testing.assert_allclose(found, head * 2.5 - 100)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows(head: Gray, write_dicom: Write, function: str) -> None:
    tags: dict[str, Any] = {
        "WindowCenter": [100, 7], "WindowWidth": [150, 3], "VOILUTFunction": function,
        "RescaleSlope": 1.5, "RescaleIntercept": -20,
    }  # fmt: skip
    data = write_dicom(head.astype(np.uint16), BitsStored=12, **tags)
    # pydicom scales to the range of the stored bits after the rescale.
    low, high = -20.0, 4095 * 1.5 - 20
    expected = (by_pydicom(data, 1.0) - low) / (high - low)
    np.testing.assert_allclose(gray(data), expected, atol=1e-6)


def test_narrowest_window_is_a_step(head: Gray) -> None:
    values = head.astype(np.float32)
    np.testing.assert_array_equal(Window(100, 1)(values), values > 99.5)


@pytest.mark.parametrize("tags", [
    {"WindowCenter": 100, "WindowWidth": 0.5}, {"WindowCenter": 100, "WindowWidth": -3},
    {"WindowCenter": 100}, {"WindowCenter": 100, "WindowWidth": 50, "VOILUTFunction": "ODD"},
    {"WindowCenter": "", "WindowWidth": ""},
])  # fmt: skip
def test_windows_that_make_no_sense_are_not_used(
    head: Gray, write_dicom: Write, tags: dict[str, Any]
) -> None:
    np.testing.assert_array_equal(gray(write_dicom(head, **tags)), head)


def test_a_window_beside_all_values_is_not_used(head: Gray, write_dicom: Write) -> None:
    image = reader.read_bytes(write_dicom(head, WindowCenter=9000, WindowWidth=10))
    np.testing.assert_array_equal(image.pixels, head)
    assert image.notes == ("the file's window hides everything and is not used",)


MOST = "the file's window hides most of the head and is not used"


@pytest.mark.parametrize(("center", "width"), [(127, 255), (40, 80), (3500, 200), (1900, 10)])
def test_a_window_that_clips_most_of_the_head_is_not_used(
    head: Gray, write_dicom: Write, center: float, width: float
) -> None:
    """The default of 8-bit software, windows in another unit, or far too narrow."""
    stored = head.astype(np.uint16) * 16
    image = reader.read_bytes(write_dicom(stored, WindowCenter=center, WindowWidth=width))
    np.testing.assert_array_equal(image.pixels, stored)
    assert image.notes == (MOST,)


def test_a_window_in_stored_values_is_not_used(head: Gray, write_dicom: Write) -> None:
    tags = {"RescaleSlope": 16, "WindowCenter": 120, "WindowWidth": 240}
    image = reader.read_bytes(write_dicom(head, **tags))
    np.testing.assert_array_equal(image.pixels, head * 16.0)
    assert image.notes == (MOST,)


@pytest.mark.parametrize(("center", "width"), [(127, 255), (100, 160), (2000, 8000)])
def test_windows_that_show_the_head_are_used(
    head: Gray, write_dicom: Write, center: float, width: float
) -> None:
    image = reader.read_bytes(write_dicom(head, WindowCenter=center, WindowWidth=width))
    assert image.pixels.max() <= 1
    assert image.notes == ()


def test_windows_are_judged_for_the_stack_as_a_whole(head: Gray, write_dicom: Write) -> None:
    """A slice of noise, or one bright slice, alone does not decide."""
    stack = np.stack([head // 40, head, head, head]).astype(np.uint16)
    image = reader.read_bytes(write_dicom(stack, WindowCenter=130, WindowWidth=240))
    assert image.pixels.max() <= 1
    assert not [note for note in image.notes if "window" in note]


@pytest.mark.parametrize("slope", ["0", "0.0"])
def test_a_slope_of_zero_is_taken_as_one(head: Gray, write_dicom: Write, slope: str) -> None:
    image = reader.read_bytes(write_dicom(head, RescaleSlope=slope, RescaleIntercept="0"))
    np.testing.assert_array_equal(image.pixels, head)
    assert image.notes == ("RescaleSlope is 0, which would blank the image; 1 is used",)


def test_a_negative_slope_turns_what_is_stored_upside_down(head: Gray, write_dicom: Write) -> None:
    data = write_dicom(255 - head, RescaleSlope=-1, RescaleIntercept=255)
    image = reader.read_bytes(data)
    np.testing.assert_array_equal(image.pixels, head)
    assert image.notes == ()


def test_a_damaged_table_for_the_eye_does_not_cost_the_image(
    head: Gray, write_dicom: Write
) -> None:
    sequence = table(np.arange(10, dtype=np.uint16), 0)
    sequence[0].LUTDescriptor = [200, 0, 16]
    np.testing.assert_array_equal(gray(write_dicom(head, VOILUTSequence=sequence)), head)


def test_modality_table(head: Gray, write_dicom: Write) -> None:
    values = (np.arange(128) ** 2).astype(np.uint16)
    found = gray(write_dicom(head, ModalityLUTSequence=table(values, 40)))
    np.testing.assert_array_equal(found, values[np.clip(head.astype(int) - 40, 0, 127)])


def test_voi_table_wins_over_the_window(head: Gray, write_dicom: Write) -> None:
    values = np.linspace(0, 4095, 200).astype(np.uint16)
    tags = {"WindowCenter": 3, "WindowWidth": 2, "VOILUTSequence": table(values, 20, 12)}
    data = write_dicom(head, **tags)
    np.testing.assert_allclose(gray(data), by_pydicom(data, 4095), atol=1e-6)


def test_signed_table(head: Gray, write_dicom: Write) -> None:
    stored = head.astype(np.int16) - 128
    values = np.arange(256, dtype=np.uint16)[::-1] * 16
    found = gray(write_dicom(stored, VOILUTSequence=table(values, -128, 12)))
    np.testing.assert_allclose(found, (255 - head.astype(np.float64)) * 16 / 4095, atol=1e-6)


@pytest.mark.parametrize("entries", [255, 256])
def test_tables_of_bytes(head: Gray, write_dicom: Write, entries: int) -> None:
    """C.11.1.1.1: entries of 8 bits need no words."""
    values = (np.arange(entries) // 2).astype(np.uint8)
    sequence = table(values.astype(np.uint16), 0, 8)
    sequence[0].LUTData = values.tobytes() + bytes(entries % 2)
    expected = values[np.minimum(head, entries - 1)]
    np.testing.assert_array_equal(gray(write_dicom(head, ModalityLUTSequence=sequence)), expected)
    shown = gray(write_dicom(head, VOILUTSequence=sequence))
    np.testing.assert_allclose(shown, expected / 255, atol=1e-6)


def test_a_short_table_is_corrupt(head: Gray, write_dicom: Write) -> None:
    sequence = table(np.arange(10, dtype=np.uint16), 0)
    sequence[0].LUTDescriptor = [200, 0, 16]
    with pytest.raises(CorruptInputError, match="look-up table is cut off"):
        gray(write_dicom(head, ModalityLUTSequence=sequence))


@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
def test_an_item_without_a_table_is_none(head: Gray, write_dicom: Write, keyword: str) -> None:
    np.testing.assert_array_equal(gray(write_dicom(head, **{keyword: [Dataset()]})), head)


@pytest.mark.parametrize("tags", [{}, {"WindowCenter": 120, "WindowWidth": 200}])
@pytest.mark.parametrize("kind", [np.uint8, np.int16])
@pytest.mark.parametrize("stated", [
    {"PhotometricInterpretation": "MONOCHROME1"}, {"PresentationLUTShape": "INVERSE"},
    {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
])  # fmt: skip
def test_what_is_stated_as_inverted_is_turned_once(
    head: Gray, write_dicom: Write, tags: dict[str, Any], kind: Any, stated: dict[str, str]
) -> None:
    """The negative shown white-is-small looks as the positive shown white-is-large."""
    stored = head.astype(kind)
    plain = gray(write_dicom(stored, **tags))
    turned = gray(write_dicom(stored, **stated, **tags))
    offset = turned + plain
    np.testing.assert_allclose(offset, offset[0, 0], atol=1e-5)
    assert np.corrcoef(turned.ravel(), plain.ravel())[0, 1] < -0.999
    if tags:
        np.testing.assert_allclose(turned, 1 - plain, atol=1e-6)


def test_padding_does_not_stretch_the_window(head: Gray, write_dicom: Write) -> None:
    stored = head.astype(np.int16)
    stored[:20] = -2000
    found = gray(write_dicom(stored, PixelPaddingValue=-2000))
    assert found.min() == head[20:].min()
    np.testing.assert_array_equal(found[20:], head[20:])
    stored[:10] = -1990
    ranged = gray(write_dicom(stored, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1980))
    np.testing.assert_array_equal(ranged, found)


@pytest.mark.parametrize(("kind", "value"), [
    ("SS", -2000), ("SS", [-2000, -2000]), ("US", 63536), ("DS", "-2000"), ("LO", "-2000"),
])  # fmt: skip
def test_padding_however_it_is_written(
    head: Gray, write_dicom: Write, kind: str, value: int | str | list[int]
) -> None:
    stored = head.astype(np.int16)
    stored[:20] = -2000
    dataset = pydicom.dcmread(io.BytesIO(write_dicom(stored)))
    dataset.add_new("PixelPaddingValue", kind, value)
    out = io.BytesIO()
    dataset.save_as(out)
    assert gray(out.getvalue()).min() == head[20:].min()


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 500, "WindowWidth": 1000}])
@pytest.mark.parametrize("air", [0, -2000])
def test_a_range_of_padding_that_covers_part_of_the_head_is_not_used(
    head: Gray, write_dicom: Write, window: dict[str, int], air: int
) -> None:
    stored = np.where(head > 3, 4 * head.astype(np.int16), air).astype(np.int16)
    data = write_dicom(stored, PixelPaddingValue=air, PixelPaddingRangeLimit=400, **window)
    image = reader.read_bytes(data)
    assert len(np.unique(image.pixels[image.pixels < np.median(image.pixels[head > 3])])) > 20
    assert image.notes[0] == (
        "the range of values that the file states as padding covers part of the head and is not "
        "used"
    )


def test_padding_of_monochrome1_is_dark_too(head: Gray, write_dicom: Write) -> None:
    stored = head.astype(np.uint16)
    stored[:20] = 0
    tags = {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 0}
    found = gray(write_dicom(stored, **tags))
    assert (found[:20] == found.min()).all()


def test_rescale_by_nothing_finite_is_not_used(head: Gray, write_dicom: Write) -> None:
    data = write_dicom(head, RescaleSlope="1234", RescaleIntercept="0.0")
    for odd in (b"nan ", b"inf ", b"one "):
        image = reader.read_bytes(data.replace(b"1234", odd, 1))
        np.testing.assert_array_equal(image.pixels, head)
        assert image.notes == ("RescaleSlope is not a finite number; 1 is used",)


@pytest.mark.parametrize(
    "tags", [{"RescaleSlope": "1e38"}, {"RescaleSlope": "-1e-38"}, {"RescaleIntercept": "1e38"}]
)
def test_levels_that_no_image_has(head: Gray, write_dicom: Write, tags: dict[str, str]) -> None:
    image = reader.read_bytes(write_dicom(head, **tags))
    np.testing.assert_array_equal(image.pixels, head)
    assert len(image.notes) == 1


def test_an_empty_slope_is_none(head: Gray, write_dicom: Write) -> None:
    assert reader.read_bytes(write_dicom(head, RescaleSlope="")).notes == ()


def test_a_window_as_wide_as_a_thousand_heads(head: Gray, write_dicom: Write) -> None:
    image = reader.read_bytes(write_dicom(head, WindowCenter="100", WindowWidth="1000000"))
    np.testing.assert_array_equal(image.pixels, head)
    assert image.notes == ("the file's window hides everything and is not used",)


@pytest.mark.parametrize("presentation", ["COLOR", "MIXED", "MONOCHROME", None])
@pytest.mark.parametrize("first", [0, 4096])
def test_colours_on_a_gray_image_are_refused(
    head: Gray, write_dicom: Write, presentation: str | None, first: int
) -> None:
    """Values from the first one of a supplemental palette on: a map of activation, for example."""
    palette = [256, first, 16]
    stated = {"PixelPresentation": presentation, "RedPaletteColorLookupTableDescriptor": palette}
    plain, colored = head.astype(np.uint16), head.astype(np.uint16)
    colored[90:110, 80:100] = 4196
    np.testing.assert_array_equal(gray(write_dicom(plain, **stated)), plain)
    if presentation in ("COLOR", "MIXED") and first:
        with pytest.raises(UnsupportedFormatError, match="a map in colours on it"):
            gray(write_dicom(colored, **stated))
    else:
        assert gray(write_dicom(colored, **stated)).shape == head.shape
