"""Random style: how another scanner, coil or sequence might have shown the same head.

Networks learn the contrast, sharpness and frame of the hospitals that they are trained on. Each
change here keeps the anatomy and removes one of those cues. All work on a whole batch, float
(N, 1, S, S) in 0..1; whether an image is changed is drawn separately for each.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from tumorlens.config import StyleConfig

_Change = Callable[[Tensor, StyleConfig, torch.Generator], Tensor]

_GRID = 4
_BLUR = 5
_TISSUE = 0.08
"""Intensity above which a pixel belongs to the head."""
_THINNEST, _THICKEST = 0.05, 0.09
"""Thickness of scalp and skull, as a share of the side."""


def restyle(
    batch: Tensor, config: StyleConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Apply every change to its own random subset of the images; 0..1 stays 0..1.

    Also returns which images (N,) were inverted: their contrast no longer shows the sequence.
    """
    inverted = torch.zeros(len(batch), dtype=torch.bool)
    if max(config.probability, config.strip_skull) <= 0:
        return batch, inverted
    for change in (_tone, _curve, _bias_field, _resolution, _sharpness, _frame, _background):
        batch = _change_some(batch, change, config.probability, config, generator)
    batch = _change_some(batch, _stripped, config.strip_skull, config, generator)
    inverted = torch.rand(len(batch), generator=generator) < config.invert
    chosen = inverted.view(-1, 1, 1, 1).to(batch.device)
    return torch.where(chosen, _inverted(batch), batch).clamp(0.0, 1.0), inverted


def _change_some(
    batch: Tensor,
    change: _Change,
    probability: float,
    config: StyleConfig,
    generator: torch.Generator,
) -> Tensor:
    chosen = torch.rand(len(batch), generator=generator) < probability
    rows = torch.nonzero(chosen).flatten().to(batch.device)
    if len(rows) == 0:
        return batch
    return batch.index_copy(0, rows, change(batch[rows], config, generator))


def _tone(batch: Tensor, config: StyleConfig, generator: torch.Generator) -> Tensor:
    """A power of the intensity, drawn evenly on the logarithmic scale."""
    exponent = torch.exp(config.tone * _signed(len(batch), generator)).to(batch.device)
    return batch.clamp_min(1e-4) ** exponent


def _curve(batch: Tensor, config: StyleConfig, generator: torch.Generator) -> Tensor:
    """A random rising curve through (0, 0) and (1, 1), straight between ``knots`` points."""
    count, pieces = len(batch), config.knots
    rises = torch.rand(count, pieces, generator=generator) + 0.15
    heights = torch.cat([torch.zeros(count, 1), rises.cumsum(1) / rises.sum(1, keepdim=True)], 1)
    heights = heights.to(batch.device)
    position = batch.flatten(1).clamp(0.0, 1.0) * pieces
    left = position.floor().clamp(max=pieces - 1).long()
    low, high = heights.gather(1, left), heights.gather(1, left + 1)
    return (low + (high - low) * (position - left)).view_as(batch)


def _bias_field(batch: Tensor, config: StyleConfig, generator: torch.Generator) -> Tensor:
    """A smooth gain, as of a surface coil or an uneven transmit field."""
    coarse = config.bias_field * (
        2 * torch.rand(len(batch), 1, _GRID, _GRID, generator=generator) - 1
    )
    smooth = functional.interpolate(
        coarse, size=batch.shape[-2:], mode="bicubic", align_corners=True
    )
    return (batch * torch.exp(smooth).to(batch.device)).clamp(0.0, 1.0)


def _resolution(batch: Tensor, config: StyleConfig, generator: torch.Generator) -> Tensor:
    """Detail lost by one factor for all of them, drawn anew each time."""
    factor = 1 + (config.resolution - 1) * float(torch.rand(1, generator=generator))
    side = max(16, round(batch.shape[-1] / factor))
    small = functional.interpolate(batch, size=(side, side), mode="bilinear", antialias=True)
    return functional.interpolate(small, size=batch.shape[-2:], mode="bilinear")


def _sharpness(batch: Tensor, config: StyleConfig, generator: torch.Generator) -> Tensor:
    """Blurred for negative draws, unsharp-masked for positive ones."""
    draw = _signed(len(batch), generator).to(batch.device)
    amount = torch.where(draw > 0, config.sharpen * draw, draw)
    soft = functional.avg_pool2d(batch, _BLUR, 1, _BLUR // 2, count_include_pad=False)
    return (batch + amount * (batch - soft)).clamp(0.0, 1.0)


def _frame(batch: Tensor, config: StyleConfig, generator: torch.Generator) -> Tensor:
    """The outer band black: what it shows reveals where an image comes from."""
    side = batch.shape[-1]
    width = config.frame * torch.rand(len(batch), 1, 1, 1, generator=generator)
    position = (torch.arange(side) + 0.5) / side
    edge = torch.minimum(position, 1 - position)
    inside = torch.minimum(edge[:, None], edge[None, :]).view(1, 1, side, side) >= width
    return batch * inside.to(batch.device)


def _background(batch: Tensor, config: StyleConfig, generator: torch.Generator) -> Tensor:
    """Air set to black up to a random level, so that its noise reveals nothing."""
    level = config.background * torch.rand(len(batch), 1, 1, 1, generator=generator)
    level = level.to(batch.device)
    return torch.where(batch < level, torch.zeros_like(batch), batch)


def _inverted(batch: Tensor) -> Tensor:
    """Bright for dark in tissue; air, below a tenth of the range, stays black."""
    tissue = ((batch - 0.04) / 0.08).clamp(0.0, 1.0)
    return tissue * (1.04 - batch).clamp(0.0, 1.0) + (1 - tissue) * batch


def _stripped(batch: Tensor, _config: StyleConfig, generator: torch.Generator) -> Tensor:
    """Black outside of the head's outline drawn in by the thickness of scalp and skull.

    The outline is what tissue encloses, seen along rows and columns; it is drawn in by 5 to 9
    hundredths of the side.
    """
    side = batch.shape[-1]
    tissue = (batch > _TISSUE).float()
    enclosed = torch.ones_like(tissue)
    for axis in (2, 3):
        before = tissue.cummax(axis).values
        after = tissue.flip(axis).cummax(axis).values.flip(axis)
        enclosed = enclosed * before * after
    reach = _THINNEST + (_THICKEST - _THINNEST) * float(torch.rand(1, generator=generator))
    width = 2 * round(reach * side) + 1
    outside = functional.max_pool2d(1 - enclosed, (width, 1), 1, (width // 2, 0))
    outside = functional.max_pool2d(outside, (1, width), 1, (0, width // 2))
    soft = functional.avg_pool2d(outside, _BLUR, 1, _BLUR // 2)
    return batch * (1 - soft)


def _signed(count: int, generator: torch.Generator) -> Tensor:
    """Draws (count, 1, 1, 1) from -1 to 1."""
    return 2 * torch.rand(count, 1, 1, 1, generator=generator) - 1
