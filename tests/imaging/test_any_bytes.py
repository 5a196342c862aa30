"""Any bytes give an image or an ``InputError``, and never anything else."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)
from tests.imaging import written

from tumorlens.errors import InputError
from tumorlens.imaging import reader
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.limits import MAX_SIDE, MAX_SLICES, MIN_SIDE
from tumorlens.imaging.raster import encode
from tumorlens.imaging.study import read_study

_SIGNATURES = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM",
    b"GIF87a", b"GIF89a", b"RIFF\0\0\0\0WEBP", bytes(128) + b"DICM",
    b"\x08\0\x05\0CS", b"\x5c\x01\0\0" + bytes(340) + b"n+1\0",
    b"\x1c\x02\0\0n+2\0\r\n\x1a\n", b"PK\3\4",
    b"\0\0\0\1" + b"\0\0\0\x20" * 3 + b"\0\0\0\1\0\0\0\0", b"NRRD0004\n",
    b"NRRD0004\ntype: uchar\nencoding: raw\nsizes: 32 32\n\n",
)  # fmt: skip

calm = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def check(data: bytes, plane: str = "axial") -> None:
    """The contract of the reader."""
    try:
        image = reader.read_bytes(data, "here", plane)
    except InputError as error:
        message = str(error)
    else:
        message = "here: "
        check_image(image)
    assert message.startswith("here: ")
    assert message.isprintable()


def check_image(image: MedicalImage) -> None:
    assert isinstance(image, MedicalImage)
    assert image.pixels.dtype == np.dtype(np.float32)
    assert image.pixels.ndim == 2 + image.is_volume
    assert min(image.pixels.shape[-2:]) >= MIN_SIDE
    assert max(image.pixels.shape[-2:]) <= MAX_SIDE
    assert image.depth <= MAX_SLICES
    assert image.facts is None or len(image.facts.slices) == image.depth
    assert np.isfinite(image.pixels).all()


@pytest.fixture(scope="module")
def valid(
    head: NDArray[np.uint8], write_tiff: Callable[..., bytes], write_png: Callable[..., bytes]
) -> list[bytes]:
    """One small file of each kind that the reader treats in its own way."""
    small = head[60:100, 40:90]
    wide = small.astype(np.uint16) * 257
    color = np.repeat(wide[..., np.newaxis], 4, axis=2)
    files = [
        encode.png(small), encode.png(wide), encode.jpeg(small), encode.tiff(small),
        encode.tiff((small / 255).astype(np.float32)), write_png(color), write_png(color[..., :2]),
        write_tiff(color[..., :3]), write_tiff(color, order=">", extra=1),
        write_tiff(wide, deflate=True), write_tiff(small, pages=2),
    ]  # fmt: skip
    for kind, mode in (("BMP", "RGB"), ("GIF", "P"), ("WEBP", "RGB"), ("PNG", "LA"), ("TIFF", "1"),
                       ("JPEG", "CMYK"), ("PNG", "P")):  # fmt: skip
        out = io.BytesIO()
        Image.fromarray(small).convert("RGB").convert(mode).save(out, kind)
        files.append(out.getvalue())
    return files


@pytest.fixture(scope="module")
def medical(head: NDArray[np.uint8], write_dicom: Callable[..., bytes]) -> list[bytes]:
    """Small DICOM and volume files of each kind that the readers treat in their own way."""
    small = head[60:100, 40:90]
    wide = small.astype(np.uint16) * 16
    stack = np.stack([small, small // 2, small // 3])
    window = {"WindowCenter": 100, "WindowWidth": 50, "PixelPaddingValue": 3}
    files = [
        write_dicom(small), write_dicom(wide, BitsStored=12, RescaleSlope=2, **window),
        write_dicom(stack), write_dicom(np.stack([small] * 3, axis=2)),
        write_dicom(wide, syntax=DeflatedExplicitVRLittleEndian),
        write_dicom(wide, syntax=ImplicitVRLittleEndian),
        write_dicom(wide, syntax=ExplicitVRBigEndian),
        write_dicom(small, syntax=JPEGBaseline8Bit, PixelData=encapsulate([encode.jpeg(small)])),
    ]  # fmt: skip
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset = dcmread(io.BytesIO(files[1]))
        dataset.compress(syntax)
        out = io.BytesIO()
        dataset.save_as(out)
        files.append(out.getvalue())
    voxels = np.moveaxis(np.stack([small] * 34), 0, 2)
    kinds: tuple[Any, Any] = (nibabel.Nifti1Image, nibabel.Nifti2Image)
    for kind in kinds:
        data = kind(voxels, np.diag([1, 1, 1.5, 1])).to_bytes()
        files += [data, gzip.compress(data, mtime=0)]
    files += [written.mgh(voxels), written.mgz(voxels), written.nrrd(voxels)]
    return [*files, written.nrrd(voxels, encoding="gzip")]


@calm
@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    check(data)


@calm
@given(st.sampled_from(_SIGNATURES), st.binary(max_size=400))
def test_random_bytes_after_a_signature(signature: bytes, data: bytes) -> None:
    check(signature + data)


@calm
@given(st.data())
def test_damaged_files(valid: list[bytes], data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(valid)))
    # Most of what a decoder believes stands at the front: damage that more often.
    place = st.integers(0, min(120, len(damaged) - 1)) | st.integers(0, len(damaged) - 1)
    for at, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=6)):
        damaged[at] = value
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged))) :]
    check(bytes(damaged))


@calm
@given(st.data())
def test_damaged_medical_files(medical: list[bytes], data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(medical)))
    # Up to the first pixel: the headers of both formats lie there.
    place = st.integers(0, min(1300, len(damaged) - 1)) | st.integers(0, len(damaged) - 1)
    for at, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=8)):
        damaged[at] = value
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged))) :]
    check(bytes(damaged), data.draw(st.sampled_from(["axial", "coronal", "sagittal"])))


@calm
@given(st.data())
def test_damaged_archives(tmp_path: Path, medical: list[bytes], data: st.DataObject) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for index, content in enumerate(medical[:3]):
            archive.writestr(f"study/{index}", content)
    damaged = bytearray(out.getvalue())
    place = st.integers(0, len(damaged) - 1) | st.integers(len(damaged) - 200, len(damaged) - 1)
    for at, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=6)):
        damaged[at] = value
    (tmp_path / "a").write_bytes(bytes(damaged))
    study = read_study(tmp_path / "a")
    for image in study.images:
        check_image(image)
    assert all(isinstance(error, InputError) for _, error in study.failures)
    assert study.images or study.failures


def test_every_truncation_of_a_header(valid: list[bytes], medical: list[bytes]) -> None:
    for data in medical:
        for length in range(0, min(len(data), 1300), 29):
            check(data[:length])
    for data in valid:
        for length in range(0, min(len(data), 160), 3):
            check(data[:length])


@calm
@given(st.text(max_size=40))
def test_any_path(tmp_path: Path, name: str) -> None:
    try:
        reader.read(f"{tmp_path}/{name}")
    except InputError:
        return
    raise AssertionError("an empty folder holds no image")
