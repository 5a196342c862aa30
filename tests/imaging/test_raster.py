"""Every way to store the same image gives the same gray pixels."""

import io
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from tumorlens.config import PreprocessConfig
from tumorlens.errors import (
    BlankImageError,
    CorruptInputError,
    LimitExceededError,
    UnsupportedFormatError,
)
from tumorlens.imaging import reader
from tumorlens.imaging.limits import limit_pixels
from tumorlens.imaging.raster import encode
from tumorlens.imaging.samples.gray import Color
from tumorlens.imaging.samples.sample_storage import SWAPPED
from tumorlens.preprocessing import preprocess

Gray = NDArray[np.uint8]


def pillow(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pixels(data: bytes) -> NDArray[np.float32]:
    return reader.read_bytes(data).pixels


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossless_8_bit_gray_is_read_exactly(head: Gray, kind: str, mode: str) -> None:
    image = reader.read_bytes(pillow(Image.fromarray(head).convert(mode), kind))
    np.testing.assert_array_equal(image.pixels, head.astype(np.float32))
    assert (image.bit_depth, image.mode) == (8, mode)
    assert image.pixels.dtype == np.dtype(np.float32)
    assert (image.height, image.width) == head.shape


def test_gif_and_lossless_webp(head: Gray) -> None:
    image = Image.fromarray(head)
    np.testing.assert_array_equal(pixels(pillow(image, "GIF")), head)
    np.testing.assert_array_equal(pixels(pillow(image, "WEBP", lossless=True)), head)


def test_gray_jpeg_stored_as_rgb_equals_gray_jpeg(head: Gray) -> None:
    gray = pixels(encode.jpeg(head, 95))
    assert np.abs(gray - head).max() < 40
    stacked = np.repeat(gray[..., np.newaxis], 3, axis=2).astype(np.uint8)
    np.testing.assert_array_equal(pixels(encode.png(stacked)), gray)


def test_palette_with_and_without_transparency(head: Gray) -> None:
    coarse = head // 32 * 32
    palette = Image.fromarray(coarse).convert("P")
    np.testing.assert_array_equal(pixels(pillow(palette, "PNG")), coarse)
    brightest = int(np.asarray(palette).max())
    clear = pixels(pillow(palette, "PNG", transparency=brightest))
    expected = np.where(np.asarray(palette) == brightest, 0, coarse)
    np.testing.assert_array_equal(clear, expected)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_laid_over_black(head: Gray, mode: str) -> None:
    image = Image.fromarray(head).convert(mode)
    np.testing.assert_array_equal(pixels(pillow(image, "PNG")), head)
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 50, 50))
    alpha.paste(128, (50, 0, 100, 50))
    image.putalpha(alpha)
    opacity = np.asarray(alpha, dtype=np.float64) / 255
    np.testing.assert_array_equal(pixels(pillow(image, "PNG")), np.rint(head * opacity))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_transparent_color_is_black(head: Gray, mode: str) -> None:
    image = Image.fromarray(head).convert(mode)
    key = 220 if mode == "L" else (220, 220, 220)
    expected = np.where(head == 220, 0, head)
    np.testing.assert_array_equal(pixels(pillow(image, "PNG", transparency=key)), expected)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_color_of_any_depth_is_black(
    head: Gray, write_png: Callable[..., bytes], bits: int, channels: int
) -> None:
    stored = head.astype(np.uint16) * 257 >> (16 - bits)
    key = int(stored.max())
    scale = 255 // (2**bits - 1) if bits < 8 else 1
    expected = np.where(stored == key, 0, stored) * scale
    samples = stored if channels == 1 else np.repeat(stored[..., np.newaxis], 3, axis=2)
    if channels == 1 or bits >= 8:
        np.testing.assert_array_equal(pixels(write_png(samples, bits, key)), expected)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("highest", [4000, 65535])
def test_bytes_in_the_other_order_than_stated(head: Gray, kind: str, highest: int) -> None:
    wide = (gaussian_filter(head / 255, 1) * highest).astype(np.uint16)
    for stored, notes in ((wide, ()), (wide.byteswap(), (SWAPPED,))):
        image = reader.read_bytes(pillow(Image.fromarray(stored), kind))
        np.testing.assert_array_equal(image.pixels, wide)
        assert image.notes == notes


def test_bilevel(head: Gray) -> None:
    image = reader.read_bytes(pillow(Image.fromarray(head > 50), "PNG"))
    np.testing.assert_array_equal(image.pixels, np.where(head > 50, 255, 0))
    assert (image.bit_depth, image.mode) == (1, "1")


def test_cmyk_keeps_what_is_brighter(head: Gray) -> None:
    cmyk = Image.fromarray(head).convert("RGB").convert("CMYK")
    for kind in ("TIFF", "JPEG"):
        found = pixels(pillow(cmyk, kind))
        assert np.corrcoef(found.ravel(), head.ravel().astype(float))[0, 1] > 0.99


def test_color_is_weighed_as_jpeg_does() -> None:
    color = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    expected = (color.astype(int) @ np.array([299, 587, 114]) + 500) // 1000
    np.testing.assert_array_equal(pixels(encode.png(color)), expected)


def test_16_bit_and_float_gray(head: Gray, write_tiff: Callable[..., bytes]) -> None:
    wide = head.astype(np.uint16) * 257
    for data in (encode.png(wide), encode.tiff(wide), write_tiff(wide, order=">")):
        image = reader.read_bytes(data)
        np.testing.assert_array_equal(image.pixels, wide.astype(np.float32))
        assert image.bit_depth == 16
    share = head.astype(np.float32) / 255
    for order in "<>":
        image = reader.read_bytes(write_tiff(share, order=order))
        np.testing.assert_array_equal(image.pixels, share)
        assert image.bit_depth == 32
    signed = head.astype(np.int16) - 1000
    np.testing.assert_array_equal(pixels(write_tiff(signed)), signed)


def test_white_is_zero_is_turned_at_every_depth(
    head: Gray, write_tiff: Callable[..., bytes]
) -> None:
    config = PreprocessConfig(image_size=64)
    expected = preprocess(head.astype(np.float32), config).astype(int)
    negatives = (255 - head, 65535 - head.astype(np.uint16), -head.astype(np.float32))
    for negative in negatives:
        found = preprocess(pixels(write_tiff(negative, photometric=0)), config)
        assert np.abs(found - expected).max() <= 1


def test_one_image_in_every_depth_is_one_network_input(
    head: Gray, write_tiff: Callable[..., bytes], write_png: Callable[..., bytes]
) -> None:
    wide, plain = head.astype(np.uint16) * 257, head.astype(np.uint16)
    color = np.repeat(wide[..., np.newaxis], 3, axis=2)
    variants = {
        "png 16 x257": encode.png(wide),
        "png 16 plain": encode.png(plain),
        "tiff 16 x257": encode.tiff(wide),
        "tiff 16 plain": encode.tiff(plain),
        "tiff 16 big-endian": write_tiff(wide, order=">"),
        "tiff 16 deflated": write_tiff(wide, deflate=True),
        "tiff float": encode.tiff((head / 255).astype(np.float32)),
        "tiff float in Hounsfield": encode.tiff(head.astype(np.float32) * 12 - 1024),
        "png 16 rgb": write_png(color),
        "png 16 rgb plain": write_png(color // 257),
        "tiff 16 rgb": write_tiff(color),
        "webp": pillow(Image.fromarray(head), "WEBP", lossless=True),
    }
    config = PreprocessConfig(image_size=96)
    expected = preprocess(pixels(encode.png(head)), config).astype(int)
    for name, data in variants.items():
        off = np.abs(preprocess(pixels(data), config) - expected)
        assert off.max() <= 1, name
        assert np.count_nonzero(off) <= 2, name


def test_exif_orientation(head: Gray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate 90 degrees clockwise to view"
    stored = pillow(Image.fromarray(head), "PNG", exif=exif)
    np.testing.assert_array_equal(pixels(stored), np.rot90(head, -1))
    turned = pixels(pillow(Image.fromarray(head), "JPEG", exif=exif, quality=95))
    assert turned.shape == head.shape[::-1]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_is_a_stack(head: Gray, kind: str) -> None:
    """As a TIFF of the same pages: the first image alone would be answered for all."""
    pages = [head, 255 - head, head // 2, np.roll(head, 9)]
    first, *others = (Image.fromarray(page) for page in pages)
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    data = pillow(first, kind, save_all=True, append_images=others, **options)
    image = reader.read_bytes(data)
    np.testing.assert_array_equal(image.pixels, pages)
    assert image.notes == ("the 4 images of an animation are read as slices",)


def test_the_image_instead_of_an_animation_is_no_frame(head: Gray) -> None:
    """PNG may begin with an image for programs that show no animations."""
    frames = [head, 255 - head, head // 2]
    for count in (3, 1):
        others = [Image.fromarray(frame) for frame in frames[:count]]
        other = Image.fromarray(np.zeros_like(head))
        data = pillow(other, "PNG", save_all=True, default_image=True, append_images=others)
        image = reader.read_bytes(data)
        np.testing.assert_array_equal(image.pixels, frames if count > 1 else head)
        told = ("the 3 images of an animation are read as slices",)
        assert image.notes == (told if count > 1 else ())


def test_an_animation_in_colour_or_with_holes_is_read_as_it_is_shown(head: Gray) -> None:
    """A palette for each image, and images that only state what differs from the one before."""
    colors = np.stack([head, head, head // 2], axis=2)
    moved = colors.copy()
    moved[60:90, 60:90] = 0
    first, second = Image.fromarray(colors), Image.fromarray(moved)
    for kind in ("PNG", "GIF"):
        image = reader.read_bytes(pillow(first, kind, save_all=True, append_images=[second]))
        assert image.pixels.shape == (2, *head.shape)
        assert (image.pixels[1, 60:90, 60:90] == 0).all()
        np.testing.assert_array_equal(image.pixels[0, :60], image.pixels[1, :60])


def test_an_image_beside_previews_is_noted(head: Gray) -> None:
    """MPO: a JPEG with further ones, a preview or the depth, behind it."""
    first, second = Image.fromarray(head), Image.fromarray(head // 2)
    image = reader.read_bytes(pillow(first, "MPO", save_all=True, append_images=[second]))
    assert not image.is_volume
    assert image.notes == ("the first of 2 images in the file is read",)


def test_unsigned_samples_of_32_bits(head: Gray, write_tiff: Callable[..., bytes]) -> None:
    wide = head.astype(np.uint32) * 0x01010101
    image = reader.read_bytes(write_tiff(wide))
    np.testing.assert_array_equal(image.pixels, wide.astype(np.float32))
    signed = head.astype(np.int32) * 0x00808080
    np.testing.assert_array_equal(pixels(write_tiff(signed)), signed.astype(np.float32))


def test_signed_samples_of_8_bits(head: Gray, write_tiff: Callable[..., bytes]) -> None:
    signed = (head.astype(np.int16) - 128).astype(np.int8)
    np.testing.assert_array_equal(pixels(write_tiff(signed)), head)
    wide = signed.astype(np.int16) * 100
    np.testing.assert_array_equal(pixels(write_tiff(wide)), wide)


def test_tiff_of_several_pages_is_a_stack(head: Gray, write_tiff: Callable[..., bytes]) -> None:
    wide = head.astype(np.uint16) * 3
    image = reader.read_bytes(write_tiff(wide, pages=3, deflate=True))
    np.testing.assert_array_equal(image.pixels, [wide] * 3)
    assert (image.is_volume, image.depth, image.bit_depth, image.facts) == (True, 3, 16, None)
    pages = [Image.fromarray(page) for page in (head, head // 2, head // 3)]
    out = io.BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(pixels(out.getvalue()), [head, head // 2, head // 3])
    thumbnail = write_tiff(head, pages=2, second_is_thumbnail=True)
    np.testing.assert_array_equal(pixels(thumbnail), head)


def test_tiff_of_pages_that_are_no_stack(head: Gray, write_tiff: Callable[..., bytes]) -> None:
    first, second = Image.fromarray(head), Image.fromarray(head[:100])
    data = pillow(first, "TIFF", save_all=True, append_images=[second])
    with pytest.raises(UnsupportedFormatError, match="page 2 differs from the first"):
        reader.read_bytes(data)
    color = np.repeat(head.astype(np.uint16)[..., np.newaxis], 3, axis=2)
    with pytest.raises(UnsupportedFormatError, match="pages of 16-bit colour"):
        reader.read_bytes(write_tiff(color, pages=2))


def test_tiff_of_too_many_pages(write_tiff: Callable[..., bytes]) -> None:
    page = np.zeros((32, 32), dtype=np.uint8)
    with pytest.raises(LimitExceededError, match="5000 slices are more than the limit"):
        reader.read_bytes(write_tiff(page, pages=5000))


def compressed_by(data: bytes, scheme: int, pages: slice = slice(None)) -> bytes:
    """A TIFF that states another compression for these of its pages."""
    entry = struct.pack("<2HI", 259, 3, 1)
    before, *after = data.split(entry)
    changed = list(after)
    changed[pages] = [struct.pack("<H", scheme) + part[2:] for part in after[pages]]
    return entry.join([before, *changed])


@pytest.mark.parametrize(
    ("scheme", "name"),
    [
        (6, "old-style JPEG"), (33003, "JPEG 2000"), (34712, "JPEG 2000"), (34887, "LERC"),
        (34934, "JPEG XR"), (50001, "WebP"), (50002, "JPEG XL"), (52546, "JPEG XL"),
        (65000, "scheme 65000"),
    ],
)  # fmt: skip
def test_tiff_of_a_compression_that_is_not_read_names_it(
    head: Gray, scheme: int, name: str
) -> None:
    one = pillow(Image.fromarray(head), "TIFF")
    two = pillow(
        Image.fromarray(head), "TIFF", save_all=True, append_images=[Image.fromarray(head)]
    )
    words = f"TIFF compressed by {name} is not supported; save it uncompressed, or with LZW"
    with pytest.raises(UnsupportedFormatError, match=words):
        reader.read_bytes(compressed_by(one, scheme))
    if name not in ("old-style JPEG", "WebP"):  # which Pillow knows
        with pytest.raises(UnsupportedFormatError, match=words):
            reader.read_bytes(compressed_by(two, scheme, slice(1, 2)))


@pytest.mark.parametrize("scheme", [5, 7, 8, 50000])
def test_tiff_that_is_not_compressed_as_it_states_is_damaged(head: Gray, scheme: int) -> None:
    data = compressed_by(pillow(Image.fromarray(head), "TIFF"), scheme)
    with pytest.raises(CorruptInputError, match="damaged TIFF"):
        reader.read_bytes(data)


def test_big_tiff_in_big_endian_order_says_what_to_do() -> None:
    data = b"MM\0+\0\x08\0\0" + struct.pack(">Q", 16) + bytes(100)
    with pytest.raises(UnsupportedFormatError, match=r"big-endian byte order .* save it as TIFF"):
        reader.read_bytes(data)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["float16", "float64", "int64", "uint64"])
def test_tiff_of_other_samples_names_them(
    head: Gray, write_tiff: Callable[..., bytes], kind: str, order: str
) -> None:
    with pytest.raises(UnsupportedFormatError, match=f"samples of type {kind} are not supported"):
        pixels(write_tiff(head.astype(kind), order=order))


@pytest.mark.parametrize(
    ("kind", "count", "photometric"),
    [("uint16", 2, 1), ("float32", 2, 1), ("float32", 3, 2), ("uint8", 3, 1), ("uint8", 24, 1)],
)
def test_tiff_of_several_samples_a_pixel_that_are_not_read(
    head: Gray,
    write_tiff: Callable[..., bytes],
    capfd: pytest.CaptureFixture[str],
    kind: str,
    count: int,
    photometric: int,
) -> None:
    samples = np.stack([head] * count, axis=-1).astype(kind)
    words = f"samples of type {count} x {kind} are not supported; save them as gray"
    with pytest.raises(UnsupportedFormatError, match=words):
        pixels(write_tiff(samples, photometric=photometric))
    assert capfd.readouterr().err == ""


def test_tiff_of_pages_that_are_volumes(head: Gray) -> None:
    data = pillow(Image.fromarray(head), "TIFF", tiffinfo={32997: 4})
    with pytest.raises(UnsupportedFormatError, match="a page of 4 slices is not supported"):
        reader.read_bytes(data)


def test_jpeg_of_another_kind_says_what_to_do(head: Gray) -> None:
    data = pillow(Image.fromarray(head), "JPEG")
    at = data.index(b"\xff\xc0")
    of_12_bits = data[: at + 4] + b"\x0c" + data[at + 5 :]
    with pytest.raises(CorruptInputError, match=r"not of 8 bits, .* save it as PNG"):
        reader.read_bytes(of_12_bits)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("kind", ["int16", "uint16", "int32", "float32"])
def test_tiff_of_wide_samples_in_either_sample_storage(
    head: Gray, write_tiff: Callable[..., bytes], kind: str, deflate: bool, order: str
) -> None:
    data = write_tiff(head.astype(kind), order=order, deflate=deflate)
    np.testing.assert_array_equal(pixels(data), head)


def test_non_finite_floats_become_the_darkest_value(head: Gray) -> None:
    odd = head.astype(np.float32)
    odd[0, :4] = [np.nan, np.inf, -np.inf, 3.4e38]
    found = pixels(encode.tiff(odd))
    assert found[0, :4].tolist() == [3, 3, 3, 3]
    np.testing.assert_array_equal(found[1:], head[1:])
    with pytest.raises(BlankImageError, match="no pixel has a finite value"):
        reader.read_bytes(encode.tiff(np.full((40, 40), np.nan, np.float32)))


@pytest.mark.parametrize("side", [32, 8192])
def test_smallest_and_largest_side(side: int) -> None:
    strip = np.zeros((32, side), dtype=np.uint8)
    assert pixels(encode.png(strip)).shape == (32, side)


@pytest.mark.parametrize("shape", [(31, 100), (100, 31), (32, 8193)])
def test_sides_outside_the_limits(shape: tuple[int, int]) -> None:
    with pytest.raises(LimitExceededError, match=f"{shape[1]}x{shape[0]} pixels; sides must be"):
        reader.read_bytes(encode.png(np.zeros(shape, dtype=np.uint8)))


def test_header_bomb_is_refused_before_decoding(head: Gray) -> None:
    png = bytearray(encode.png(head))
    png[16:24] = struct.pack(">II", 100_000, 100_000)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    with pytest.raises(LimitExceededError, match=r"bomb\.png: has more than 8,192 × 8,192 pixels"):
        reader.read_bytes(bytes(png), "bomb.png")


@pytest.mark.parametrize("encoder", [encode.png, encode.tiff, encode.jpeg])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_files_are_corrupt(
    head: Gray, encoder: Callable[[Gray], bytes], share: float
) -> None:
    data = encoder(head)
    with pytest.raises(CorruptInputError, match=r"^cut: ") as caught:
        reader.read_bytes(data[: int(len(data) * share)], "cut")
    assert "\n" not in str(caught.value)
    assert caught.value.kind == "corrupt"


def test_signature_alone_is_corrupt() -> None:
    for signature in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"BM", b"GIF89a"):
        with pytest.raises(CorruptInputError):
            reader.read_bytes(signature + b"\0" * 20)


def test_threads_leave_the_warning_filters_as_they_were(head: Gray) -> None:
    before = list(warnings.filters)
    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    start = threading.Barrier(4)

    def work(_: int) -> None:
        start.wait()
        for _ in range(20):
            reader.read_bytes(encode.png(head[:40, :40]))

    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
    finally:
        sys.setswitchinterval(old)
    assert list(warnings.filters) == before


def test_fewer_pixels_where_strangers_send_them(head: Gray) -> None:
    """``limit_pixels`` holds in its own thread or task, and no longer than it is open."""
    data = encode.png(head)
    with limit_pixels(head.size):
        assert reader.read_bytes(data).pixels.shape == head.shape
    with limit_pixels(head.size - 1), pytest.raises(LimitExceededError, match="the limit here"):
        reader.read_bytes(data)
    with limit_pixels(1), ThreadPoolExecutor(1) as pool:
        assert pool.submit(reader.read_bytes, data).result().pixels.shape == head.shape
    assert reader.read_bytes(data).pixels.shape == head.shape


def described(pages: NDArray[np.generic], description: str) -> bytes:
    """A TIFF of several pages with an ImageDescription."""
    out = io.BytesIO()
    first, *others = (Image.fromarray(page) for page in pages)
    first.save(out, "TIFF", save_all=True, append_images=others, tiffinfo={270: description})
    return out.getvalue()


IMAGEJ = "ImageJ=1.53t\nimages=6\nchannels=2\nslices=3\nhyperstack=true\n"
OME = '<OME><Image><Pixels DimensionOrder="{}" SizeX="9" SizeC="{}" SizeT="{}" SizeZ="3"/></Image>'


@pytest.mark.parametrize(
    ("description", "is_last"),
    [
        (IMAGEJ, True),
        (IMAGEJ.replace("channels", "frames"), False),
        (OME.format("XYCZT", 2, 1), True),
        (OME.format("XYZCT", 2, 1), False),
        (OME.format("XYCZT", 1, 2), False),
        ('{"shape": [3, 2, 200, 180], "axes": "ZCYX"}', True),
    ],
)
def test_channels_and_time_points_of_a_tiff_are_not_mixed(
    head: Gray, description: str, is_last: bool
) -> None:
    """Whatever program says which axis lies between the slices."""
    volume = np.stack([head, head // 2, head // 3])
    both = np.stack([volume, 255 - volume], axis=1 if is_last else 0).reshape(6, *head.shape)
    image = reader.read_bytes(described(both, description))
    np.testing.assert_array_equal(image.pixels, volume)
    assert image.notes == ("the first of 2 volumes is read",)


def test_slices_that_a_program_calls_otherwise(head: Gray) -> None:
    pages = np.stack([head, head // 2])
    for description, notes in (
        ("ImageJ=1.53t\nimages=2\nslices=2\n", ()),
        ("ImageJ=1.53t\nimages=2\n", ()),
        ("ImageJ=1.53t\nimages=x\n", ()),
        ("{no json", ()),
        ("of a scanner", ()),
        (
            "ImageJ=1.53t\nimages=2\nchannels=2\n",
            ("the 2 images are channels or time points; read as slices",),
        ),
        (OME.format("XYCZT", 1, 1), ("the file states 3 images; 2 of them are in it",)),
    ):
        image = reader.read_bytes(described(pages, description))
        np.testing.assert_array_equal(image.pixels, pages)
        assert image.notes == notes


def test_a_stack_of_which_a_tiff_lists_one_page(head: Gray) -> None:
    """As ImageJ writes large ones: the first slice alone would be answered for all."""
    for description in (IMAGEJ, '{"shape": [6, 200, 180], "axes": "ZYX"}'):
        with pytest.raises(UnsupportedFormatError, match="a stack of 6 images"):
            reader.read_bytes(described(head[np.newaxis], description))
    colour = np.stack([head] * 3, axis=-1)[np.newaxis]
    image = reader.read_bytes(described(colour, OME.format("XYCZT", 3, 1).replace('"3"/', '"1"/')))
    np.testing.assert_array_equal(image.pixels, head)


@pytest.mark.parametrize("alpha", [0, 255])
@pytest.mark.parametrize("size", [40, 56, 108, 124])
def test_a_bitmap_whose_fourth_bytes_are_zero_is_an_image(
    head: Gray, alpha: int, size: int
) -> None:
    """BMP of 32 bits, with any header: what most writers leave zero is no transparency."""
    pixels = np.dstack([head, head, head, np.full_like(head, alpha)])[::-1].tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) if size > 40 else b""
    info = struct.pack(
        "<IiiHHIIiiII", size, head.shape[1], head.shape[0], 1, 32, 3 if masks else 0,
        len(pixels), 0, 0, 0, 0,
    ) + masks  # fmt: skip
    start = 14 + size
    data = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    image = reader.read_bytes(data + info.ljust(size, b"\0") + pixels)
    np.testing.assert_array_equal(image.pixels, head)
    assert image.notes == ()


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "P", "CMYK"])
@pytest.mark.parametrize(("share", "is_vivid"), [(1.0, True), (0.05, False), (0.0, False)])
def test_images_in_colours_are_vivid(head: Gray, kind: str, share: float, is_vivid: bool) -> None:
    """Gray stored as colour, and a few coloured letters on it, are no map."""
    colors = np.repeat(head[..., None], 3, axis=2)
    colors[: int(len(colors) * share), :, 2] = 0
    out = io.BytesIO()
    made = Image.fromarray(colors).convert(kind, palette=Image.Palette.ADAPTIVE)
    made.save(out, "TIFF" if kind == "CMYK" else "PNG")
    image = reader.read_bytes(out.getvalue())
    assert (image.color, image.notes) == (Color.VIVID if is_vivid else Color.GRAY, ())


@pytest.mark.parametrize("scales", [(1, 2, 4), (4, 1), (2, 1, 3)])
def test_smaller_copies_of_a_page_are_left_out(head: Gray, scales: tuple[int, ...]) -> None:
    """A pyramid or a preview whose pages do not say so."""
    first, *others = (
        Image.fromarray(head).resize((head.shape[1] // scale, head.shape[0] // scale))
        for scale in scales
    )
    out = io.BytesIO()
    first.save(out, "TIFF", save_all=True, append_images=others)
    image = reader.read_bytes(out.getvalue())
    np.testing.assert_array_equal(image.pixels, head)
    count = len(scales) - 1
    assert image.notes == (f"smaller images of the same shape are left out: {count}",)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_an_opacity_that_is_zero_everywhere_is_not_used(head: Gray, mode: str, kind: str) -> None:
    """As in images that came from the clipboard, whose bitmaps leave it unused."""
    gray, opacity = Image.fromarray(head), Image.new("L", head.shape[::-1], 0)
    image = Image.merge(mode, [gray] * (len(mode) - 1) + [opacity])
    out = io.BytesIO()
    image.save(out, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(reader.read_bytes(out.getvalue()).pixels, head)
