"""From pixel data to gray frames: decode (PS3.5 8 and A.4), then levels (PS3.3 C.11) or luma."""

from collections.abc import Container, Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
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
    InputError,
    LimitExceededError,
    MissingDecoderError,
    UnsupportedFormatError,
)
from tumorlens.imaging.dicom import codestream, jpeg
from tumorlens.imaging.dicom.grayscale import grayscale_transform_of
from tumorlens.imaging.dicom.tags import frame_count, shape
from tumorlens.imaging.gray import finite, luma
from tumorlens.imaging.limits import check_volume
from tumorlens.imaging.quiet import quiet
from tumorlens.imaging.wording import clean, first_line

EXTRA: Final = "dicom"
"""The extra that installs decoders of compressed pixel data."""
_GRAY: Final = ("MONOCHROME1", "MONOCHROME2")
_PALETTE: Final = "PALETTE COLOR"
_COLOR: Final = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_PILLOW: Final = "pillow"
_PLUGINS: Final = {
    RLELossless: "pydicom",
    JPEGBaseline8Bit: _PILLOW,
    JPEGExtended12Bit: jpeg.LABEL,
    JPEGLossless: jpeg.LABEL,
    JPEGLosslessSV1: jpeg.LABEL,
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
}
"""The one decoder for each encoding: never whichever happens to be installed."""
_SIGN_KNOWN: Final = frozenset({*JPEG2000TransferSyntaxes, *JPEGLSTransferSyntaxes})
"""Where pydicom itself gives the right sign; elsewhere bits beyond BitsStored may hold anything."""


def read_frames(
    dataset: Dataset, source: str, *, windowed: bool, wanted: Container[int] | None = None
) -> Iterator[NDArray[np.float32]]:
    """Yield (H, W) float32, larger is brighter, for each frame, or each of ``wanted`` (from 0).

    ``windowed`` applies the file's own window where it has one. Raises ``CorruptInputError``,
    ``LimitExceededError``, ``UnsupportedFormatError``, ``MissingDecoderError`` or
    ``BlankImageError``, and never anything else.
    """
    try:
        with quiet():
            check(dataset, source)
            yield from _frames(dataset, source, windowed, wanted)
    except InputError:
        raise
    except MemoryError as error:
        raise LimitExceededError(f"{source}: does not fit into memory") from error
    except Exception as error:  # decoders share no base but Exception
        raise CorruptInputError(f"{source}: damaged DICOM ({first_line(error)})") from error


def check(dataset: Dataset, source: str) -> None:
    """Raise where the image pixel description (PS3.3 C.7.6.3) is not one that can be read."""
    if "PixelData" not in dataset:
        what = (
            "pixels of floating point" if _is_float(dataset) else "no pixels, or they are cut off"
        )
        raise UnsupportedFormatError(f"{source}: DICOM with {what}")
    check_volume((frame_count(dataset, source), *shape(dataset, source)), source)
    allocated, stored = int(dataset.BitsAllocated), int(dataset.get("BitsStored") or 0)
    if allocated not in (8, 16) or not 1 <= stored <= allocated:
        raise UnsupportedFormatError(
            f"{source}: {stored} bits stored in {allocated}; 8 or 16 are read"
        )
    photometric = str(dataset.get("PhotometricInterpretation"))
    samples = int(dataset.get("SamplesPerPixel") or 1)
    expected = 3 if photometric in _COLOR else 1
    if photometric not in (*_GRAY, _PALETTE, *_COLOR) or samples != expected:
        raise UnsupportedFormatError(f"{source}: pixels are {samples} x {clean(photometric)}")
    _plugin(dataset, source)


def _is_float(dataset: Dataset) -> bool:
    return "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset


def _plugin(dataset: Dataset, source: str) -> str:
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
    if syntax == JPEGExtended12Bit and int(dataset.BitsStored) <= 8:
        name = _PILLOW
    if name not in decoder.available_plugins:
        raise MissingDecoderError(
            f"{source}: pixels are compressed as {syntax.name}, which needs an optional part: "
            f"pip install 'tumorlens[{EXTRA}]'"
        )
    return name


def _frames(
    dataset: Dataset, source: str, windowed: bool, wanted: Container[int] | None
) -> Iterator[NDArray[np.float32]]:
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    count = frame_count(dataset, source)
    if syntax.is_encapsulated:
        _check_codestreams(dataset, syntax, count, source)
    gray = str(dataset.PhotometricInterpretation) in _GRAY
    found = 0
    for index, samples in enumerate(islice(_decoded(dataset, syntax, source), count)):
        found += 1
        if wanted is not None and index not in wanted:
            continue
        if gray:
            values = _stored_values(samples, dataset, syntax)
            pixels = grayscale_transform_of(dataset, index, source).apply(
                values, source, windowed=windowed
            )
        else:
            pixels = _luma(samples, dataset, source)
        yield finite(pixels, source)
    if found < count:
        raise CorruptInputError(f"{source}: damaged DICOM ({found} of {count} frames)")


def _decoded(dataset: Dataset, syntax: UID, source: str) -> Iterator[NDArray[Any]]:
    """Stored samples of each frame, (H, W) or (H, W, 3) RGB."""
    options: dict[str, Any] = {} if syntax in _SIGN_KNOWN else {"correct_unused_bits": False}
    decoder: Decoder = get_decoder(syntax)
    plugin = _plugin(dataset, source)
    for samples, _ in decoder.iter_array(dataset, decoding_plugin=plugin, **options):
        yield samples


def _check_codestreams(dataset: Dataset, syntax: UID, count: int, source: str) -> None:
    """Compare each frame's own header with the data set, and count the frames."""
    rows, columns = shape(dataset, source)
    expected = codestream.Size(columns, rows, int(dataset.get("SamplesPerPixel") or 1))
    frames = generate_frames(dataset.PixelData, number_of_frames=count)
    found = 0
    for found, frame in enumerate(frames, start=1):  # noqa: B007  (counted)
        codestream.check(frame, syntax, expected, int(dataset.BitsAllocated) // 8, source)
    if found < count:
        raise CorruptInputError(f"{source}: damaged DICOM ({found} of {count} frames)")


def _stored_values(samples: NDArray[Any], dataset: Dataset, syntax: UID) -> NDArray[Any]:
    """Keep BitsStored bits below HighBit and extend their sign (PS3.5 8.1.1).

    What lies beside them may be an overlay, as older files have it (PS3.5 8.1.2).
    """
    if syntax in _SIGN_KNOWN:
        return samples
    width = samples.dtype.itemsize * 8
    stored = min(int(dataset.BitsStored), width)
    high = dataset.get("HighBit")
    high = stored - 1 if high is None else int(high)
    if not stored - 1 <= high < width:
        high = stored - 1
    if stored == width:
        return samples
    values: NDArray[Any] = np.right_shift(np.left_shift(samples, width - 1 - high), width - stored)
    return values


def _luma(samples: NDArray[Any], dataset: Dataset, source: str) -> NDArray[np.float32]:
    if str(dataset.PhotometricInterpretation) != _PALETTE:
        return luma(samples)
    if "SegmentedRedPaletteColorLookupTableData" in dataset:
        raise UnsupportedFormatError(f"{source}: a segmented colour palette")
    return luma(apply_color_lut(samples, dataset))


jpeg.register()
