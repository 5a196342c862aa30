"""From pixel data to gray frames: decode (PS3.5 8 and A.4), then levels (PS3.3 C.11) or luma."""

import io
from collections.abc import Container, Iterator
from itertools import accumulate, islice
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments, generate_frames, parse_basic_offsets
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from tumorlens.errors import (
    CorruptInputError,
    MissingDecoderError,
    UnsupportedFormatError,
    install_command,
)
from tumorlens.imaging.decoding import decoding
from tumorlens.imaging.dicom import codestream, jpeg
from tumorlens.imaging.dicom.grayscale import (
    GrayscaleTransform,
    check_no_colors,
    grayscale_transform_of,
)
from tumorlens.imaging.dicom.stored_values import SIGN_KNOWN, Description, stored_values
from tumorlens.imaging.dicom.tags import frame_count, shape, text, whole
from tumorlens.imaging.limits import check_volume
from tumorlens.imaging.samples.cut_off import CUT_OFF, is_cut_off
from tumorlens.imaging.samples.gray import Color, color_of, finite, luma
from tumorlens.imaging.samples.row_length import check_rows
from tumorlens.imaging.samples.sample_storage import are_words
from tumorlens.text import clean

EXTRA: Final = "dicom"
"""The extra that installs decoders of compressed pixel data."""
_GRAY: Final = ("MONOCHROME1", "MONOCHROME2")
_PALETTE: Final = "PALETTE COLOR"
_ALLOCATED: Final = (8, 16, 32)
_LOOKED_AT: Final = 4096
"""Pixels a frame that are looked at to see what its window hides."""
_COLOR: Final = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_GRAY_PART: Final = 0.9
"""Part of what is not black that has no colour, in an image of gray with some letters on it."""
_STARTS: Final = (b"\xff\xd8", b"\xff\x4f")
"""What a JPEG or JPEG 2000 codestream begins with."""
_MOST_DAMAGED: Final = 16
"""Damaged frames up to which a file is read: decoding starts again after each."""
_ITEM_HEADER: Final = 8
_NO_OFFSETS: Final = b"\xfe\xff\x00\xe0\0\0\0\0"
"""An empty basic offset table."""
_PILLOW: Final = "pillow"
_PLUGINS: Final = {
    RLELossless: "pydicom",
    JPEGBaseline8Bit: _PILLOW,
    JPEGExtended12Bit: jpeg.LABEL,
    JPEGLossless: jpeg.LABEL,
    JPEGLosslessSV1: jpeg.LABEL,
    **dict.fromkeys(JPEGLSTransferSyntaxes, jpeg.LABEL),
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
}
"""The one decoder for each encoding: never whichever happens to be installed."""


class Plane(NamedTuple):
    """One frame as it is read."""

    pixels: NDArray[np.float32]
    """(H, W), larger is brighter."""
    remarks: tuple[str, ...] = ()
    """What is odd about its samples: sentences for people."""
    color: Color = Color.GRAY
    unwindowed: NDArray[np.float32] | None = None
    """Some of it without the window that ``pixels`` went through, and ..."""
    windowed: NDArray[np.float32] | None = None
    """... the same pixels with it; None where there is no window."""
    stored: NDArray[np.float32] | None = None
    """Some of the stored values where a range of them is padding, and ..."""
    padding: NDArray[np.bool_] | None = None
    """... which of them are; None where there is no range."""


class Levels(NamedTuple):
    """Which of the file's own levels are applied, where it has them."""

    windowed: bool
    padded: bool = True


def read_frames(
    dataset: Dataset, source: str, levels: Levels, wanted: Container[int] | None = None
) -> Iterator[Plane | CorruptInputError]:
    """Yield each frame, or each of ``wanted`` (from 0); the error for one of several damaged ones.

    Raises ``CorruptInputError``, ``LimitExceededError``, ``UnsupportedFormatError`` or
    ``MissingDecoderError``, and never anything else.
    """
    with decoding(source, "DICOM"):
        described = describe(dataset, source)
        _check_width(dataset, described, source)
        yield from _frames(dataset, described, source, levels, wanted)


def _check_width(dataset: Dataset, described: Description, source: str) -> None:
    """Raise ``CorruptInputError`` where samples stated to have 8 bits fill cells of 16.

    Read as stated, every other pixel of half of the image would be noise.
    """
    is_gray = described.photometric in _GRAY and described.allocated == 8
    size = 2 * described.rows * described.columns
    data = dataset.PixelData
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated or not is_gray:
        return
    if len(data) < described.frames * size:
        return
    middle = np.frombuffer(data, np.uint8, size, described.frames // 2 * size)
    if are_words(middle, described.columns):
        raise CorruptInputError(
            f"{source}: damaged DICOM (its samples have 16 bits, not 8 as the file states)"
        )


def holds_more(dataset: Dataset, source: str) -> bool:
    """Whether the pixel data are long enough for more frames than the file states."""
    described = describe(dataset, source)
    data = dataset.PixelData
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        stream = io.BytesIO(data)
        parse_basic_offsets(stream)
        starts = [fragment[:2] for fragment in generate_fragments(stream)]
        return len(starts) > described.frames and all(start in _STARTS for start in starts)
    frame_bytes = described.rows * described.columns * described.samples * described.allocated // 8
    return len(data) >= (described.frames + 1) * frame_bytes


def describe(dataset: Dataset, source: str) -> Description:
    """Read the image pixel description; raise where it is not one that can be read."""
    if not dataset.get("PixelData"):
        what = (
            "pixels of floating point; convert it to NIfTI (.nii.gz)"
            if _is_float(dataset)
            else "no pixels, or they are cut off"
        )
        raise UnsupportedFormatError(f"{source}: DICOM with {what}")
    frames, (rows, columns) = frame_count(dataset, source), shape(dataset, source)
    check_volume((frames, rows, columns), source)
    allocated = whole(dataset, "BitsAllocated", 16)
    if allocated not in _ALLOCATED:
        raise UnsupportedFormatError(
            f"{source}: {allocated} bits per sample; only 8, 16 and 32 are supported"
        )
    stored = whole(dataset, "BitsStored", allocated)
    stored = stored if 1 <= stored <= allocated else allocated
    high_bit = whole(dataset, "HighBit", stored - 1)
    if not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1
    samples = whole(dataset, "SamplesPerPixel", 1) or 1
    photometric = (text(dataset, "PhotometricInterpretation") or "").upper()
    if samples == 3 and photometric in ("", _GRAY[1]):
        photometric = _COLOR[0]
    photometric = photometric or _GRAY[1]
    expected = 3 if photometric in _COLOR else 1
    if photometric not in (*_GRAY, _PALETTE, *_COLOR) or samples != expected:
        raise UnsupportedFormatError(
            f"{source}: pixels are {samples} x {clean(photometric)}, which is not supported; "
            "export it as MONOCHROME2 or RGB"
        )
    signed = int(whole(dataset, "PixelRepresentation", 0) == 1)
    _plugin(dataset, stored, source)
    return Description(
        frames, rows, columns, allocated, stored, high_bit, signed, samples, photometric
    )


def _is_float(dataset: Dataset) -> bool:
    return "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset


def _plugin(dataset: Dataset, stored: int, source: str) -> str:
    """Name the decoder of the pixel data; empty for uncompressed ones."""
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise _encoded(syntax, source) from error
    if not syntax.is_encapsulated:
        return ""
    if syntax not in _PLUGINS:
        raise _encoded(syntax, source)
    name = _PLUGINS[syntax]
    if syntax == JPEGExtended12Bit and stored <= 8:
        name = _PILLOW
    if name not in decoder.available_plugins:
        raise MissingDecoderError(
            f"{source}: pixels are compressed as {syntax.name}, which needs an optional part: "
            f"{install_command(EXTRA, show_folder=False)}"
        )
    return name


def _encoded(syntax: UID, source: str) -> UnsupportedFormatError:
    return UnsupportedFormatError(
        f"{source}: pixels are encoded as {clean(syntax.name)}, which is not supported; "
        "export them uncompressed"
    )


def _frames(
    dataset: Dataset,
    described: Description,
    source: str,
    levels: Levels,
    wanted: Container[int] | None,
) -> Iterator[Plane | CorruptInputError]:
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    precision = None
    if syntax.is_encapsulated:
        _drop_wrong_offsets(dataset, described.frames)
        precision = _check_codestreams(dataset, described, syntax, source)
    count = 0
    decoded = _undamaged(dataset, described, precision, source)
    for index, samples in enumerate(islice(decoded, described.frames)):
        count += 1
        if wanted is not None and index not in wanted:
            continue
        if isinstance(samples, CorruptInputError):
            yield samples
        elif described.photometric in _GRAY:
            values, remarks = stored_values(samples, described, syntax, precision)
            check_rows(values, source)
            check_no_colors(dataset, index, values, source)
            remarks = (*remarks, *_cut_off(values, syntax))
            transform = grayscale_transform_of(dataset, index, source)
            yield _gray(transform, values, levels, source)._replace(remarks=remarks)
        else:
            colors = _colors(samples, described.photometric, dataset, source)
            gray = luma(colors)
            check_rows(gray, source)
            yield Plane(finite(gray, source), _cut_off(gray, syntax), color_of(colors))
    if count < described.frames:
        raise CorruptInputError(f"{source}: damaged DICOM ({count} of {described.frames} frames)")


def _cut_off(values: NDArray[Any], syntax: UID) -> tuple[str, ...]:
    """A note where the file ends early; a damaged codestream cannot be decoded."""
    return (CUT_OFF,) if not syntax.is_encapsulated and is_cut_off(values) else ()


def _gray(
    transform: GrayscaleTransform, stored: NDArray[Any], levels: Levels, source: str
) -> Plane:
    windowed, padded = levels
    pixels = finite(transform.apply(stored, windowed=windowed, padded=padded), source)
    step = max(1, int((stored.size / _LOOKED_AT) ** 0.5))
    sample = stored[::step, ::step]
    plane = Plane(pixels)
    if padded and transform.padding is not None and transform.padding[0] < transform.padding[1]:
        plane = plane._replace(
            stored=sample.astype(np.float32), padding=transform.is_padding(sample)
        )
    if not windowed or transform.window is None:
        return plane
    unwindowed = transform.apply(sample, windowed=False, padded=padded)
    return plane._replace(unwindowed=unwindowed, windowed=pixels[::step, ::step].copy())


def _undamaged(
    dataset: Dataset, described: Description, precision: int | None, source: str
) -> Iterator[NDArray[Any] | CorruptInputError]:
    """``_decoded``; an error instead of each of a few damaged frames."""
    frame = damaged = 0
    while True:
        try:
            with decoding(source, "DICOM"):
                for samples in _decoded(dataset, described, precision, source, first=frame):
                    frame += 1
                    yield samples
            return
        except CorruptInputError as error:
            frame, damaged = frame + 1, damaged + 1
            if described.frames == 1 or damaged > _MOST_DAMAGED:
                raise
            yield error
        if frame >= described.frames:
            return


def _decoded(
    dataset: Dataset, described: Description, precision: int | None, source: str, first: int
) -> Iterator[NDArray[Any]]:
    """Stored samples of each frame from ``first`` on, (H, W) or (H, W, 3) RGB."""
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    # A codestream of 8 bits has samples of 8, however wide the cells are said to be.
    narrow = precision is not None and precision <= 8
    allocated = 8 if narrow else described.allocated
    options: dict[str, Any] = {
        "rows": described.rows,
        "columns": described.columns,
        "bits_allocated": allocated,
        "bits_stored": min(described.stored, allocated),
        "pixel_representation": described.signed,
        "samples_per_pixel": described.samples,
        "photometric_interpretation": described.photometric,
        "number_of_frames": described.frames,
        # Required for colour; writers that leave it out mean the usual interleaved samples.
        "planar_configuration": int(whole(dataset, "PlanarConfiguration", 0) == 1),
    }
    if not syntax.is_encapsulated and described.samples == 3 and allocated == 8:
        options |= _gray_layout(dataset.PixelData, described, options["planar_configuration"])
    if syntax not in SIGN_KNOWN:
        options["correct_unused_bits"] = False
    if "NumberOfFrames" in dataset:  # parsed by pydicom even where the option states it
        dataset.NumberOfFrames = described.frames
    decoder: Decoder = get_decoder(syntax)
    plugin = _plugin(dataset, described.stored, source)
    rest = range(first, described.frames) if first else None  # slower, where it is not needed
    for samples, _ in decoder.iter_array(dataset, indices=rest, decoding_plugin=plugin, **options):
        yield samples


def _drop_wrong_offsets(dataset: Dataset, frames: int) -> None:
    """Empty a basic offset table (PS3.5 A.4) that is wrong where each frame is one fragment."""
    stream = io.BytesIO(dataset.PixelData)
    stated = parse_basic_offsets(stream)
    behind = stream.tell()
    sizes = [_ITEM_HEADER + len(fragment) for fragment in generate_fragments(stream)]
    if stated and len(sizes) == frames and stated != [0, *accumulate(sizes)][:-1]:
        dataset.PixelData = _NO_OFFSETS + dataset.PixelData[behind:]


def _gray_layout(data: bytes, described: Description, planar: int) -> dict[str, Any]:
    """The layout in which samples of 8 bits are gray stored as RGB; empty where there is none.

    Programs that decompress leave the photometric interpretation as it was, and more than one
    states the wrong planar configuration.
    """
    size = described.rows * described.columns
    if len(data) < 3 * size:
        return {}
    frame = np.frombuffer(data, np.uint8, 3 * size)
    layouts = {0: frame.reshape(-1, 3), 1: frame.reshape(3, -1).T}
    for stated in (planar, 1 - planar):
        colors = layouts[stated]
        not_black = colors[colors.any(axis=1)]
        if len(not_black) and (not_black == not_black[:, :1]).all(axis=1).mean() > _GRAY_PART:
            return {"photometric_interpretation": "RGB", "planar_configuration": stated}
    return {}


def _check_codestreams(
    dataset: Dataset, described: Description, syntax: UID, source: str
) -> int | None:
    """Compare each frame's own header with the data set, and count the frames.

    Returns the bits of a sample, as the first one states them.
    """
    expected = codestream.Size(described.columns, described.rows, described.samples)
    frames = generate_frames(dataset.PixelData, number_of_frames=described.frames)
    count, precision = 0, None
    for count, frame in enumerate(frames, start=1):
        codestream.check(frame, syntax, expected, described.allocated // 8, source)
        if count == 1 and (claimed := codestream.stated_size(frame, syntax)) is not None:
            precision = claimed.precision
    if count < described.frames:
        raise CorruptInputError(f"{source}: damaged DICOM ({count} of {described.frames} frames)")
    return precision


def _colors(samples: NDArray[Any], photometric: str, dataset: Dataset, source: str) -> NDArray[Any]:
    """(H, W, 3) RGB."""
    if photometric != _PALETTE:
        return samples
    if "SegmentedRedPaletteColorLookupTableData" in dataset:
        raise UnsupportedFormatError(f"{source}: a segmented colour palette")
    return apply_color_lut(samples, dataset)


jpeg.register()
