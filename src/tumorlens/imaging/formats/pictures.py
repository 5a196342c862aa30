"""Plain pictures, decoded by Pillow (``imaging.raster``)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tumorlens.imaging.formats.format import Format, begins_with

if TYPE_CHECKING:
    from tumorlens.imaging.image import MedicalImage


def _picture(title: str, suffixes: tuple[str, ...], begins: Callable[[bytes], bool]) -> Format:
    name = title.lower()

    def decode(data: bytes, source: str, _plane: str) -> "MedicalImage":
        from tumorlens.imaging import raster

        return raster.decode(data, name, source)

    return Format(name, title, suffixes, begins, decode)


PICTURES: Final = (
    _picture("JPEG", (".jpg", ".jpeg"), begins_with(b"\xff\xd8\xff")),
    _picture("PNG", (".png",), begins_with(b"\x89PNG\r\n\x1a\n")),
    _picture("TIFF", (".tif", ".tiff"), begins_with(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    _picture("BMP", (".bmp",), begins_with(b"BM")),
    _picture("GIF", (".gif",), begins_with(b"GIF87a", b"GIF89a")),
    _picture("WebP", (".webp",), lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP"),
)
