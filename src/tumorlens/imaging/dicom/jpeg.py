"""A decoder of lossless and 12-bit JPEG for pydicom: libjpeg-turbo, as imagecodecs wraps it.

pydicom itself knows two for these encodings. One is under the GPL; the other, GDCM, ends the whole
process at some damaged frames (docs/decisions/0007-dicom-nifti.md). This one raises.

The shape of this module is what pydicom asks of a plugin (its guide to decoder plugins).
"""

from importlib.util import find_spec
from typing import Final

from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

LABEL: Final = "imagecodecs"
SYNTAXES: Final = (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
DECODER_DEPENDENCIES: Final = dict.fromkeys(SYNTAXES, ("imagecodecs",))


def is_available(uid: str) -> bool:
    """Whether the extra is installed."""
    return uid in SYNTAXES and find_spec("imagecodecs") is not None


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """Decode one frame to its samples; tells ``runner`` how wide they are."""
    import imagecodecs

    # Samples come as they are stored: whether three of them are RGB says the data set.
    space = "RGB" if runner.samples_per_pixel == 3 else None
    samples = imagecodecs.jpeg8_decode(frame, colorspace=space, outcolorspace=space)
    runner.set_option("bits_allocated", samples.dtype.itemsize * 8)
    runner.set_option("planar_configuration", 0)
    return bytes(samples.tobytes())


def register() -> None:
    """Make it known to pydicom, once."""
    for uid in SYNTAXES:
        decoder = get_decoder(uid)
        if LABEL not in {*decoder.available_plugins, *decoder.missing_dependencies}:
            decoder.add_plugin(LABEL, (__name__, decode_frame.__name__))
