"""Exchanged Rows and Columns are noticed; no pattern is taken for that."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.errors import CorruptInputError
from tumorlens.imaging.dicom.row_length import check_rows

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


@pytest.mark.parametrize("shape", [(200, 160), (150, 180), (120, 128), (200, 60)])
@pytest.mark.parametrize("noise", [0, 20])
def test_a_head(head: NDArray[np.uint8], shape: tuple[int, int], noise: float) -> None:
    top, left = (200 - shape[0]) // 2, (180 - shape[1]) // 2
    stored = head[top : top + shape[0], left : left + shape[1]].astype(np.float32)
    stored += np.random.default_rng(0).normal(0, 1, shape).astype(np.float32) * noise
    check_rows(stored, "here")
    with pytest.raises(CorruptInputError, match="exchanged"):
        check_rows(stored.reshape(shape[::-1]), "here")
