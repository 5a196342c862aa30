"""From pixel data to gray frames: decode (PS3.5 8 and A.4), then levels (PS3.3 C.11) or luma."""

import io
from collections.abc import Container, Iterator
from itertools import islice
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
from tumorlens.imaging.dicom.grayscale import GrayscaleTransform, grayscale_transform_of
from tumorlens.imaging.dicom.tags import frame_count, shape, text, whole
from tumorlens.imaging.gray import COLORED, finite, is_colored, luma
from tumorlens.imaging.limits import check_volume
from tumorlens.imaging.row_length import check_rows
from tumorlens.text import clean

EXTRA: Final = "dicom"
"""The extra that installs decoders of compressed pixel data."""
_GRAY: Final = ("MONOCHROME1", "MONOCHROME2")
_PALETTE: Final = "PALETTE COLOR"
_ALLOCATED: Final = (8, 16, 32)
_LOOKED_AT: Final = 4096
"""Pixels a frame that are looked at to see what its window hides."""
_COLOR: Final = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_SMOOTHER: Final = 0.5
"""Samples this much smoother with their bytes swapped are stored so."""
_ROWS: Final = 32
"""Rows of a frame that are looked at for that."""
_SWAPPED: Final = (
    "the byte order of the pixel data is not the one that the file states; the bytes are swapped"
)
_SIGN: Final = (
    "the sign of the pixel data is not the one that the file states (PixelRepresentation); it is "
    "read as the steps between neighbours say"
)
_JUMP: Final = 15
"""Neighbours that differ by so many times less with the other sign have been torn apart."""
_TORN: Final = 0.001
"""Part of the neighbours that must be, and ten times as many as the other sign would tear."""
_WIDER: Final = "values take more bits than the file states (BitsStored); all bits are used"
_STARTS: Final = (b"\xff\xd8", b"\xff\x4f")
"""What a JPEG or JPEG 2000 codestream begins with."""
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
_SIGN_KNOWN: Final = frozenset({*JPEG2000TransferSyntaxes, *JPEGLSTransferSyntaxes})
"""Where pydicom itself gives the right sign; elsewhere bits beyond BitsStored may hold anything."""


class Plane(NamedTuple):
    """One frame as it is read."""

    pixels: NDArray[np.float32]
    """(H, W), larger is brighter."""
    remarks: tuple[str, ...] = ()
    """What is odd about its samples: sentences for people."""
    unwindowed: NDArray[np.float32] | None = None
    """Some of it without the window that ``pixels`` went through, and ..."""
    windowed: NDArray[np.float32] | None = None
    """... the same pixels with it; None where there is no window."""
    stored: NDArray[np.float32] | None = None
    """Some of the stored values where a range of them is padding, and ..."""
    padding: NDArray[np.bool_] | None = None
    """... which of them are; None where there is no range."""


class Levels(NamedTuple):
    """What of the file's own levels is applied, where it has them."""

    windowed: bool
    padded: bool = True


class _Description(NamedTuple):
    """The image pixel description (PS3.3 C.7.6.3), odd elements replaced by what must be meant."""

    frames: int
    rows: int
    columns: int
    allocated: int
    stored: int
    high_bit: int
    signed: int
    samples: int
    photometric: str


def read_frames(
    dataset: Dataset, source: str, levels: Levels, wanted: Container[int] | None = None
) -> Iterator[Plane]:
    """Yield each frame, or each of ``wanted`` (from 0).

    Raises ``CorruptInputError``, ``LimitExceededError``, ``UnsupportedFormatError`` or
    ``MissingDecoderError``, and never anything else.
    """
    with decoding(source, "DICOM"):
        described = describe(dataset, source)
        yield from _frames(dataset, described, source, levels, wanted)


def holds_more(dataset: Dataset, source: str) -> bool:
    """Whether the pixel data are long enough for more frames than the file states."""
    described = describe(dataset, source)
    data = dataset.PixelData
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        stream = io.BytesIO(data)
        parse_basic_offsets(stream)
        starts = [fragment[:2] for fragment in generate_fragments(stream)]
        return len(starts) > described.frames and all(start in _STARTS for start in starts)
    one = described.rows * described.columns * described.samples * described.allocated // 8
    return len(data) >= (described.frames + 1) * one


def describe(dataset: Dataset, source: str) -> _Description:
    """Read the image pixel description; raise where it is not one that can be read."""
    if "PixelData" not in dataset:
        what = (
            "pixels of floating point" if _is_float(dataset) else "no pixels, or they are cut off"
        )
        raise UnsupportedFormatError(f"{source}: DICOM with {what}")
    frames, (rows, columns) = frame_count(dataset, source), shape(dataset, source)
    check_volume((frames, rows, columns), source)
    allocated = whole(dataset, "BitsAllocated", 16)
    if allocated not in _ALLOCATED:
        raise UnsupportedFormatError(f"{source}: {allocated} bits a sample; 8, 16 or 32 are read")
    stored = whole(dataset, "BitsStored", allocated)
    stored = stored if 1 <= stored <= allocated else allocated
    high_bit = whole(dataset, "HighBit", stored - 1)
    if not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1
    samples = whole(dataset, "SamplesPerPixel", 1) or 1
    photometric = (text(dataset, "PhotometricInterpretation") or "").upper()
    if not photometric and samples == 1:
        photometric = _GRAY[1]
    expected = 3 if photometric in _COLOR else 1
    if photometric not in (*_GRAY, _PALETTE, *_COLOR) or samples != expected:
        raise UnsupportedFormatError(f"{source}: pixels are {samples} x {clean(photometric)}")
    signed = int(whole(dataset, "PixelRepresentation", 0) == 1)
    _plugin(dataset, stored, source)
    return _Description(
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
        raise UnsupportedFormatError(
            f"{source}: pixels are encoded as {clean(syntax.name)}"
        ) from error
    if not syntax.is_encapsulated:
        return ""
    if syntax not in _PLUGINS:
        raise UnsupportedFormatError(f"{source}: pixels are encoded as {clean(syntax.name)}")
    name = _PLUGINS[syntax]
    if syntax == JPEGExtended12Bit and stored <= 8:
        name = _PILLOW
    if name not in decoder.available_plugins:
        raise MissingDecoderError(
            f"{source}: pixels are compressed as {syntax.name}, which needs an optional part: "
            f"{install_command(EXTRA, show_folder=False)}"
        )
    return name


def _frames(
    dataset: Dataset,
    described: _Description,
    source: str,
    levels: Levels,
    wanted: Container[int] | None,
) -> Iterator[Plane]:
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    precision = None
    if syntax.is_encapsulated:
        precision = _check_codestreams(dataset, described, syntax, source)
    found = 0
    decoded = _decoded(dataset, described, precision, source)
    for index, samples in enumerate(islice(decoded, described.frames)):
        found += 1
        if wanted is not None and index not in wanted:
            continue
        if described.photometric in _GRAY:
            values = _stored_values(samples, described, syntax, precision)
            remarks: tuple[str, ...] = ()
            if not syntax.is_encapsulated and _is_swapped(samples, values):
                samples, remarks = samples.byteswap(), (_SWAPPED,)
                values = _stored_values(samples, described, syntax, precision)
            if _is_wider(samples, values):
                values, remarks = samples, (*remarks, _WIDER)
            elif (other := _of_other_sign(samples, values, described, syntax)) is not None:
                values, remarks = other, (*remarks, _SIGN)
            check_rows(values, source)
            transform = grayscale_transform_of(dataset, index, source)
            yield _gray(transform, values, levels, source)._replace(remarks=remarks)
        else:
            colors = _colors(samples, described.photometric, dataset, source)
            remarks = (COLORED,) if is_colored(colors) else ()
            gray = luma(colors)
            check_rows(gray, source)
            yield Plane(finite(gray, source), remarks)
    if found < described.frames:
        raise CorruptInputError(f"{source}: damaged DICOM ({found} of {described.frames} frames)")


def _gray(
    transform: GrayscaleTransform, stored: NDArray[Any], levels: Levels, source: str
) -> Plane:
    windowed, padded = levels
    pixels = finite(transform.apply(stored, windowed=windowed, padded=padded), source)
    step = max(1, int((stored.size / _LOOKED_AT) ** 0.5))
    some = stored[::step, ::step]
    plane = Plane(pixels)
    if padded and transform.padding is not None and transform.padding[0] < transform.padding[1]:
        plane = plane._replace(stored=some.astype(np.float32), padding=transform.is_padding(some))
    if not windowed or transform.window is None:
        return plane
    unwindowed = transform.apply(some, windowed=False, padded=padded)
    return plane._replace(unwindowed=unwindowed, windowed=pixels[::step, ::step].copy())


def _decoded(
    dataset: Dataset, described: _Description, precision: int | None, source: str
) -> Iterator[NDArray[Any]]:
    """Stored samples of each frame, (H, W) or (H, W, 3) RGB."""
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    # A codestream of 8 bits has samples of 8, however wide the cells are said to be.
    narrow = precision is not None and precision <= 8
    allocated = 8 if narrow else described.allocated
    options: dict[str, Any] = {
        "bits_allocated": allocated,
        "bits_stored": min(described.stored, allocated),
        "pixel_representation": described.signed,
        "samples_per_pixel": described.samples,
        "photometric_interpretation": described.photometric,
        "number_of_frames": described.frames,
        # Required of colour, and left out by some writers, who mean the usual interleaved samples.
        "planar_configuration": int(whole(dataset, "PlanarConfiguration", 0) == 1),
    }
    if syntax not in _SIGN_KNOWN:
        options["correct_unused_bits"] = False
    if "NumberOfFrames" in dataset:  # parsed by pydicom even where the option states it
        dataset.NumberOfFrames = described.frames
    decoder: Decoder = get_decoder(syntax)
    plugin = _plugin(dataset, described.stored, source)
    for samples, _ in decoder.iter_array(dataset, decoding_plugin=plugin, **options):
        yield samples


def _check_codestreams(
    dataset: Dataset, described: _Description, syntax: UID, source: str
) -> int | None:
    """Compare each frame's own header with the data set, and count the frames.

    Returns the bits of a sample, as the first one states them.
    """
    expected = codestream.Size(described.columns, described.rows, described.samples)
    frames = generate_frames(dataset.PixelData, number_of_frames=described.frames)
    found, precision = 0, None
    for found, frame in enumerate(frames, start=1):
        codestream.check(frame, syntax, expected, described.allocated // 8, source)
        if found == 1 and (claimed := codestream.stated_size(frame, syntax)) is not None:
            precision = claimed.precision
    if found < described.frames:
        raise CorruptInputError(f"{source}: damaged DICOM ({found} of {described.frames} frames)")
    return precision


def _stored_values(
    samples: NDArray[Any], described: _Description, syntax: UID, precision: int | None
) -> NDArray[Any]:
    """Keep BitsStored bits below HighBit and extend their sign (PS3.5 8.1.1).

    What lies beside them may be an overlay, as older files have it (PS3.5 8.1.2).
    """
    width = samples.dtype.itemsize * 8
    stored, high = min(described.stored, width), described.high_bit
    if syntax in _SIGN_KNOWN:
        if precision is None or precision <= stored:
            return samples
        high = stored - 1
    if not stored - 1 <= high < width:
        high = stored - 1
    if stored == width:
        return samples
    values: NDArray[Any] = np.right_shift(np.left_shift(samples, width - 1 - high), width - stored)
    return values


def _is_swapped(samples: NDArray[Any], values: NDArray[Any]) -> bool:
    """Whether 16-bit ``samples`` (H, W), by their ``values``, are swapped byte by byte.

    Of the range of values, neighbours in a picture differ by little; with the bytes swapped, the
    lower ones, which are nearly random, decide.
    """
    if samples.dtype.itemsize != 2:
        return False
    rows = slice(None, None, max(1, len(samples) // _ROWS))
    stated = [_roughness(samples[rows])]
    if values is not samples:
        stated.append(_roughness(values[rows]))
    return _roughness(samples[rows].byteswap()) < _SMOOTHER * min(stated)


def _roughness(samples: NDArray[Any]) -> float:
    """Mean difference of neighbours, as part of what values differ by at all."""
    values = samples.astype(np.float32)
    low, high = np.quantile(values[:, ::4], (0.01, 0.99))
    steps = np.abs(np.diff(np.clip(values, low, high), axis=1))
    return float(steps.mean()) / float(high - low) if high > low else 1.0


def _is_wider(samples: NDArray[Any], values: NDArray[Any]) -> bool:
    """Whether ``samples`` (H, W) are numbers of more bits than their ``values`` have.

    Where the steps between neighbours differ, an overlay beside the values makes those of the
    samples larger. Where BitsStored is too small, the values wrap around while the samples go on.
    """
    if values is samples or np.array_equal(samples, values):
        return False
    smoother = rougher = 0
    for axis in (0, 1):
        steps = np.abs(np.diff(samples.astype(np.int64), axis=axis))
        wrapped = np.abs(np.diff(values.astype(np.int64), axis=axis))
        smoother += int((steps < wrapped).sum())
        rougher += int((steps > wrapped).sum())
    return smoother > rougher


def _of_other_sign(
    samples: NDArray[Any], values: NDArray[Any], described: _Description, syntax: UID
) -> NDArray[Any] | None:
    """The ``values`` (H, W) of 16-bit samples with the other sign, where that must be meant.

    Read with the wrong one, what lies beside a bound of the values is torn to the other end.
    """
    if samples.dtype.itemsize != 2 or syntax in _SIGN_KNOWN:
        return None
    turned = samples.view(np.uint16 if samples.dtype.kind == "i" else np.int16)
    other = _stored_values(turned, described, syntax, None)
    if np.array_equal(values, other):
        return None
    # Saturated letters on an empty background are as far apart as what is torn.
    inner = (values > values.min()) & (values < values.max())
    stated, meant = (np.where(inner, one, np.nan).astype(np.float32) for one in (values, other))
    torn = joined = 0
    for axis in (0, 1):
        steps, steps_meant = (np.abs(np.diff(one, axis=axis)) for one in (stated, meant))
        torn += int((steps > _JUMP * steps_meant).sum())
        joined += int((steps_meant > _JUMP * steps).sum())
    return other if torn > max(_TORN * values.size, 10 * joined) else None


def _colors(samples: NDArray[Any], photometric: str, dataset: Dataset, source: str) -> NDArray[Any]:
    """(H, W, 3) RGB."""
    if photometric != _PALETTE:
        return samples
    if "SegmentedRedPaletteColorLookupTableData" in dataset:
        raise UnsupportedFormatError(f"{source}: a segmented colour palette")
    return apply_color_lut(samples, dataset)


jpeg.register()
