"""Plain images, decoded by Pillow (``imaging.raster.pillow``)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tumorlens.imaging.formats.format import Format, begins_with

if TYPE_CHECKING:
    from tumorlens.imaging.image import MedicalImage


def _image_format(title: str, suffixes: tuple[str, ...], begins: Callable[[bytes], bool]) -> Format:
    name = title.lower()

    def decode(data: bytes, source: str, _plane: str) -> "MedicalImage":
        from tumorlens.imaging.raster import pillow

        return pillow.decode(data, name, source)

    return Format(name, title, suffixes, begins, decode)


IMAGES: Final = (
    _image_format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), begins_with(b"\xff\xd8\xff")),
    _image_format("PNG", (".png",), begins_with(b"\x89PNG\r\n\x1a\n")),
    _image_format("TIFF", (".tif", ".tiff"), begins_with(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    _image_format("BMP", (".bmp",), begins_with(b"BM")),
    _image_format("GIF", (".gif",), begins_with(b"GIF87a", b"GIF89a")),
    _image_format("WebP", (".webp",), lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP"),
)
