"""However a DICOM file stores an image, the same gray comes out."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from scipy.ndimage import gaussian_filter

from tumorlens.errors import (
    CorruptInputError,
    UnsupportedFormatError,
)
from tumorlens.imaging import reader
from tumorlens.imaging.formats import registry
from tumorlens.imaging.raster import encode
from tumorlens.imaging.samples.gray import Color, luma

Gray = NDArray[np.uint8]
Write = Callable[..., bytes]


def gray(data: bytes) -> NDArray[np.float32]:
    return reader.read_bytes(data, "here").pixels


def shipped(name: str) -> pydicom.Dataset:
    """A file from within the pydicom package: nothing is downloaded."""
    path = get_testdata_file(name, download=False)
    assert path is not None
    return pydicom.dcmread(path)


def as_mr(dataset: pydicom.Dataset) -> bytes:
    """The file as if it were MR."""
    dataset.Modality = "MR"
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


@pytest.mark.parametrize("syntax", [
    ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
])  # fmt: skip
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16])
def test_uncompressed(head: Gray, write_dicom: Write, syntax: UID, kind: Any) -> None:
    stored = (head.astype(np.int32) - (100 if kind is np.int16 else 0)).astype(kind)
    image = reader.read_bytes(write_dicom(stored, syntax=syntax))
    np.testing.assert_array_equal(image.pixels, stored)
    assert (image.mode, image.bit_depth) == ("MONOCHROME2", stored.dtype.itemsize * 8)
    assert image.pixel_spacing_mm == (1, 1)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_bits_beside_the_stored_ones_are_left_out(
    head: Gray, write_dicom: Write, bits: int, signed: bool
) -> None:
    """Older files keep overlays there (PS3.5 8.1.2)."""
    values = head.astype(np.int32) // 2 - (60 if signed else 0)
    mask = (1 << bits) - 1
    noise = np.random.default_rng(0).integers(0, 1 << 16, head.shape)
    kind = np.int16 if signed else np.uint16
    high = ((values & mask) | (noise & ~mask)).astype(np.uint16).view(kind)
    np.testing.assert_array_equal(gray(write_dicom(high, BitsStored=bits)), values)
    shift = 16 - bits
    low = (((values & mask) << shift) | (noise & ((1 << shift) - 1))).astype(np.uint16).view(kind)
    np.testing.assert_array_equal(gray(write_dicom(low, BitsStored=bits, HighBit=15)), values)


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_values_of_more_bits_than_the_file_states_do_not_wrap(
    head: Gray, write_dicom: Write, kind: Any
) -> None:
    """Where edges are as soft as in a real image."""
    soft = gaussian_filter(head.astype(np.float64), 4)
    stored = (soft * 30).astype(kind)
    image = reader.read_bytes(write_dicom(stored, BitsStored=11, HighBit=10))
    np.testing.assert_array_equal(image.pixels, stored)
    assert image.facts is not None
    assert any("BitsStored" in note for note in image.facts.notes)


@pytest.mark.parametrize(("syntax", "name"), [
    (JPEGBaseline8Bit, "SC_rgb_jpeg_dcmtk.dcm"), (JPEG2000Lossless, "MR_small_jp2klossless.dcm"),
    (JPEGLSLossless, "MR_small_jpeg_ls_lossless.dcm"),
])  # fmt: skip
def test_compressed_pixels_that_are_said_to_be_plain(syntax: UID, name: str) -> None:
    """By a program that wrote another transfer syntax and left the pixels as they were."""
    right = as_mr(shipped(name))
    wrong = right.replace(syntax.encode(), ExplicitVRLittleEndian.ljust(len(syntax), "\0").encode())
    assert wrong != right
    np.testing.assert_array_equal(gray(wrong), gray(right))


def test_plain_pixels_of_a_syntax_of_the_maker(head: Gray, write_dicom: Write) -> None:
    """GE's own: implicit, but the pixels are big-endian."""
    stored = gaussian_filter(head.astype(np.float64) * 30, 2).astype(np.uint16)
    plain = write_dicom(
        stored, syntax=ImplicitVRLittleEndian, PixelData=stored.astype(">u2").tobytes()
    )
    private = plain.replace(f"{ImplicitVRLittleEndian}\0".encode(), b"1.2.840.113619.5.2")
    assert private != plain
    np.testing.assert_array_equal(gray(private), stored)


@pytest.mark.parametrize("name", [
    "SC_rgb_jpeg_dcmtk.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_RLE.dcm",
])  # fmt: skip
@pytest.mark.parametrize("stated", [JPEG2000Lossless, JPEGBaseline8Bit, RLELossless])
def test_pixels_that_are_compressed_in_another_way_than_stated(name: str, stated: UID) -> None:
    right, wrong = shipped(name), shipped(name)
    wrong.file_meta.TransferSyntaxUID = stated
    np.testing.assert_array_equal(gray(as_mr(wrong)), gray(as_mr(right)))


def test_plain_pixels_that_are_said_to_be_compressed(head: Gray, write_dicom: Write) -> None:
    plain = write_dicom(head)
    wrong = plain.replace(f"{ExplicitVRLittleEndian}\0".encode(), f"{RLELossless}\0".encode())
    assert wrong != plain
    np.testing.assert_array_equal(gray(wrong), head)


@pytest.mark.parametrize("keyword", ["Rows", "Columns"])
def test_a_side_written_as_text(head: Gray, write_dicom: Write, keyword: str) -> None:
    dataset = pydicom.dcmread(io.BytesIO(write_dicom(head)))
    dataset[keyword] = pydicom.DataElement(keyword, "DS", str(dataset[keyword].value))
    out = io.BytesIO()
    dataset.save_as(out)
    np.testing.assert_array_equal(gray(out.getvalue()), head)


@pytest.mark.parametrize("brightest", [0, 15, 4095])
def test_three_large_overlays_are_no_digits_of_the_values(
    head: Gray, write_dicom: Write, brightest: int
) -> None:
    """In a slice of air too, where all bits would set the range of the whole volume."""
    noise = np.random.default_rng(0).integers(0, 16, head.shape)
    values = np.minimum(np.where(head > 0, head.astype(np.int64) * 16, 0) + noise, brightest)
    stored = values.copy()
    stored[::8] |= 1 << 12
    stored[10:30, 10:60] |= 1 << 13
    stored[100:140, 100:140] |= 1 << 14
    data = write_dicom(stored.astype(np.uint16), BitsStored=12, HighBit=11)
    image = reader.read_bytes(data)
    np.testing.assert_array_equal(image.pixels, values)
    assert image.notes == ()


@pytest.mark.parametrize("bits", [7, 8, 9, 10, 11])
def test_values_of_many_more_bits_are_no_overlay(head: Gray, write_dicom: Write, bits: int) -> None:
    """Edges as sharp as in a real image, and noise: what is left of the values is noise too."""
    noise = np.random.default_rng(0).normal(0, 15, head.shape)
    soft = gaussian_filter(head.astype(np.float64), 1) * 14
    stored = np.maximum(soft + noise, 0).astype(np.uint16)
    image = reader.read_bytes(write_dicom(stored, BitsStored=bits, HighBit=bits - 1))
    np.testing.assert_array_equal(image.pixels, stored)
    overlays = (
        stored | (head > 200).astype(np.uint16) << 12 | (head % 7 < 2).astype(np.uint16) << 13
    )
    plain = reader.read_bytes(write_dicom(overlays.astype(np.uint16), BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(plain.pixels, stored)


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_a_sign_that_is_stated_wrongly(
    head: Gray, write_dicom: Write, bits: int, signed: bool
) -> None:
    """Noise about zero, or values beyond the half of what the bits can hold."""
    noise = np.random.default_rng(0).normal(0, 5, head.shape)
    scale = 8 if signed else 2**bits / 300
    soft = gaussian_filter(head.astype(np.float64) - head.min(), 2)
    values = (soft * scale + noise * signed).astype(np.int32)
    kind, wrong = (np.int16, np.uint16) if signed else (np.uint16, np.int16)
    tags = {"BitsStored": bits, "HighBit": bits - 1}
    image = reader.read_bytes(write_dicom(values.astype(kind).view(wrong), **tags))
    np.testing.assert_array_equal(image.pixels, values)
    assert image.facts is not None
    assert any("sign" in note or "BitsStored" in note for note in image.facts.notes)
    right = reader.read_bytes(write_dicom(values.astype(kind), **tags))
    np.testing.assert_array_equal(right.pixels, values)
    assert right.facts is not None
    assert not right.facts.notes


def test_a_sign_that_the_codestream_contradicts(head: Gray, write_dicom: Write) -> None:
    pytest.importorskip("openjpeg", reason="needs the dicom extra")
    stored = gaussian_filter(head.astype(np.float64), 1).astype(np.int16) * 8 - 1000
    dataset = pydicom.dcmread(io.BytesIO(write_dicom(stored)))
    dataset.compress(JPEG2000Lossless)
    dataset.PixelRepresentation = 0
    image = reader.read_bytes(as_mr(dataset))
    np.testing.assert_array_equal(image.pixels, stored)
    assert any("sign" in note for note in image.notes)


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_saturated_letters_have_the_right_sign(head: Gray, write_dicom: Write, kind: Any) -> None:
    bounds = np.iinfo(kind)
    stored = (head.astype(np.int32) * 9).astype(kind)
    stored[stored == 0] = bounds.min
    stored[5:15, 20:60:3] = bounds.max  # too few to be taken for a background
    np.testing.assert_array_equal(gray(write_dicom(stored)), stored)


@pytest.mark.parametrize("rubbish", [b"\xff", b"\r\n", b"\0", b"text"])
@pytest.mark.parametrize("count", [1, 2, 4, 7, 8, 9, 12, 40])
def test_rubbish_beside_the_data_set(rubbish: bytes, count: int) -> None:
    some = (rubbish * count)[:count]
    for name in ("MR_small.dcm", "MR_small_implicit.dcm", "MR_small_RLE.dcm"):
        data = as_mr(shipped(name))
        before = some if rubbish != b"text" else b""
        np.testing.assert_array_equal(gray(before + data + some), gray(data))


def test_what_holds_a_dicom_file_is_none() -> None:
    data = as_mr(shipped("MR_small.dcm"))
    assert registry.sniff(b"\r\n" + data) == "dicom"
    assert registry.sniff(b"PK\x03\x04" + bytes(40) + data) == "zip"
    assert registry.sniff(b"a header" + data) is None


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16])
def test_lossless_compression(head: Gray, write_dicom: Write, syntax: UID, kind: Any) -> None:
    stored = (head.astype(np.int32) * (1 if kind is np.uint8 else 9)).astype(kind)
    stored = stored - np.array(500, kind) if kind is np.int16 else stored
    dataset = pydicom.dcmread(io.BytesIO(write_dicom(stored)))
    dataset.compress(syntax)
    np.testing.assert_array_equal(gray(as_mr(dataset)), stored)


@pytest.mark.parametrize("offsets", [(0, 0), (0, 7), (8, 4000)])
def test_a_table_of_offsets_that_is_wrong(
    head: Gray, write_dicom: Write, offsets: tuple[int, int]
) -> None:
    frames = np.stack([head, head[::-1]])
    dataset = pydicom.dcmread(io.BytesIO(write_dicom(frames)))
    dataset.compress(RLELossless)
    right = bytes(dataset.PixelData)
    wrong = right[:8] + np.array(offsets, "<u4").tobytes() + right[16:]
    assert wrong != right
    dataset.PixelData = wrong
    np.testing.assert_array_equal(gray(as_mr(dataset)), frames)


def test_a_damaged_jpeg_ls_frame_without_its_end_is_refused(write_dicom: Write) -> None:
    """Other decoders go on for seconds here, with the interpreter stopped."""
    ring = 100 + 99 * np.sin(np.hypot(*np.mgrid[-16:16, -16:16]) / 2)
    dataset = pydicom.dcmread(io.BytesIO(write_dicom(ring.astype(np.uint16) * np.uint16(16))))
    dataset.compress(JPEGLSLossless)
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[:528] + b"\x4d" + frame[528:-2]])
    with pytest.raises(CorruptInputError, match="damaged DICOM"):
        gray(as_mr(dataset))


def test_a_whole_jpeg_ls_frame_without_its_end_is_read(head: Gray, write_dicom: Write) -> None:
    dataset = pydicom.dcmread(io.BytesIO(write_dicom(head)))
    dataset.compress(JPEGLSLossless)
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[: frame.rindex(b"\xff\xd9")]])
    np.testing.assert_array_equal(gray(as_mr(dataset)), head)


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
def test_lossless_jpeg(head: Gray, write_dicom: Write, syntax: UID) -> None:
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs the dicom extra")
    for bits in (8, 12, 16):
        stored = head if bits == 8 else head.astype(np.uint16) * 2 ** (bits - 8)
        frame = imagecodecs.jpeg8_encode(stored, lossless=True, bitspersample=bits)
        data = write_dicom(stored, BitsStored=bits, syntax=syntax, PixelData=encapsulate([frame]))
        np.testing.assert_array_equal(gray(data), stored)


def test_jpeg_baseline(head: Gray, write_dicom: Write) -> None:
    """Pillow decodes it, in the base install too."""
    frames = encapsulate([encode.jpeg(head, 95)])
    found = gray(write_dicom(head, syntax=JPEGBaseline8Bit, PixelData=frames))
    np.testing.assert_array_equal(found, reader.read_bytes(encode.jpeg(head, 95)).pixels)


@pytest.mark.parametrize("name", [
    "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm", "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_padded.dcm",
])  # fmt: skip
def test_one_shipped_slice_in_every_encoding(name: str) -> None:
    plain = gray(as_mr(shipped("MR_small.dcm")))
    assert plain.std() > 0.1
    np.testing.assert_array_equal(gray(as_mr(shipped(name))), plain)


@pytest.mark.parametrize("name", [
    "SC_rgb_rle.dcm", "SC_rgb_rle_16bit.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_ybr_full_422_uncompressed.dcm",
    "SC_rgb_gdcm_KY.dcm", "SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm",
])  # fmt: skip
def test_color_of_secondary_captures_becomes_luma(name: str) -> None:
    """Ten bars of known colours, stored in ten ways, some of them lossy."""
    found = gray(as_mr(shipped(name)))
    scale = 257 if "16bit" in name else 1
    colors = np.array([
        [255, 0, 0], [255, 128, 128], [0, 255, 0], [128, 255, 128], [0, 0, 255],
        [128, 128, 255], [0, 0, 0], [64, 64, 64], [192, 192, 192], [255, 255, 255],
    ])  # fmt: skip
    expected = colors @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(found[5::10, 50] / scale, expected, atol=3)


def test_palette(head: Gray, write_dicom: Write) -> None:
    ramp = np.arange(256, dtype=np.uint16)[::-1] * 257
    palette: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color in ("Red", "Green", "Blue"):
        palette[f"{color}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        palette[f"{color}PaletteColorLookupTableData"] = ramp.astype("<u2").tobytes()
    found = gray(write_dicom(head, **palette))
    np.testing.assert_array_equal(found, (255 - head.astype(np.int32)) * 257)
    palette["SegmentedRedPaletteColorLookupTableData"] = b"\0\0"
    with pytest.raises(UnsupportedFormatError, match="segmented colour palette"):
        gray(write_dicom(head, **palette))


def test_what_is_not_read_says_why(head: Gray, write_dicom: Write) -> None:
    cases: dict[str, dict[str, Any]] = {
        "no pixels": {"PixelData": None},
        "64 bits per sample": {"BitsAllocated": 64, "BitsStored": 64},
        "1 x ARGB": {"PhotometricInterpretation": "ARGB"},
        "3 x MONOCHROME1": {"SamplesPerPixel": 3, "PhotometricInterpretation": "MONOCHROME1"},
    }
    for message, tags in cases.items():
        with pytest.raises(UnsupportedFormatError, match=message):
            gray(write_dicom(head, **tags))
    empty = write_dicom(head, PixelData=None) + b"\xe0\x7f\x10\x00OW" + bytes(6)
    with pytest.raises(UnsupportedFormatError, match="no pixels"):
        gray(empty)
    video = encapsulate([b"\0\0\1\xb3"])
    with pytest.raises(UnsupportedFormatError, match="encoded as MPEG2"):
        gray(write_dicom(head, syntax=MPEG2MPML, PixelData=video))


def test_12_bit_lossy_jpeg(head: Gray, write_dicom: Write) -> None:
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs the dicom extra")
    stored = head.astype(np.uint16) * 16
    frame = imagecodecs.jpeg8_encode(stored, level=98, bitspersample=12)
    data = write_dicom(
        stored, BitsStored=12, syntax=JPEGExtended12Bit, PixelData=encapsulate([frame])
    )
    assert np.abs(gray(data) - stored).mean() < 16


def test_floating_point_pixels_are_refused(head: Gray, write_dicom: Write) -> None:
    floats = (head / 255).astype(np.float32).tobytes()
    data = write_dicom(head, PixelData=None, FloatPixelData=floats)
    with pytest.raises(UnsupportedFormatError, match="pixels of floating point"):
        gray(data)


def test_without_the_extra(head: Gray, write_dicom: Write, tmp_path: Path) -> None:
    """In a process that cannot import its packages: plain, RLE and baseline JPEG are read still."""
    jpeg = encapsulate([encode.jpeg(head)])
    (tmp_path / "jpeg").write_bytes(write_dicom(head, syntax=JPEGBaseline8Bit, PixelData=jpeg))
    (tmp_path / "lossless").write_bytes(
        write_dicom(head, syntax=JPEGLosslessSV1, PixelData=encapsulate([b"\xff\xd8"]))
    )
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset = pydicom.dcmread(io.BytesIO(write_dicom(head)))
        dataset.compress(syntax)
        (tmp_path / syntax.keyword).write_bytes(as_mr(dataset))
    script = f"""
import pathlib, sys
for name in ("imagecodecs", "jpeg_ls", "pylibjpeg", "openjpeg", "libjpeg", "rle", "gdcm"):
    sys.modules[name] = None
from tumorlens.errors import InputError, install_command
from tumorlens.imaging import reader
for path in sorted(pathlib.Path({str(tmp_path)!r}).iterdir()):
    try:
        reader.read(path)
    except InputError as error:
        assert install_command("dicom", show_folder=False) in str(error), error
        print(path.name, error.kind)
"""
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.split("\n")[:-1] == [
        f"{name} missing_decoder" for name in ("JPEG2000Lossless", "JPEGLSLossless", "lossless")
    ]


def test_truncated_pixels_are_corrupt(head: Gray, write_dicom: Write) -> None:
    data = write_dicom(head)
    for cut in (1, 1000, len(data) // 2):
        with pytest.raises(CorruptInputError, match=r"^here: damaged DICOM"):
            gray(data[:-cut])
    with pytest.raises(CorruptInputError):
        gray(as_mr(shipped("MR_truncated.dcm")))


def test_fewer_frames_than_stated_are_corrupt(head: Gray, write_dicom: Write) -> None:
    frames = encapsulate([encode.jpeg(head)])
    with pytest.raises(CorruptInputError, match="1 of 2 frames"):
        gray(write_dicom(head, syntax=JPEGBaseline8Bit, PixelData=frames, NumberOfFrames=2))


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("bad", [{0}, {1}, {1, 2}, {3}])
def test_a_damaged_frame_does_not_cost_those_behind_it(
    head: Gray, write_dicom: Write, syntax: UID, bad: set[int]
) -> None:
    stack = np.stack([head // k for k in (1, 2, 3, 4)])
    dataset = pydicom.dcmread(io.BytesIO(write_dicom(stack)))
    dataset.compress(syntax)
    frames = list(generate_frames(dataset.PixelData, number_of_frames=4))
    cut = [frame[:100] if k in bad else frame for k, frame in enumerate(frames)]
    dataset.PixelData = encapsulate(cut)
    image = reader.read_bytes(as_mr(dataset), "here")
    kept = [plane for k, plane in enumerate(stack) if k not in bad]
    np.testing.assert_array_equal(image.pixels, kept)
    assert image.facts is not None
    assert f"{len(bad)} of 4 slices could not be read and are left out" in image.facts.notes
    dataset.PixelData = encapsulate([frame[:100] for frame in frames])
    with pytest.raises(CorruptInputError, match="damaged DICOM"):
        gray(as_mr(dataset))


def test_a_slice_of_padding_is_black_and_does_not_cost_the_series(
    head: Gray, write_dicom: Write
) -> None:
    stack = np.stack([np.full_like(head, 7), head, np.full_like(head, 7)])
    found = gray(write_dicom(stack, PixelPaddingValue=7))
    assert (found[0].min(), found[0].max(), found[2].max()) == (7, 7, 7)
    np.testing.assert_array_equal(found[1], np.where(head == 7, 3, head))


@pytest.mark.parametrize(
    "tags",
    [
        {"BitsStored": 0, "HighBit": 0},
        {"BitsStored": None, "HighBit": 7},
        {"BitsStored": 12},
        {"PhotometricInterpretation": None},
        {"SamplesPerPixel": None},
        {"PixelRepresentation": None},
        {"HighBit": 30},
    ],
)
def test_a_description_with_one_odd_element_is_read(
    head: Gray, write_dicom: Write, tags: dict[str, Any]
) -> None:
    np.testing.assert_array_equal(gray(write_dicom(head, **tags)), head)


@pytest.mark.parametrize("stated", [None, 0, 1, 7])
@pytest.mark.parametrize("frames", [1, 2])
def test_color_that_does_not_say_how_its_samples_lie(
    head: Gray, write_dicom: Write, stated: int | None, frames: int
) -> None:
    """Interleaved, unless stated otherwise."""
    color = np.stack([head, head // 2, head // 4], axis=-1)
    stored = np.moveaxis(color, -1, 0) if stated == 1 else color
    data = write_dicom(
        color, PlanarConfiguration=stated, NumberOfFrames=frames,
        PixelData=frames * stored.tobytes(),
    )  # fmt: skip
    expected = luma(color)
    for plane in gray(data).reshape(frames, *head.shape):
        np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("stated", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT"])
def test_gray_in_colours_that_are_stated_wrongly(
    head: Gray, write_dicom: Write, stated: int, photometric: str
) -> None:
    """As programs leave it that decompress, whichever way the samples lie."""
    color = np.stack([head] * 3, axis=-1)
    color[:5, :20] = (255, 220, 0)  # letters
    for stored in (color, np.moveaxis(color, -1, 0)):
        data = write_dicom(
            color, PlanarConfiguration=stated, PhotometricInterpretation=photometric,
            PixelData=stored.tobytes(),
        )  # fmt: skip
        image = reader.read_bytes(data)
        np.testing.assert_array_equal(image.pixels, luma(color))
        assert not image.remarks


@pytest.mark.parametrize("photometric", [None, "MONOCHROME2"])
def test_three_samples_a_pixel_are_colours(
    head: Gray, write_dicom: Write, photometric: str | None
) -> None:
    color = np.stack([head] * 3, axis=-1)
    data = write_dicom(color, PhotometricInterpretation=photometric)
    np.testing.assert_array_equal(gray(data), luma(color))


def test_32_bits_a_sample(head: Gray, write_dicom: Write) -> None:
    for kind in (np.uint32, np.int32):
        np.testing.assert_array_equal(gray(write_dicom(head.astype(kind) * 70000)), head * 70000.0)


def _jpeg2000(samples: NDArray[np.generic]) -> bytes:
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs the dicom extra")
    return bytes(imagecodecs.jpeg2k_encode(samples, level=0, reversible=True, codecformat="j2k"))


def _jpeg_ls(samples: NDArray[np.generic]) -> bytes:
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs the dicom extra")
    return bytes(imagecodecs.jpegls_encode(samples))


def _lossless_jpeg(samples: NDArray[np.generic]) -> bytes:
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs the dicom extra")
    return bytes(imagecodecs.ljpeg_encode(samples))


CODERS: dict[UID, Callable[[NDArray[np.generic]], bytes]] = {
    JPEG2000Lossless: _jpeg2000, JPEGLSLossless: _jpeg_ls, JPEGLosslessSV1: _lossless_jpeg,
}  # fmt: skip


@pytest.mark.parametrize("syntax", CODERS, ids=lambda syntax: syntax.keyword)
def test_bits_above_the_stored_ones_in_a_codestream(
    head: Gray, write_dicom: Write, syntax: UID
) -> None:
    """An old overlay in the upper bits is cut off, whatever the encoding."""
    stored = head.astype(np.uint16) * 16
    rows, columns = np.indices(head.shape) // 16
    cells = stored | ((rows + columns) % 2 << 12).astype(np.uint16)
    data = write_dicom(
        cells, BitsStored=12, syntax=syntax, PixelData=encapsulate([CODERS[syntax](cells)])
    )
    np.testing.assert_array_equal(gray(data), stored)


@pytest.mark.parametrize("syntax", CODERS, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("stored", [8, 12, 16])
def test_codestreams_of_8_bits_in_cells_of_16(
    head: Gray, write_dicom: Write, syntax: UID, stored: int
) -> None:
    data = write_dicom(
        head.astype(np.uint16), BitsStored=stored, syntax=syntax,
        PixelData=encapsulate([CODERS[syntax](head)]),
    )  # fmt: skip
    np.testing.assert_array_equal(gray(data), head)


@pytest.mark.parametrize("stored", [8, 12, 16])
def test_baseline_jpeg_in_cells_of_16_bits(head: Gray, write_dicom: Write, stored: int) -> None:
    frame = encode.jpeg(head, 95)
    narrow = gray(write_dicom(head, syntax=JPEGBaseline8Bit, PixelData=encapsulate([frame])))
    wide = gray(
        write_dicom(head.astype(np.uint16), BitsStored=stored, syntax=JPEGBaseline8Bit,
                    PixelData=encapsulate([frame]))
    )  # fmt: skip
    np.testing.assert_array_equal(wide, narrow)
    assert np.abs(wide - head).mean() < 3


@pytest.mark.parametrize(("share", "is_vivid"), [(1.0, True), (0.05, False), (0.0, False)])
@pytest.mark.parametrize("storage", ["RGB", "PALETTE COLOR"])
def test_images_in_colours_are_vivid(
    head: Gray, write_dicom: Write, share: float, is_vivid: bool, storage: str
) -> None:
    """Gray stored as colour, and a few coloured letters on it, are no map."""
    gray_levels = np.arange(256, dtype=np.uint16) << 8
    if storage == "RGB":
        colors = np.repeat(head[..., None], 3, axis=2)
        colors[: int(200 * share), :, 0] = 0
        data = write_dicom(colors)
    else:
        red = np.where(np.arange(256) < 256 - 256 * share, gray_levels, 0).astype("<u2")
        tables = {
            f"{name}PaletteColorLookupTable{part}": value
            for name, table in (("Red", red), ("Green", gray_levels), ("Blue", gray_levels))
            for part, value in (("Descriptor", [256, 0, 16]), ("Data", table.tobytes()))
        }
        data = write_dicom(head, PhotometricInterpretation="PALETTE COLOR", **tables)
    image = reader.read_bytes(data)
    assert (image.color, image.notes) == (Color.VIVID if is_vivid else Color.GRAY, ())


@pytest.mark.parametrize("is_swapped", [True, False])
@pytest.mark.parametrize("factor", [4, 30, 230])
def test_bytes_in_the_other_order_than_stated(
    head: Gray, write_dicom: Write, factor: int, is_swapped: bool
) -> None:
    stored = (head.astype(np.uint16) + 20) * np.uint16(factor)
    data = write_dicom(stored, PixelData=(stored.byteswap() if is_swapped else stored).tobytes())
    image = reader.read_bytes(data)
    np.testing.assert_array_equal(image.pixels, stored)
    assert ["byte order" in note for note in image.notes] == [True] * is_swapped


@pytest.mark.parametrize("shape", [(200, 160), (150, 180), (200, 90), (120, 128)])
@pytest.mark.parametrize("is_color", [False, True])
def test_rows_and_columns_exchanged(
    head: Gray, write_dicom: Write, shape: tuple[int, int], is_color: bool
) -> None:
    """An image that is not square would be read as stripes."""
    top, left = (200 - shape[0]) // 2, (180 - shape[1]) // 2
    stored = head[top : top + shape[0], left : left + shape[1]]
    if is_color:
        stored = np.repeat(stored[..., None], 3, axis=2)
    assert gray(write_dicom(stored)).shape == shape
    with pytest.raises(CorruptInputError, match="rows and columns are exchanged"):
        gray(write_dicom(stored.reshape(shape[1], shape[0], *stored.shape[2:])))
