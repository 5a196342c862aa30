"""Plain images: JPEG, PNG, TIFF, BMP, GIF, WebP, decoded by Pillow to float32 gray.

8-bit, 16-bit and float samples; gray, RGB, CMYK, palette, alpha and bilevel; EXIF orientation
applied. Transparent pixels are laid over black, the background of MRI. An animation and a TIFF of
several pages give a stack of all images.
"""

import io
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from tumorlens.errors import (
    CorruptInputError,
    InputError,
    LimitExceededError,
    UnsupportedFormatError,
)
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.limits import MAX_SIDE, check_sides, check_volume
from tumorlens.imaging.raster import deep, tiff
from tumorlens.imaging.samples.cut_off import CUT_OFF, is_cut_off
from tumorlens.imaging.samples.gray import (
    Color,
    Samples,
    color_of,
    finite,
    gray_bytes,
    luma,
    without_value,
)
from tumorlens.imaging.samples.label_map import check_no_label_map
from tumorlens.imaging.samples.sample_storage import SWAPPED, is_swapped, some_rows

SOFTWARE: Final = ("Software", "tumorlens")
"""Text in PNG files that ``imaging.raster.overlay`` and the page write: answers, not images to
classify."""
_WIDE_MODES: Final = {"I;16": 16, "I;16L": 16, "I;16B": 16, "I;16N": 16, "I": 32, "F": 32}
_LOOKED_AT: Final = 64
"""Pixels a side that are looked at to see whether an image is in colours."""
_STRIP_PIXELS: Final = 1 << 20
_ANIMATIONS: Final = frozenset({"GIF", "WEBP", "PNG"})
_STACKS: Final = _ANIMATIONS | {"TIFF"}
"""Formats whose further images are slices or frames, as they are in no MPO (see ``_notes``)."""
_NEW_SUBFILE_TYPE: Final = 254
_REDUCED_COPY: Final = 1
_REDUCED: Final = 0.75
"""Most sides of the full image that a copy of it has: a preview, a level of a pyramid."""
_PHOTOMETRIC: Final = 262
_WHITE_IS_ZERO: Final = 0
_NEUTRAL: Final = 128
"""What both chrominances of gray are in a JPEG of 8 bits (ITU-T T.871)."""
_VARIANTS: Final = {"jpeg": "not of 8 bits, lossless or JPEG-LS; save it as PNG"}
"""What is not read of formats that have such variants, and what to do."""
_KEY: Final = "transparency"
_FEW_BITS: Final = {"L;2": 85, "L;4": 17}
"""Pillow's names of gray samples of 2 and 4 bits, and what they are multiplied by."""
_BITS_PER_SAMPLE: Final = 258
_SAMPLE_FORMAT: Final = 339
_UNSIGNED, _SIGNED = 1, 2


class _Decoded(NamedTuple):
    samples: Samples
    bit_depth: int
    mode: str
    notes: tuple[str, ...] = ()
    color: Color = Color.GRAY

    def noted(self, *notes: str) -> "_Decoded":
        return self._replace(notes=(*self.notes, *filter(None, notes)))


def decode(data: bytes, kind: str, source: str) -> MedicalImage:
    """Decode ``data``, whose signature is ``kind``'s, to (H, W), or D images to (D, H, W).

    Raises ``CorruptInputError`` for damaged bytes, ``LimitExceededError`` for sides outside
    ``MIN_SIDE`` to ``MAX_SIDE`` or too many pages, ``BlankImageError`` where no pixel is finite,
    ``UnsupportedFormatError`` for a file whose images differ in size, and for a heatmap of ours.
    """

    def open_() -> Image.Image:
        return Image.open(io.BytesIO(data), formats=[kind.upper()])

    try:
        decoded = _decode(open_, source)
    except Image.DecompressionBombError as error:
        raise LimitExceededError(
            f"{source}: has more than {MAX_SIDE:,} × {MAX_SIDE:,} pixels"
        ) from error
    except (OSError, KeyError) as error:
        if kind == "tiff" and (compression := tiff.unread_compression(data, error)):
            raise UnsupportedFormatError(
                f"{source}: TIFF compressed by {compression} is not supported; save it "
                "uncompressed, or with LZW or Deflate"
            ) from error
        if isinstance(error, UnidentifiedImageError):
            raise _unidentified(data, kind, source) from error
        raise
    samples = finite(decoded.samples, source)
    check_no_label_map(samples, source)
    image = MedicalImage(samples, source, decoded.bit_depth, decoded.mode, color=decoded.color)
    return image.remarked(*decoded.notes, *without_value(decoded.samples))


def _unidentified(data: bytes, kind: str, source: str) -> InputError:
    """Why Pillow does not know a file that begins as one of ``kind``."""
    if data.startswith(tiff.BIG_ENDIAN_BIG_TIFF):
        return UnsupportedFormatError(
            f"{source}: BigTIFF in big-endian byte order is not supported; save it as TIFF"
        )
    if kind == "tiff" and (samples := tiff.unread_samples(data)):
        return UnsupportedFormatError(
            f"{source}: TIFF samples of type {samples} are not supported; "
            "save them as gray of uint16 or float32"
        )
    variant = _VARIANTS.get(kind, "of an unsupported variant")
    return CorruptInputError(f"{source}: starts like {kind}, but is damaged or {variant}")


def _decode(open_: Callable[[], Image.Image], source: str) -> _Decoded:
    with open_() as image:
        if image.info.get(SOFTWARE[0]) == SOFTWARE[1]:
            raise UnsupportedFormatError(
                f"{source}: an image with an answer of tumorlens; give the image that it was "
                "made from"
            )
        check_sides(*image.size, source)
        tiff.check_depth(image, source)
        pages, smaller = _pages(image, source)
        pages, left_out = tiff.first_volume(image, pages, source)
        if deep.is_deep(image):
            if len(pages) > 1:
                raise UnsupportedFormatError(
                    f"{source}: pages of 16-bit colour; save them as gray or as single files"
                )
            colors = _over_key(deep.decode(open_, _load, source), image)
            color = color_of(colors[..., :3])
            return _Decoded(_deep_gray(colors), 16, f"{image.mode};16", color=color)
        if len(pages) > 1:
            return _decode_stack(image, pages, source).noted(left_out)
        mode = image.mode
        if image.format == "JPEG" and mode == "RGB" and _is_gray_jpeg(open_):
            image.draft("L", None)
        decoded = _decode_page(image)._replace(mode=mode)
        return decoded.noted(*_notes(image), left_out, smaller)


def _is_gray_jpeg(open_: Callable[[], Image.Image]) -> bool:
    """Whether a JPEG that could hold colour holds none.

    Then its luminance alone, decoded in less than half the time, is the image. One value for
    each block of 8 x 8 pixels is enough; damage is left to the decoder to report.
    """
    try:
        with open_() as image:
            image.draft("YCbCr", (1, 1))
            blocks = np.asarray(image)
            return image.mode == "YCbCr" and bool((blocks[..., 1:] == _NEUTRAL).all())
    except Exception:  # as in ``decode``
        return False


def _decode_page(image: Image.Image) -> _Decoded:
    inverted, layout = _is_inverted(image), _sample_layout(image)
    mode = image.mode
    tiff.expect_native_order(image)
    _widen_key(image)
    loaded = _opaque(_load(image))
    samples, bit_depth = _resigned(loaded, layout) or _to_gray(loaded)
    swapped = _in_other_order(loaded)
    samples = samples if swapped is None else swapped
    samples = _invert(samples, bit_depth) if inverted else samples
    decoded = _Decoded(samples, bit_depth, mode, color=_color(loaded))
    # Other formats of damaged files cannot be decoded.
    cut_off = image.format == "TIFF" and is_cut_off(samples)
    return decoded.noted("" if swapped is None else SWAPPED, CUT_OFF if cut_off else "")


def _color(image: Image.Image) -> Color:
    """``color_of`` a few of its pixels."""
    if image.mode in (*_WIDE_MODES, "1", "L", "LA"):
        return Color.GRAY
    size = [max(1, round(side * min(1, _LOOKED_AT / side))) for side in image.size]
    reduced = image.resize((size[0], size[1]), Image.Resampling.NEAREST).convert("RGBA")
    rgba = np.asarray(reduced)
    return color_of(rgba[..., :3] * (rgba[..., 3:] > 0))


def _decode_stack(image: Image.Image, pages: list[int], source: str) -> _Decoded:
    """Read ``pages`` into (D, H, W), one at a time."""
    stack: NDArray[np.float32] | None = None
    first: _Decoded | None = None
    notes: dict[str, None] = {}
    colors: list[Color] = []
    for index, page in enumerate(pages):
        image.seek(page)
        check_sides(*image.size, source)
        if deep.is_deep(image):
            raise UnsupportedFormatError(f"{source}: page {page + 1} is 16-bit colour")
        decoded = _decode_page(image)
        if stack is None or first is None:
            first = decoded
            check_volume((len(pages), *decoded.samples.shape), source)
            stack = np.empty((len(pages), *decoded.samples.shape), dtype=np.float32)
        if (decoded.samples.shape, decoded.bit_depth) != (stack.shape[1:], first.bit_depth):
            raise UnsupportedFormatError(
                f"{source}: page {page + 1} differs from the first in size or depth, so the pages "
                "do not form a stack; save them as single files"
            )
        stack[index] = decoded.samples
        notes |= dict.fromkeys(decoded.notes)
        colors.append(decoded.color)
    assert stack is not None
    assert first is not None
    all_notes = (*notes, *_notes(image))
    return _Decoded(stack, first.bit_depth, first.mode, all_notes, Color.joint(colors))


def _load(image: Image.Image) -> Image.Image:
    """Decode the pixels and turn them upright."""
    image.load()
    if image.format in _ANIMATIONS and getattr(image, "n_frames", 1) > 1:
        # As it is displayed: the frame itself may hold only a part of it.
        return image.convert("RGBA")
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _opaque(image: Image.Image) -> Image.Image:
    """``image`` without an opacity that is 0 everywhere.

    Writers of bitmaps leave the fourth byte unused, and copies in other formats keep it.
    """
    if image.mode not in ("LA", "RGBA") or image.getchannel("A").getbbox():
        return image
    return image.convert(image.mode.removesuffix("A"))


def _pages(image: Image.Image, source: str) -> tuple[list[int], str]:
    """Numbers of the images that are no smaller copy of another, and a note on those that are."""
    if image.format not in _STACKS or (count := getattr(image, "n_frames", 1)) == 1:
        return [0], ""
    check_volume((count, 1, 1), source)
    # The image that programs without animations show is not always one of its frames.
    first = int(bool(getattr(image, "default_image", False)))
    sizes: dict[int, tuple[int, int]] = {}
    for page in range(first, count):
        image.seek(page)
        if not getattr(image, "tag_v2", {}).get(_NEW_SUBFILE_TYPE, 0) & _REDUCED_COPY:
            sizes[page] = image.size
    pages = _without_copies(sizes) or [0]
    image.seek(pages[0])
    left_out = len(sizes) - len(pages)
    return (
        pages,
        f"smaller images of the same shape are left out: {left_out}" if left_out > 0 else "",
    )


def _without_copies(sizes: dict[int, tuple[int, int]]) -> list[int]:
    """Pages of these sizes; the largest alone where all others look like copies of it."""
    largest = max(sizes, key=lambda page: sizes[page], default=0)
    others = [size for page, size in sizes.items() if page != largest]
    if others and all(_is_reduced(size, sizes[largest]) for size in others):
        return [largest]
    return list(sizes)


def _is_reduced(size: tuple[int, int], full: tuple[int, int]) -> bool:
    """Whether an image has the shape of a larger one, to a pixel."""
    scale = size[0] / full[0]
    return scale <= _REDUCED and abs(size[1] - scale * full[1]) <= 1


def _notes(image: Image.Image) -> tuple[str, ...]:
    """What is assumed about a file of several images, or left out of it.

    An MPO, a JPEG of several, has previews and depth maps behind the first.
    """
    count = getattr(image, "n_frames", 1)
    if image.format in _ANIMATIONS and count > 1:
        frames = count - bool(getattr(image, "default_image", False))
        return (f"the {frames} images of an animation are read as slices",) if frames > 1 else ()
    if image.format in _STACKS or count == 1:
        return ()
    return (f"the first of {count} images in the file is read",)


def _sample_layout(image: Image.Image) -> tuple[int, int]:
    """Bits and sample format of a gray TIFF; zeros for all else."""
    tags = getattr(image, "tag_v2", {})
    bits, kinds = tags.get(_BITS_PER_SAMPLE, ()), tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))
    return (int(bits[0]), int(kinds[0])) if len(bits) == 1 and kinds else (0, 0)


def _resigned(
    image: Image.Image, layout: tuple[int, int]
) -> tuple[NDArray[np.float32], int] | None:
    """Samples that Pillow reads with the wrong sign; None for all else.

    It has no mode for unsigned samples of 32 bits or for signed ones of 8.
    """
    if layout == (32, _UNSIGNED) and image.mode == "I":
        return np.asarray(image).view(np.uint32).astype(np.float32), 32
    if layout == (8, _SIGNED) and image.mode == "L":
        # From 0, as all other images of 8 bits: only the order of the values matters.
        return np.asarray(image).view(np.int8).astype(np.float32) + np.float32(128), 8
    return None


def _in_other_order(image: Image.Image) -> NDArray[np.float32] | None:
    """Samples of 16 bits with their bytes swapped, where that must be meant; None for all else."""
    if not image.mode.startswith("I;16"):
        return None
    words = np.asarray(image)
    rows = some_rows(words)
    return words.byteswap().astype(np.float32) if is_swapped(rows, rows) else None


def _to_gray(image: Image.Image) -> tuple[Samples, int]:
    """Return (H, W), bytes where they hold it, and the bits a sample was stored with."""
    if image.mode in _WIDE_MODES:
        return _over_key(np.asarray(image, dtype=np.float32), image), _WIDE_MODES[image.mode]
    if image.mode == "1":
        return np.asarray(image.convert("L")), 1
    if image.has_transparency_data:
        return _by_strips(image, _over_black), 8
    if image.mode == "L":
        return np.asarray(image), 8
    return _by_strips(image, lambda strip: gray_bytes(np.asarray(strip.convert("RGB")))), 8


def _by_strips(
    image: Image.Image, convert: Callable[[Image.Image], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Convert a few rows at a time: a large image never has a second copy in colour."""
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    gray = np.empty((height, width), dtype=np.uint8)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        gray[top:bottom] = convert(image.crop((0, top, width, bottom)))
    return gray


def _over_black(strip: Image.Image) -> NDArray[np.uint8]:
    rgba = np.asarray(strip.convert("RGBA"))
    opacity = rgba[..., 3].astype(np.float32) / np.float32(255)
    return np.rint(luma(rgba[..., :3]) * opacity).astype(np.uint8)


def _widen_key(image: Image.Image) -> None:
    """Scale a PNG's transparent gray of 2 or 4 bits to 8, as Pillow scales its samples only."""
    layout = deep.layout_of(image)
    if layout in _FEW_BITS and isinstance(image.info.get(_KEY), int):
        image.info[_KEY] *= _FEW_BITS[layout]


def _over_key(samples: NDArray[Any], image: Image.Image) -> NDArray[Any]:
    """Samples of 16 bits, black where they have the colour that a PNG states as transparent."""
    key = image.info.get(_KEY)
    if not isinstance(key, int | tuple):
        return samples
    same = samples == key if samples.ndim == 2 else (samples == key).all(axis=2, keepdims=True)
    return np.where(same, samples.dtype.type(0), samples)


def _deep_gray(samples: NDArray[np.uint16]) -> NDArray[np.float32]:
    """16-bit RGB or RGBA to gray over black."""
    gray = luma(samples[..., :3])
    if samples.shape[2] == 4 and samples[..., 3].any():
        gray *= samples[..., 3].astype(np.float32) / np.float32(65535)
    return gray


def _is_inverted(image: Image.Image) -> bool:
    """Whether samples are stored white-is-zero and Pillow leaves them so (it mends 8 bits)."""
    tags = getattr(image, "tag_v2", {})
    return image.mode in _WIDE_MODES and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def _invert(pixels: Samples, bit_depth: int) -> NDArray[np.float32]:
    """Larger is brighter: the convention of ``MedicalImage``."""
    white = np.float32(65535 if bit_depth == 16 else 0)
    return white - pixels
