"""A screenshot's bright margin is found; what is part of an image is left alone."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tumorlens.imaging.samples.margin import inside_margin

Gray = NDArray[np.uint8]
MARGIN = ((40, 30), (60, 25))


def on_page(head: Gray, white: int = 255) -> Gray:
    return np.pad(head, MARGIN, constant_values=white)


def box(head: Gray) -> tuple[int, int, int, int]:
    return 40, 60, 40 + head.shape[0], 60 + head.shape[1]


def jpeg(pixels: Gray, quality: int) -> Gray:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out))


@pytest.mark.parametrize("white", [255, 240])
def test_the_margin_is_left_out(head: Gray, white: int) -> None:
    page = on_page(head, white)
    assert inside_margin(page) == box(head)
    assert inside_margin(page.astype(np.float32) * 16 - 700) == box(head)
    assert inside_margin(on_page(head)[:, 60:]) == (40, 0, 40 + head.shape[0], head.shape[1])


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_a_blurred_edge_belongs_to_the_margin(head: Gray, quality: int) -> None:
    found = np.subtract(inside_margin(jpeg(on_page(head), quality)), box(head))
    assert (np.abs(found) <= 4).all()
    assert (found[:2] >= 0).all()
    assert (found[2:] <= 0).all()


def test_what_is_no_margin_stays(head: Gray) -> None:
    whole = (0, 0, *head.shape)
    assert inside_margin(head) == whole
    framed = head.copy()
    framed[:3], framed[-3:] = 255, 255
    assert inside_margin(framed) == whole  # as data sets have it
    assert inside_margin(np.full((64, 64), 255, np.uint8)) == (0, 0, 64, 64)
    line = np.full((200, 200), 255, np.uint8)
    line[99:101, 20:180] = np.arange(160, dtype=np.uint8)
    assert inside_margin(line) == (0, 0, 200, 200)
    dot = np.full((200, 200), 255, np.uint8)
    dot[90:110, 90:110] = 0
    assert inside_margin(dot) == (0, 0, 200, 200)
