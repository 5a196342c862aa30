"""Convert the inputs that a program may pass to few types."""

import dataclasses
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import InputError
from tumorlens.imaging.image import MedicalImage


class SupportsArray(Protocol):
    """What numpy reads by ``__array__``, such as a torch tensor."""

    def __array__(self) -> Any: ...


class SupportsArrayInterface(Protocol):
    """What numpy reads by ``__array_interface__``, such as a Pillow image."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


Given = str | os.PathLike[str] | SupportsArray | SupportsArrayInterface | MedicalImage
Source = Given | Iterable[Given]
"""What can be classified: a path, an array, a Pillow or decoded image, or several of them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Encoded:
    """The bytes of a file that is in memory only."""

    data: bytes
    notes: tuple[str, ...] = ()
    """What it lacks of the object that it was made from."""


Single = str | Path | NDArray[np.generic] | MedicalImage | Encoded | InputError

_ACCEPTED: Final = (
    "accepted are a path, an array (numpy, or what numpy can read, such as a torch tensor in CPU "
    "memory), a Pillow image, a MedicalImage, and a list of these"
)
_ORIENTATION: Final = 274
"""The tag that says how an image is turned, in EXIF and in TIFF."""
_NO_PIXELS: Final = "OSUTV"
"""Kinds of numpy's types for objects and strings, such as paths, and not for numbers."""


def one_or_several(source: Source) -> Single | list[Single]:
    """``source`` as a path, an array or an image; a list if it contains several.

    Raises a ``TypeError`` that lists the accepted types.
    """
    single = _as_one(source)
    if isinstance(single, np.ndarray) and single.ndim == 1 and single.dtype.kind in _NO_PIXELS:
        return [_one(element) for element in single]
    if single is not None:
        return single
    if not _is_collection(source):
        raise _refusal(source)
    return [_one(element) for element in source]


def _one(source: Any) -> Single:
    single = _as_one(source)
    if single is None:
        raise _refusal(source)
    return single


def _as_one(source: Any) -> Single | None:
    """None if ``source`` is not a single input."""
    if isinstance(source, str | Path | np.ndarray | MedicalImage):
        return source
    if isinstance(source, os.PathLike):
        return Path(os.fsdecode(source))
    if _is_pillow(source):
        return _encoded(source)
    if not hasattr(source, "__array__"):
        return None
    array = _as_array(source)
    # A data set of DICOM, or a table: numpy puts any object into an array.
    return None if array.dtype.kind in _NO_PIXELS and array.ndim != 1 else array


def _as_array(source: Any) -> NDArray[np.generic]:
    try:
        return np.asarray(source)
    except (TypeError, ValueError, RuntimeError) as error:
        # The error of a tensor on a GPU, for example, says what to call first.
        raise TypeError(f"{_name(source)} cannot be read as an array: {error}") from error


def _is_pillow(source: Any) -> bool:
    """Whether it is a Pillow image, without importing Pillow."""
    # Of the type: the property of an image decodes its file, and raises if that is damaged.
    return hasattr(type(source), "__array_interface__") and hasattr(source, "getbands")


def _encoded(image: Any) -> Encoded | InputError:
    """A lossless TIFF, so that palette, transparency and bit depth are read as from files.

    The error of a damaged image is an input too: among several, the others are answered.
    """
    buffer = io.BytesIO()
    try:
        image.load()  # a damaged file fails here, whatever the mode
        frames, orientation = _frames(image), _orientation(image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
    except (OSError, ValueError, SyntaxError) as error:
        return InputError(f"a Pillow image cannot be read: {error}")
    try:
        image.save(buffer, "TIFF", compression="raw", tiffinfo={_ORIENTATION: orientation})
    except (OSError, ValueError) as error:
        raise TypeError(
            f"a Pillow image of mode {image.mode} cannot be read ({error}); convert it to L or RGB"
        ) from error
    others = f"one of {frames} images of the file is read; give its path instead to read all"
    return Encoded(buffer.getvalue(), (others,) if frames > 1 else ())


def _frames(image: Any) -> int:
    """Number of images in its file; 1 if the file is closed or does not tell."""
    try:
        return getattr(image, "n_frames", 1)
    except (OSError, ValueError, TypeError, SyntaxError, EOFError):
        return 1


def _orientation(image: Any) -> int:
    """The EXIF orientation of an image as its file has it; 1 for one that a program made.

    Pillow keeps the entry when an image is rotated, so it holds only for the file itself.
    """
    stated = image.getexif().get(_ORIENTATION, 1) if image.format else 1
    return stated if isinstance(stated, int) and 1 <= stated <= 8 else 1


def _is_collection(source: Any) -> TypeGuard[Iterable[Any]]:
    """Whether its elements can be inputs; those of bytes, open files and mappings cannot."""
    return (
        isinstance(source, Iterable)
        and not isinstance(source, bytes | bytearray | memoryview | Mapping)
        and not hasattr(source, "read")
        and not hasattr(source, "__array__")
        and not _is_nibabel(source)
    )


def _is_nibabel(source: Any) -> bool:
    return hasattr(source, "get_fdata")


def _refusal(source: Any) -> TypeError:
    if _is_nibabel(source):
        return TypeError(
            f"{_name(source)} cannot be classified: give the path of its file, from which the "
            "orientation is read too"
        )
    return TypeError(f"{_name(source)} cannot be classified; {_ACCEPTED}")


def _name(source: Any) -> str:
    kind = type(source)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"
