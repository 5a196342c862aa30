"""A decoder of lossless and 12-bit JPEG, and of JPEG-LS, for pydicom: imagecodecs.

pydicom itself knows two for the first. One is under the GPL; the other, GDCM, ends the whole
process at some damaged frames (docs/decisions/0007-dicom-nifti.md). For JPEG-LS it knows pyjpegls,
which holds the interpreter lock for seconds at others. This one raises, and lets other threads
run meanwhile.

The shape of this module is what pydicom asks of a plugin (its guide to decoder plugins).
"""

from importlib.util import find_spec
from typing import Final

from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import (
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

LABEL: Final = "imagecodecs"
_LS: Final = (JPEGLSLossless, JPEGLSNearLossless)
SYNTAXES: Final = (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, *_LS)
_END: Final = b"\xff\xd9"
_PADDING: Final = 16
"""Bytes at the end in which the marker is looked for."""
DECODER_DEPENDENCIES: Final = dict.fromkeys(SYNTAXES, ("imagecodecs",))


def is_available(uid: str) -> bool:
    """Whether the extra is installed."""
    return uid in SYNTAXES and find_spec("imagecodecs") is not None


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """Decode one frame to its samples; tells ``runner`` how wide they are."""
    import imagecodecs

    if runner.transfer_syntax in _LS:
        samples = imagecodecs.jpegls_decode(_ended(frame))
    else:
        # Samples come as they are stored: the data set says whether three of them are RGB.
        space = "RGB" if runner.samples_per_pixel == 3 else None
        samples = imagecodecs.jpeg8_decode(frame, colorspace=space, outcolorspace=space)
    runner.set_option("bits_allocated", samples.dtype.itemsize * 8)
    runner.set_option("planar_configuration", 0)
    return bytes(samples.tobytes())


def _ended(frame: bytes) -> bytes:
    """``frame`` with the marker of its end, if that is missing.

    At a damaged frame that just stops, CharLS goes on for some seconds.
    """
    return bytes(frame) if _END in frame[-_PADDING:] else bytes(frame) + _END


def register() -> None:
    """Make it known to pydicom, once."""
    for uid in SYNTAXES:
        decoder = get_decoder(uid)
        if LABEL not in {*decoder.available_plugins, *decoder.missing_dependencies}:
            decoder.add_plugin(LABEL, (__name__, decode_frame.__name__))
