"""Inverted images and several in one are noticed; usual ones are not taken for them."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tumorlens.demo import phantoms
from tumorlens.imaging import reader
from tumorlens.imaging.samples import layout
from tumorlens.labels import CLASSES

Gray = NDArray[np.uint8]


@pytest.fixture(scope="module")
def heads() -> list[Gray]:
    """Phantoms of every class, uint8 (S, S)."""
    random = np.random.default_rng(5)
    return [phantoms.make_phantom(random, name).pixels for name in CLASSES for _ in range(4)]


def test_usual_images_pass(heads: list[Gray], head: Gray) -> None:
    for image in (*heads, head):
        assert layout.refusal(image) == ""
    assert layout.refusal(head.astype(np.float32) / np.float32(255)) == ""
    assert layout.refusal(head.astype(np.float32) * 257) == ""
    assert layout.refusal(np.zeros((64, 64), np.uint8)) == ""


def test_inverted_images_are_noticed(heads: list[Gray], head: Gray) -> None:
    for one in (*heads, head):
        assert layout.refusal(255 - one) == layout.INVERTED
        assert layout.refusal(-one.astype(np.float32)) == layout.INVERTED


def test_a_label_in_a_corner_does_not_hide_it(head: Gray) -> None:
    inverted = 255 - head
    inverted[:12, :60:3] = 0
    assert layout.refusal(inverted) == layout.INVERTED


@pytest.mark.parametrize("arrangement", ["beside", "below", "four"])
def test_panels_are_noticed(heads: list[Gray], arrangement: str) -> None:
    for one, other in zip(heads[::2], heads[1::2], strict=True):
        pair = {
            "beside": np.hstack([one, other]),
            "below": np.vstack([one, other]),
            "four": np.vstack([np.hstack([one, other]), np.hstack([other, one])]),
        }[arrangement]
        assert layout.refusal(pair) == layout.PANELS


def test_panels_in_a_square_are_noticed(heads: list[Gray]) -> None:
    pair = np.hstack(heads[:2])
    page = np.zeros((pair.shape[1], pair.shape[1]), np.uint8)
    top = (page.shape[0] - pair.shape[0]) // 2
    page[top : top + pair.shape[0]] = pair
    assert layout.refusal(page) == layout.PANELS


@pytest.mark.parametrize("size", [0.3, 0.4, 0.6])
@pytest.mark.parametrize("is_beside", [True, False])
def test_a_small_panel_beside_a_large_one_is_noticed(
    heads: list[Gray], size: float, is_beside: bool
) -> None:
    for one, other in zip(heads[::2], heads[1::2], strict=True):
        side = round(size * len(one))
        small = np.asarray(Image.fromarray(other).resize((side, side)))
        above = (len(one) - side) // 2
        column = np.pad(small, ((above, len(one) - side - above), (0, 0)), mode="edge")
        pair = np.hstack([one, column])
        assert layout.refusal(pair if is_beside else pair.T) == layout.PANELS


@pytest.mark.parametrize("size", [14, 20, 40, 90])
@pytest.mark.parametrize("shape", [(512, 512), (1400, 1000), (600, 800)])
def test_pages_of_letters_are_noticed(size: int, shape: tuple[int, int]) -> None:
    """White on black, of which the network is sure that it shows no tumour."""
    page = Image.new("L", shape[::-1])
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size)
    for top in range(20, shape[0] - size, 2 * size):
        draw.text((30, top), "History and findings of the examination " * 4, 255, font)
    assert layout.refusal(np.asarray(page)) == layout.LINES


def test_graphs_are_noticed() -> None:
    page = Image.new("L", (600, 500))
    draw = ImageDraw.Draw(page)
    draw.line((60, 20, 60, 450, 580, 450), 255, 2)
    draw.line([(x, 450 - 300 * np.exp(-(((x - 250) / 60) ** 2))) for x in range(60, 580)], 255, 2)
    assert layout.refusal(np.asarray(page)) == layout.LINES


def test_letters_on_a_head_and_noise_are_none_of_these(heads: list[Gray]) -> None:
    for one in heads:
        image = Image.fromarray(one)
        text = "SERIES 5\n1960.01.01"
        ImageDraw.Draw(image).text((4, 4), text, 255, ImageFont.load_default(20))
        assert layout.refusal(np.asarray(image)) == ""
    noise = np.random.default_rng(0).normal(100, 10, (256, 256)).clip(0, 255).astype(np.uint8)
    assert layout.refusal(noise) == ""


def test_what_lies_beside_a_head_is_no_panel(heads: list[Gray]) -> None:
    """Letters, a bar of brightness, an arm of a coil: too small, too long or too thin."""
    beside = np.zeros((len(heads[0]), 60), np.uint8)
    beside[20:40:2, 20:40:2] = 255
    bar = np.zeros_like(beside)
    bar[10:-10, 20:40] = np.linspace(255, 20, len(bar) - 20).astype(np.uint8)[:, None]
    ring = np.zeros_like(beside)
    ring[100:150, 5:55] = 200
    ring[106:144, 11:49] = 0
    for one in heads:
        for other in (beside, bar, ring):
            assert layout.refusal(np.hstack([one, other])) == ""


def test_two_lobes_are_no_panels() -> None:
    """A low slice without the skull: the temporal lobes lie apart."""
    rows, columns = np.mgrid[-1:1:200j, -1:1:200j]
    lobes = (np.hypot(rows / 0.5, (np.abs(columns) - 0.4) / 0.2) < 1) * 150.0
    lobes *= np.random.default_rng(0).uniform(0.8, 1, lobes.shape)
    assert layout.refusal(lobes.astype(np.float32)) == ""


@pytest.mark.realdata
def test_public_images_pass_and_their_negatives_do_not(data_dir: Path) -> None:
    files = sorted((data_dir / "nickparvar/Testing").glob("*/*.jpg"))[::29]
    images = [reader.read(file).pixels for file in files]
    assert [layout.refusal(one) for one in images] == [""] * len(images)
    noticed = [layout.refusal(one.max() - one) == layout.INVERTED for one in images]
    assert np.mean(noticed) > 0.9
    panels = [layout.refusal(np.hstack([one, np.asarray(Image.fromarray(one))])) for one in images]
    assert np.mean([said == layout.PANELS for said in panels]) > 0.8


def test_masks_and_label_maps_are_noticed(head: Gray) -> None:
    """Of any number of labels, whatever their brightness."""
    rows, columns = np.mgrid[-1:1:200j, -1:1:180j]
    inside = np.hypot(rows / 0.8, columns / 0.65) < 1
    lesion = np.hypot(rows - 0.2, columns + 0.1) < 0.2
    regions = (np.floor(8 * rows) * 16 + np.floor(8 * columns) + 200) * inside
    for image in (inside * 255, lesion * 1, inside + lesion * 3, regions):
        assert layout.refusal(image.astype(np.float32)) == layout.LABELS
    assert layout.refusal(head.repeat(4, axis=0).repeat(4, axis=1)) == ""
