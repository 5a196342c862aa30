"""Exchanged Rows and Columns are noticed; no pattern is taken for that."""

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tumorlens.errors import CorruptInputError
from tumorlens.imaging import reader
from tumorlens.imaging.samples.row_length import check_rows

SHAPES = [(64, 48), (48, 64), (33, 400), (400, 33), (128, 125), (8, 9)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["noise", "stripes", "lines", "checks", "down", "across", "even"])
def test_patterns(shape: tuple[int, int], kind: str) -> None:
    """Those that are alike all along a row, or from row to row, in particular."""
    rows, columns = np.indices(shape)
    pattern = {
        "noise": np.random.default_rng(0).integers(0, 1000, shape),
        "stripes": columns % 2 * 900,
        "lines": rows % 2 * 900,
        "checks": (rows // 8 + columns // 8) % 2 * 900,
        "down": rows * 10,
        "across": columns * 10,
        "even": rows * 0,
    }[kind]
    check_rows(pattern.astype(np.float32), "here")


def test_numbers_that_come_again_nearly_a_row_on() -> None:
    check_rows((np.arange(1440) * 7 % 251).reshape(36, 40), "here")


@pytest.mark.parametrize("shape", [(200, 160), (150, 180), (120, 128), (200, 60)])
@pytest.mark.parametrize("noise", [0, 20])
def test_a_head(head: NDArray[np.uint8], shape: tuple[int, int], noise: float) -> None:
    top, left = (200 - shape[0]) // 2, (180 - shape[1]) // 2
    stored = head[top : top + shape[0], left : left + shape[1]].astype(np.float32)
    stored += np.random.default_rng(0).normal(0, 1, shape).astype(np.float32) * noise
    check_rows(stored, "here")
    with pytest.raises(CorruptInputError, match="exchanged"):
        check_rows(stored.reshape(shape[::-1]), "here")


def test_bytes_that_are_stated_as_wider_samples(head: NDArray[np.uint8]) -> None:
    soft = gaussian_filter(head[10:190].astype(np.float64), 3).astype(np.uint8)
    stored = soft.view(np.uint16).reshape(90, 180)
    with pytest.raises(CorruptInputError, match="or its samples have half the bits"):
        check_rows(stored, "here")


def test_a_volume_of_other_sides_than_stated(head: NDArray[np.uint8]) -> None:
    x, y, z = 180, 150, 5
    voxels = np.stack([head[20:170].T] * z, axis=2).astype(np.int16)
    assert voxels.shape == (x, y, z)
    exchanged = voxels.ravel(order="F").reshape((y, x, z), order="F")
    reader.read_bytes(nifti(voxels))
    with pytest.raises(CorruptInputError, match="exchanged"):
        reader.read_bytes(nifti(exchanged))


def nifti(voxels: NDArray[np.int16]) -> bytes:
    image = nibabel.Nifti1Image(voxels, np.diag([1, 1, 20, 1]))
    data: bytes = image.to_bytes()
    return data
