"""A heatmap over its image, as a PNG with a colour bar."""

import io
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from tumorlens.imaging.facts import Sides
from tumorlens.imaging.raster.pillow import SOFTWARE

OPACITY: Final = 0.6
"""Of the map where it is strongest; where the map is 0 the image is unchanged."""
_SHOWN_RANGE: Final = (0.005, 0.995)
_SAMPLES: Final = 65_536
_LARGEST_SIDE: Final = 1024
_SMALLEST_SIDE: Final = 384
_SMALLEST_LETTER: Final = 11
# Nine points of matplotlib's "inferno", even in lightness: it reads in print and to the
# colour-blind.
_STOPS: Final = np.array(
    [
        (0, 0, 4), (32, 12, 74), (87, 16, 110), (138, 34, 106), (188, 55, 84),
        (228, 90, 49), (249, 142, 9), (249, 203, 53), (252, 255, 164),
    ],
    dtype=np.float64,
)  # fmt: skip


class Marks(NamedTuple):
    """What is drawn on top, in pixels of the image."""

    peak: tuple[int, int]
    """(row, column)."""
    box: tuple[int, int, int, int] | None
    """(top, left, bottom, right), ends exclusive."""


def overlay_png(
    pixels: NDArray[np.float32],
    heat: NDArray[np.float32],
    marks: Marks,
    sides: Sides | None = None,
    caption: Sequence[str] = (),
) -> bytes:
    """Lay ``heat`` (H, W), 0 to 1, over the image ``pixels`` (H, W) of any intensity unit.

    The result is RGB, scaled so that its longer side has 384 to 1024 pixels, with the colour bar
    to the right of the image. Where the patient's ``sides`` are known they stand at its edges,
    and ``caption``, a paragraph each, is written below.
    """
    size, scale = _shown_size(*pixels.shape)
    gray = _resized(windowed(pixels), size)[..., np.newaxis]
    strength = np.clip(_resized(heat, size), 0.0, 1.0)
    opacity = OPACITY * strength[..., np.newaxis]
    blended = 255.0 * gray * (1.0 - opacity) + colors(strength) * opacity
    image = Image.fromarray(np.rint(blended).astype(np.uint8))
    _draw_marks(image, marks, scale)
    _draw_sides(image, sides)
    return _png(_with_caption(_with_bar(image), caption))


def captioned_png(
    pixels: NDArray[np.float32], sides: Sides | None, caption: Sequence[str]
) -> bytes:
    """The image alone, scaled as by ``overlay_png``, with ``caption`` below."""
    size, _ = _shown_size(*pixels.shape)
    gray = np.rint(255 * _resized(windowed(pixels), size)).astype(np.uint8)
    image = Image.fromarray(gray).convert("RGB")
    _draw_sides(image, sides)
    return _png(_with_caption(image, caption))


def gray_with_sides(pixels: NDArray[np.float32], sides: Sides | None) -> NDArray[np.uint8]:
    """For the eye, without a map: (H, W) of any unit to uint8 (H, W), ``sides`` at the edges."""
    image = Image.fromarray(np.rint(255 * windowed(pixels)).astype(np.uint8))
    _draw_sides(image, sides)
    return np.asarray(image)


def colors(strength: NDArray[np.floating]) -> NDArray[np.float64]:
    """Colour of each value, 0 to 1: (...) to (..., 3), 0 to 255."""
    position = np.asarray(strength, dtype=np.float64) * (len(_STOPS) - 1)
    stops = np.arange(len(_STOPS))
    return np.stack([np.interp(position, stops, channel) for channel in _STOPS.T], axis=-1)


def windowed(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """For the eye: (H, W) of any unit to 0 to 1, the brightest and darkest 0.5% clipped."""
    step = max(1, int((pixels.size / _SAMPLES) ** 0.5))
    low, high = np.quantile(pixels[::step, ::step], _SHOWN_RANGE)
    if not high > low:
        low, high = pixels.min(), pixels.max()
    span = max(float(high - low), float(np.finfo(np.float32).tiny))
    with np.errstate(over="ignore"):
        clipped: NDArray[np.float32] = np.clip((pixels - np.float32(low)) / np.float32(span), 0, 1)
    return clipped


def _shown_size(height: int, width: int) -> tuple[tuple[int, int], float]:
    """(width, height) as drawn, and its ratio to the size of the image."""
    side = max(height, width)
    scale = min(_LARGEST_SIDE, max(_SMALLEST_SIDE, side)) / side
    return (max(1, round(width * scale)), max(1, round(height * scale))), scale


def _resized(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float64]:
    resized = Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float64)


def _draw_marks(image: Image.Image, marks: Marks, scale: float) -> None:
    draw = ImageDraw.Draw(image)
    if marks.box is not None:
        top, left, bottom, right = (round(edge * scale) for edge in marks.box)
        draw.rectangle((left, top, right - 1, bottom - 1), outline=(255, 255, 255))
    row, column = ((index + 0.5) * scale for index in marks.peak)
    arm = max(image.size) / 80
    draw.line((column - arm, row, column + arm, row), fill=(0, 255, 255), width=2)
    draw.line((column, row - arm, column, row + arm), fill=(0, 255, 255), width=2)


def _draw_sides(image: Image.Image, sides: Sides | None) -> None:
    """Letters in the middle of each edge: white, outlined in black for any background."""
    if sides is None:
        return
    white, black = (255, 0) if image.mode == "L" else ((255, 255, 255), (0, 0, 0))
    draw = ImageDraw.Draw(image)
    size = max(_SMALLEST_LETTER, min(image.size) / 22)
    font = ImageFont.load_default(size)
    width, height, margin = *image.size, size / 4
    for text, position, anchor in (
        (sides.left, (margin, height / 2), "lm"),
        (sides.right, (width - margin, height / 2), "rm"),
        (sides.top, (width / 2, margin), "mt"),
        (sides.bottom, (width / 2, height - margin), "mb"),
    ):
        draw.text(position, text, white, font, anchor, stroke_width=1, stroke_fill=black)


def _with_bar(image: Image.Image) -> Image.Image:
    """Add a column with the colours from 1, above, to 0."""
    unit = max(image.size) // 32
    bar_height = max(8 * unit, image.height - 4 * unit)
    page = Image.new("RGB", (image.width + 5 * unit, max(image.height, 12 * unit)))
    page.paste(image, (0, 0))
    shades = colors(np.linspace(1.0, 0.0, bar_height))[:, np.newaxis].repeat(unit, axis=1)
    left, top = image.width + unit, 2 * unit
    page.paste(Image.fromarray(np.rint(shades).astype(np.uint8)), (left, top))
    draw = ImageDraw.Draw(page)
    draw.rectangle((left - 1, top - 1, left + unit, top + bar_height), outline=(128, 128, 128))
    font = ImageFont.load_default(1.25 * unit)
    for share in (1.0, 0.5, 0.0):
        middle = top + (1.0 - share) * bar_height
        draw.text((left + 1.4 * unit, middle), f"{share:g}", (220, 220, 220), font, anchor="lm")
    return page


def _with_caption(image: Image.Image, caption: Sequence[str]) -> Image.Image:
    """Write ``caption`` below, each entry a paragraph, in lines as wide as the image."""
    if not caption:
        return image
    size = max(_SMALLEST_LETTER, image.width / 42)
    font = ImageFont.load_default(size)
    margin, step = size / 2, size * 1.35
    room = image.width - 2 * margin
    lines = [line for text in caption for line in _wrapped(text, font, room)]
    page = Image.new("RGB", (image.width, image.height + round(step * len(lines) + margin)))
    page.paste(image, (0, 0))
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        corner = (margin, image.height + margin / 2 + number * step)
        draw.text(corner, line, (235, 235, 235), font)
    return page


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float
) -> Iterator[str]:
    """The words of ``text`` in lines of at most ``room`` pixels, unless one word is wider."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > room:
            yield line
            longer = word
        line = longer
    if line:
        yield line


def _png(image: Image.Image) -> bytes:
    out, info = io.BytesIO(), PngInfo()
    info.add_text(*SOFTWARE)
    image.save(out, "PNG", pnginfo=info)
    return out.getvalue()
