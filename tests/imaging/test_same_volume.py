"""One volume is the same slices, places and notes, whichever format holds it."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.imaging import written
from tests.imaging.written import AFFINE, Volume, stored_as

from tumorlens.imaging import reader
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.study import read_study

PLANES = ("axial", "coronal", "sagittal")
WRITERS = (written.mgh, written.mgz, written.nrrd)


def read(data: bytes, plane: str = "axial") -> MedicalImage:
    return reader.read_bytes(data, "here", plane)


def check_same(found: MedicalImage, expected: MedicalImage) -> None:
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.facts is not None
    assert expected.facts is not None
    assert found.pixel_spacing_mm == pytest.approx(expected.pixel_spacing_mm, rel=1e-5)
    assert found.facts.plane == expected.facts.plane
    assert found.facts.orientation_assumed == expected.facts.orientation_assumed
    assert found.notes == expected.notes
    for one, other in zip(found.facts.slices, expected.facts.slices, strict=True):
        assert one.position_mm == pytest.approx(other.position_mm, abs=1e-3)
    assert (found.mode, found.bit_depth) == (expected.mode, expected.bit_depth)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LIA", "PIR", "ASL", "SAR"])
@pytest.mark.parametrize("plane", PLANES)
def test_every_stored_order(ras: Volume, codes: str, plane: str) -> None:
    """Axial, coronal (FreeSurfer's LIA) and sagittal slices, and their mirrored relatives."""
    voxels, affine = stored_as(codes, ras, AFFINE)
    expected = read(written.nifti(voxels, affine), plane)
    for write in WRITERS:
        check_same(read(write(voxels, affine), plane), expected)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    turn=st.tuples(*[st.floats(-40, 40)] * 3),
    sizes=st.tuples(*[st.sampled_from([1.0, 1.5, 2.25])] * 3),
    codes=st.sampled_from(["RAS", "LPS", "LIA", "PIR"]),
    kind=st.sampled_from(["u1", "<i2", "<u2", "<i4", "<f4"]),
    plane=st.sampled_from(PLANES),
)
def test_any_affine_and_type(
    ras: Volume,
    turn: tuple[float, ...],
    sizes: tuple[float, ...],
    codes: str,
    kind: str,
    plane: str,
) -> None:
    affine = np.eye(4)
    for axis, degrees in enumerate(turn):
        one, other = [place for place in range(3) if place != axis]
        angle = np.deg2rad(degrees)
        about = np.eye(4)
        about[[one, one, other, other], [one, other, one, other]] = [
            np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle),
        ]  # fmt: skip
        affine = about @ affine
    affine = affine @ np.diag([*sizes, 1])
    affine[:3, 3] = [-40, 20, 7]
    voxels, affine = stored_as(codes, np.clip(ras, 0, 255).astype(kind), affine)
    expected = read(written.nifti(voxels, affine), plane)
    for write in WRITERS:
        found = read(write(voxels, affine), plane)
        # NIfTI states sizes as float32, from which the last bit of a resampled row may differ.
        np.testing.assert_allclose(found.pixels, expected.pixels, rtol=1e-4)
        assert found.notes == expected.notes
        assert (found.mode, found.bit_depth) == (expected.mode, expected.bit_depth)


def test_folders_and_archives(ras: Volume, tmp_path: Path) -> None:
    """By their bytes, whatever they are called; an empty file that claims to be one is named."""
    files = {
        "a": written.nifti(ras), "b": written.mgz(ras), "c": written.nrrd(ras),
        "d.mgz": b"", "e.nrrd": b"", "f.txt": b"a letter",
    }  # fmt: skip
    folder = tmp_path / "study"
    folder.mkdir()
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for name, data in files.items():
            (folder / name).write_bytes(data)
            archive.writestr(name, data)
    for path in (folder, tmp_path / "study.zip"):
        study = read_study(path)
        assert len(study.images) == 3
        for image in study.images:
            np.testing.assert_array_equal(image.pixels, study.images[0].pixels)
        assert [Path(name).name for name, _ in study.failures] == ["d.mgz", "e.nrrd"]
        assert study.skipped == 1


@pytest.mark.parametrize("write", [written.mgh, written.nrrd])
def test_a_gzip_bomb_is_unfolded_no_further_than_needed(ras: Volume, write: object) -> None:
    zeros = gzip.compress(bytes(1 << 20))
    if write is written.mgh:
        data = written.mgz(ras) + zeros * 2000
    else:
        data = written.nrrd(ras, encoding="gzip") + zeros * 2000
    image = read(data)
    np.testing.assert_array_equal(image.pixels, read(written.nifti(ras)).pixels)
