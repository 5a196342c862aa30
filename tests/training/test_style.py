from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tumorlens.config import StyleConfig
from tumorlens.training import style

ALWAYS = StyleConfig(probability=1.0)
Change = Callable[[Tensor, StyleConfig, torch.Generator], Tensor]
CHANGES = (
    style._tone, style._curve, style._bias_field, style._resolution, style._sharpness,
    style._frame, style._background,
)  # fmt: skip


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _heads() -> Tensor:
    """Textured discs on noisy air."""
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    disc = ((rows - 24) ** 2 + (columns - 24) ** 2 < 18**2).float()
    texture = 0.5 + 0.3 * torch.sin(rows / 3) * torch.cos(columns / 4)
    air = 0.03 * torch.rand(6, 1, 48, 48, generator=_generator(9))
    return disc * texture + (1 - disc) * air


def test_nothing_happens_by_default() -> None:
    heads = _heads()
    changed, inverted = style.restyle(heads, StyleConfig(), _generator())
    assert changed is heads
    assert not inverted.any()


def test_range_is_kept_and_images_change() -> None:
    config = StyleConfig(probability=0.5, invert=0.5)
    changed, inverted = style.restyle(_heads(), config, _generator())
    assert inverted.tolist() != [inverted[0].item()] * 6
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert (changed != _heads()).flatten(1).any(1).sum() >= 4


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_alters_most_images_and_keeps_them_finite(change: Change) -> None:
    heads = _heads()
    changed = change(heads, ALWAYS, _generator(1)).clamp(0, 1)
    assert changed.shape == heads.shape
    assert torch.isfinite(changed).all()
    assert (changed != heads).flatten(1).any(1).float().mean() >= 0.5


@pytest.mark.parametrize("change", [style._tone, style._curve])
def test_tone_keeps_the_order_of_intensities(change: Change) -> None:
    ramp = torch.linspace(0, 1, 256).view(1, 1, 1, 256).expand(4, 1, 1, 256)
    changed = change(ramp, ALWAYS, _generator(1))
    assert (changed.diff(dim=3) >= 0).all()
    torch.testing.assert_close(changed[..., -1], torch.ones(4, 1, 1))


def test_inverted_tissue_leaves_the_air_black() -> None:
    heads = _heads()
    inverted = style._inverted(heads)
    air = heads < 0.03
    assert inverted[air].max() < 0.05
    tissue = heads > 0.2
    torch.testing.assert_close(inverted[tissue], (1.04 - heads[tissue]))


def test_frame_blackens_the_edge_and_keeps_the_middle() -> None:
    framed = style._frame(torch.ones(8, 1, 48, 48), StyleConfig(frame=0.5), _generator(2))
    assert (framed[..., 24, 24] == 1).all()
    assert (framed[..., 0, :] == 0).all()


def test_background_noise_is_scrubbed_and_tissue_stays() -> None:
    heads = _heads()
    scrubbed = style._background(heads, StyleConfig(background=0.08), _generator(5))
    assert torch.equal(scrubbed[heads > 0.1], heads[heads > 0.1])
    assert (scrubbed == 0).sum() > 100


def test_stripping_cuts_the_rim_of_the_head_and_keeps_its_middle() -> None:
    heads = _heads()
    stripped = style._stripped(heads, ALWAYS, _generator(2))
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    distance = ((rows - 24) ** 2 + (columns - 24) ** 2).sqrt()
    rim, middle = (distance > 16.5) & (distance < 17.5), distance < 8
    assert stripped[..., rim].max() < 0.25 * heads[..., rim].max()
    torch.testing.assert_close(stripped[..., middle], heads[..., middle])
