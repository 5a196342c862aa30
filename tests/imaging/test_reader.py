"""Files are read by their first bytes, and what cannot be read says why."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.imaging.recognised import rows

from tumorlens.errors import LimitExceededError, MissingInputError, UnsupportedFormatError
from tumorlens.imaging import limits, reader
from tumorlens.imaging.formats import foreign, registry
from tumorlens.imaging.raster import encode

Gray = NDArray[np.uint8]


def words(*numbers: int) -> bytes:
    """Four bytes each, as MGH begins."""
    return b"".join(number.to_bytes(4, "big") for number in numbers)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"),
        (b"II+\0", "tiff"),
        (b"BM", "bmp"),
        (b"GIF89a", "gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\x10\0\0\0WAVE", None),
        (bytes(128) + b"DICM", "dicom"),
        (b"II*\0" + bytes(124) + b"DICM", "dicom"),
        (b"\x02\0\0\0UL\x04\0", "dicom"),
        (b"\x08\0\x05\0CS\x0a\0", "dicom"),
        (b"\x08\0\x08\0\x1a\0\0\0", "dicom"),
        (b"\x08\0\x08\0\xff\xff\xff\xff", None),
        (bytes(344) + b"n+1\0", "nifti"),
        (b"\x1c\x02\0\0n+2\0\r\n\x1a\n", "nifti"),
        (gzip.compress(bytes(344) + b"n+1\0", mtime=0), "nifti"),
        (b"NRRD0004\ntype: short\n", "nrrd"),
        (words(1, 256, 256, 256, 1, 0), "mgh"),
        (gzip.compress(words(1, 64, 64, 9, 1, 3), mtime=0), "mgh"),
        (words(1, 64, 64, 9, 1, 11), None),
        (words(1, 64, 0, 9, 1, 3), None),
        (words(1, 64, 64, 9, 1), None),
        (words(2, 64, 64, 9, 1, 3), None),
        (gzip.compress(b"text", mtime=0), None),
        (b"\x1f\x8b\x08", None),
        (b"PK\x03\x04", "zip"),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_sniff(start: bytes, kind: str | None) -> None:
    assert registry.sniff(start) == kind


def test_suffixes_do_not_matter(tmp_path: Path, head: Gray) -> None:
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(encode.png(head))
    image = reader.read(path)
    np.testing.assert_array_equal(image.pixels, head)
    assert image.source == str(path)


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"nothing\.png: no such file"):
        reader.read(tmp_path / "nothing.png")
    (tmp_path / "link.png").symlink_to("content-that-was-not-fetched")
    with pytest.raises(MissingInputError, match=r"link\.png: is a link to a file that is missing"):
        reader.read(tmp_path / "link.png")
    with pytest.raises(MissingInputError, match="is a folder, not a file"):
        reader.read(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(UnsupportedFormatError, match=r"empty\.png: is empty$"):
        reader.read(tmp_path / "empty.png")
    (tmp_path / "notes.png").write_text("patient feels well")
    with pytest.raises(UnsupportedFormatError, match="is not an image that tumorlens can read"):
        reader.read(tmp_path / "notes.png")
    (tmp_path / "study.zip").write_bytes(b"PK\x03\x04" + bytes(60))
    with pytest.raises(UnsupportedFormatError, match="is a zip archive: unpack it"):
        reader.read(tmp_path / "study.zip")


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no such file"):
        reader.read("nul\0.png")
    with pytest.raises(MissingInputError, match="cannot be opened"):
        reader.read(tmp_path / ("x" * 5000))
    (tmp_path / "file").touch()
    with pytest.raises(MissingInputError, match="cannot be opened"):
        reader.read(tmp_path / "file" / "below.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(MissingInputError, match="is not a regular file"):
        reader.read(tmp_path / "pipe.png")


def test_a_file_without_permission(tmp_path: Path, head: Gray) -> None:
    path = tmp_path / "locked.png"
    path.write_bytes(encode.png(head))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    with pytest.raises(MissingInputError, match="cannot be opened \\(Permission denied\\)"):
        reader.read(path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(limits.MAX_FILE_BYTES + 1)  # sparse: takes no disk
    with pytest.raises(LimitExceededError, match="more than the limit"):
        reader.read(path)


@pytest.mark.parametrize(("name", "claims"), rows("claims"))
def test_names_that_claim_an_image(name: str, claims: bool) -> None:
    assert registry.claims_image(name) == registry.claims_image(name.upper()) == claims


def test_the_page_is_asked_about_every_suffix_that_claims_an_image() -> None:
    asked = {name for name, claims in rows("claims") if claims}
    known = (*foreign.SUFFIXES, *(suffix for one in registry.FORMATS for suffix in one.suffixes))
    assert {f"a{suffix}" for suffix in known} <= asked


@pytest.mark.parametrize(("at", "start", "name", "advice"), rows("formats"))
def test_other_formats_are_named_and_say_what_to_do(
    at: int, start: str, name: str, advice: str
) -> None:
    data = bytes(at) + start.encode("latin-1") + bytes(344)
    with pytest.raises(UnsupportedFormatError) as caught:
        reader.read_bytes(data, "here")
    assert str(caught.value) == f"here: is {name}, which is not supported; {advice}"


def test_the_page_is_asked_about_every_format_that_is_named() -> None:
    asked = {(at, start.encode("latin-1")) for at, start, _, _ in rows("formats")}
    assert {(at, signature) for at, signature, _, _ in foreign._SIGNATURES} < asked


def test_a_long_file_that_begins_like_analyze_is_not_named_so() -> None:
    with pytest.raises(UnsupportedFormatError, match="is not an image that tumorlens can read"):
        reader.read_bytes(b"\x5c\x01\0\0" + bytes(2000))


@pytest.mark.parametrize("name", ["head.img", "HEAD.HDR", "head.img.gz"])
def test_half_of_a_pair_says_so(name: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"of a pair of \.hdr and \.img one alone"):
        reader.read_bytes(bytes(range(256)) * 40, name)
