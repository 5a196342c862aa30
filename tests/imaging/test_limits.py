"""Hostile files end in a typed error, in bounded memory: each is read in a process of its own."""

import io
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from tumorlens.errors import LimitExceededError
from tumorlens.imaging import limits
from tumorlens.imaging.limits import check_sides, check_volume
from tumorlens.imaging.raster import encode

Gray = NDArray[np.uint8]
Write = Callable[..., bytes]

_READ = """
import resource, sys
from tumorlens.imaging.study import read_study
import tumorlens.imaging.dicom.reader, tumorlens.imaging.volumes.nifti
import tumorlens.imaging.raster.pillow
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
study = read_study(sys.argv[1])
kinds = sorted({error.kind for _, error in study.failures})
print(len(study.images), *kinds, (peak() - before) // 1024)
"""


def read(path: Path) -> tuple[int, list[str], int]:
    """How many images come out, the kinds of errors, and the mebibytes it took at most."""
    found = subprocess.run(
        [sys.executable, "-c", _READ, str(path)], capture_output=True, text=True, check=True,
        timeout=120,
    )  # fmt: skip
    assert found.stderr == ""
    images, *kinds, peak = found.stdout.split()
    return int(images), kinds, int(peak)


@pytest.mark.parametrize("shape", [(31, 40), (40, 31), (8193, 40), (40, 8193)])
def test_sides(shape: tuple[int, int]) -> None:
    with pytest.raises(LimitExceededError, match="sides must be 32 to 8192"):
        check_sides(*shape, "here")
    check_sides(32, 8192, "here")


def test_volumes() -> None:
    check_volume((512, 512, 512), "here")
    with pytest.raises(LimitExceededError, match="voxels are more than the limit"):
        check_volume((513, 512, 512), "here")
    with pytest.raises(LimitExceededError, match="4097 slices are more than the limit"):
        check_volume((4097, 32, 32), "here")


def png_bomb() -> bytes:
    """Claims 60,000 x 60,000 pixels of colour."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1 << 24))
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux counts it")
class TestBombs:
    """Each would take gigabytes if it were believed."""

    def test_zip_of_zeros(self, tmp_path: Path, head: Gray, write_dicom: Write) -> None:
        dicom = write_dicom(head)
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("image", encode.png(head))
            archive.writestr("plain", bytes(200 << 20))
            with archive.open("dicom", "w", force_zip64=True) as member:
                member.write(dicom[:400])
                for _ in range(300):
                    member.write(bytes(1 << 20))
        assert (tmp_path / "a.zip").stat().st_size < 1 << 20
        images, kinds, peak = read(tmp_path / "a.zip")
        assert (images, kinds) == (1, ["limit"])
        assert peak < 100

    def test_zip_that_unfolds_to_too_much_in_all(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for index in range(21):
                archive.writestr(str(index), b"x")
        data = bytearray((tmp_path / "a.zip").read_bytes())
        at = -1
        while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
            data[at + 24 : at + 28] = struct.pack("<I", 200 << 20)
        (tmp_path / "a.zip").write_bytes(bytes(data))
        assert read(tmp_path / "a.zip")[:2] == (0, ["limit"])

    def test_zip_with_too_many_names(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for index in range(limits.MAX_STUDY_FILES + 1):
                archive.writestr(f"{index}", b"")
        assert read(tmp_path / "a.zip")[:2] == (0, ["limit"])
        data = bytearray((tmp_path / "a.zip").read_bytes())
        end = data.rindex(b"PK\x05\x06")
        data[end + 12 : end + 16] = struct.pack("<I", 1 << 30)  # the size of the list
        (tmp_path / "a.zip").write_bytes(bytes(data))
        assert read(tmp_path / "a.zip")[:2] == (0, ["limit"])

    def test_png_of_absurd_dimensions(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(png_bomb())
        images, kinds, peak = read(tmp_path / "a")
        assert (images, kinds) == (0, ["limit"])
        assert peak < 100

    def test_deflated_dicom(self, tmp_path: Path, head: Gray, write_dicom: Write) -> None:
        plain = write_dicom(head, syntax=DeflatedExplicitVRLittleEndian)
        start = 132 + 12 + struct.unpack("<I", plain[140:144])[0]
        deflater = zlib.compressobj(9, wbits=-15)
        body = b"".join(deflater.compress(bytes(1 << 24)) for _ in range(40)) + deflater.flush()
        (tmp_path / "a").write_bytes(plain[:start] + body)
        images, kinds, peak = read(tmp_path / "a")
        assert (images, kinds) == (0, ["limit"])
        assert peak < 2.5 * limits.MAX_INFLATED_BYTES / (1 << 20)

    def test_dicom_of_60000_frames(self, tmp_path: Path, head: Gray, write_dicom: Write) -> None:
        (tmp_path / "a").write_bytes(write_dicom(head, NumberOfFrames=60_000))
        (tmp_path / "b").write_bytes(write_dicom(head, NumberOfFrames=4000, SeriesInstanceUID="1"))
        (tmp_path / "c").write_bytes(write_dicom(head, NumberOfFrames=2000, SeriesInstanceUID="2"))
        images, kinds, peak = read(tmp_path)
        assert (images, kinds) == (0, ["corrupt", "limit"])
        assert peak < 500

    @pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless])
    def test_codestream_larger_than_stated(
        self, tmp_path: Path, head: Gray, write_dicom: Write, syntax: str
    ) -> None:
        """A frame that says 200 x 180 around a codestream of 60,000 x 60,000."""
        if syntax == JPEGBaseline8Bit:
            frame = bytearray(encode.jpeg(head))
            at = frame.index(b"\xff\xc0")
            frame[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
        else:
            from PIL import Image

            out = io.BytesIO()
            Image.fromarray(head).save(out, "JPEG2000", no_jp2=True, irreversible=False)
            frame = bytearray(out.getvalue())
            at = frame.index(b"\xff\x51")
            frame[at + 6 : at + 14] = struct.pack(">II", 60_000, 60_000)
        stored = encapsulate([bytes(frame)])
        (tmp_path / "a").write_bytes(write_dicom(head, syntax=syntax, PixelData=stored))
        images, kinds, peak = read(tmp_path / "a")
        assert (images, kinds) == (0, ["corrupt"])
        assert peak < 100

    def test_run_lengths_that_unfold_to_more(
        self, tmp_path: Path, head: Gray, write_dicom: Write
    ) -> None:
        frame = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x00" * (20 << 20)
        data = write_dicom(head, syntax=RLELossless, PixelData=encapsulate([frame]))
        (tmp_path / "a").write_bytes(data)
        images, kinds, peak = read(tmp_path / "a")
        assert (images, kinds) == (0, ["limit"])
        assert peak < 400

    def test_a_symlink_loop(self, tmp_path: Path, head: Gray, write_dicom: Write) -> None:
        (tmp_path / "study" / "sub").mkdir(parents=True)
        (tmp_path / "study" / "sub" / "a").write_bytes(write_dicom(head))
        (tmp_path / "study" / "sub" / "loop").symlink_to(tmp_path / "study")
        (tmp_path / "study" / "self").symlink_to("self")
        images, kinds, _ = read(tmp_path / "study")
        assert (images, kinds) == (1, [])
        assert read(tmp_path / "study" / "self")[:2] == (0, ["missing"])
