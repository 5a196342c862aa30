from pathlib import Path

import numpy as np
import pytest

from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.masks import load_mask, oriented_mask
from tumorlens.errors import DatasetError
from tumorlens.imaging.raster import encode

CORNER = np.zeros((4, 6), dtype=np.float32)
CORNER[0, :2] = 255.0


@pytest.mark.parametrize(
    ("orientation", "where"),
    [("", (0, 0)), ("id", (0, 0)), ("fliplr", (0, 5)), ("rot180", (3, 5))],
)
def test_mask_is_turned_as_the_image_is(orientation: str, where: tuple[int, int]) -> None:
    turned = oriented_mask(CORNER, orientation, (4, 6))
    assert turned[where] == 1.0
    assert turned.sum() == 2.0


def test_mask_takes_the_size_of_the_image() -> None:
    larger = oriented_mask(CORNER, "id", (8, 12))
    assert larger.shape == (8, 12)
    assert larger[:2, :4].all()
    assert larger.sum() == 8.0


def test_unknown_orientation() -> None:
    with pytest.raises(DatasetError, match="orientation"):
        oriented_mask(CORNER, "upside down", (4, 6))


@pytest.mark.parametrize(("value", "inside"), [(0, 0), (127, 0), (128, 1), (255, 1)])
def test_inside_is_what_is_brighter_than_the_middle(value: int, inside: int) -> None:
    """Masks saved as JPEG have values between."""
    mask = np.full((2, 2), value, np.float32)
    assert oriented_mask(mask, "id", (2, 2)).tolist() == [[inside] * 2] * 2


@pytest.mark.parametrize(("highest", "pixels"), [(0, 0), (1, None), (127, None), (255, 4)])
def test_a_mask_of_zeros_and_ones_is_an_error(
    tmp_path: Path, highest: int, pixels: int | None
) -> None:
    """All of it would be outside. Without any pixel above 0 it is an empty outline."""
    values = np.zeros((32, 32), np.uint8)
    values[:2, :2] = highest
    (tmp_path / "mask.png").write_bytes(encode.png(values))
    (tmp_path / "m.csv").write_text(f"path,class,sha256,mask\na.png,glioma,{0:064x},mask.png\n")
    manifest = Manifest.load(tmp_path / "m.csv")
    if pixels is None:
        with pytest.raises(DatasetError, match=rf"mask.png: the highest value .* is {highest}, "):
            load_mask(manifest, manifest.records[0], (32, 32))
    else:
        assert load_mask(manifest, manifest.records[0], (32, 32)).sum() == pixels


def test_a_smaller_outline_stays_an_outline() -> None:
    fine = np.kron(CORNER, np.ones((3, 3), np.float32))
    assert oriented_mask(fine, "", (4, 6)).tolist() == (CORNER / 255).tolist()
