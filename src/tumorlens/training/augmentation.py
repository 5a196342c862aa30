"""Random changes to a whole batch at once, on the device that trains."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tumorlens.config import AugmentConfig
from tumorlens.training.style import restyle

_MASK_STEP = 4
"""Pixels to a side of a moved mask's squares: the lesion head's grid is coarser still."""


class Augmented(NamedTuple):
    """A batch after ``augment``."""

    images: Tensor
    """(N, 1, size, size) in 0..1."""
    masks: Tensor | None
    """(N, 1, size / 4, size / 4): the share of each square of four pixels that lies inside."""
    inverted: Tensor
    """(N,) bool: whether bright and dark were exchanged."""


def augment(
    batch: Tensor, masks: Tensor | None, config: AugmentConfig, size: int, random: torch.Generator
) -> Augmented:
    """Change float images (N, 1, S, S) in 0..1 at random.

    ``masks`` of the same shape are moved along, and not otherwise changed.
    """
    theta = draw_affine(len(batch), config, random).to(batch.device)
    batch = warp(batch, theta, size)
    if masks is not None:
        coarse = torch.nn.functional.avg_pool2d(masks, _MASK_STEP)
        masks = warp(coarse, theta, size // _MASK_STEP)
    batch = random_intensity(batch, config, random)
    batch, inverted = restyle(batch, config.style, random)
    return Augmented(random_erase(batch, config, random), masks, inverted.to(batch.device))


def draw_affine(count: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """(count, 2, 3) transforms that rotate, scale, shear, shift and mirror."""
    angle = _uniform(count, math.radians(config.rotation_degrees), generator)
    zoom = torch.exp(_uniform(count, math.log1p(config.scale), generator))
    stretch = torch.exp(_uniform(count, 0.5 * math.log1p(config.scale), generator))
    shear = _uniform(count, config.shear, generator)
    flip = 1 - 2 * (torch.rand(count, generator=generator) < config.horizontal_flip).float()
    shift = torch.stack([_uniform(count, 2 * config.shift, generator) for _ in range(2)], dim=1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [
        torch.stack([flip * cos * zoom * stretch, (shear - sin) * zoom], dim=1),
        torch.stack([flip * sin * zoom * stretch, cos * zoom], dim=1),
    ]
    return torch.cat([torch.stack(rows, dim=1), shift[:, :, None]], dim=2)


def warp(batch: Tensor, theta: Tensor, size: int) -> Tensor:
    """Move (N, K, S, S) by ``theta`` to (N, K, size, size); what comes from outside is black."""
    grid = torch.nn.functional.affine_grid(theta, [len(batch), 1, size, size], align_corners=False)
    return torch.nn.functional.grid_sample(batch, grid, align_corners=False)


def random_intensity(batch: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Change gamma, contrast and brightness, add noise; black background stays near black."""
    count = len(batch)
    gamma = torch.exp(_uniform(count, config.gamma, generator))
    gain = 1 + _uniform(count, config.contrast, generator)
    offset = _uniform(count, config.brightness, generator)
    gamma, gain, offset = (v.view(-1, 1, 1, 1).to(batch.device) for v in (gamma, gain, offset))
    batch = batch.clamp_min(1e-4) ** gamma
    # The offset grows with the signal, so that it does not paint the background gray.
    batch = batch * gain + offset * batch.sqrt()
    if config.noise > 0:
        sigma = config.noise * torch.rand(count, 1, 1, 1, generator=generator)
        noise = torch.randn(batch.shape, generator=generator)
        batch = batch + (sigma * noise).to(batch.device)
    return batch.clamp(0.0, 1.0)


def random_erase(batch: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Fill one rectangle of some images with its own mean (Zhong et al. 2020)."""
    count, _, height, width = batch.shape
    chosen = torch.rand(count, generator=generator) < config.erase
    extent = 0.1 + 0.25 * torch.rand(count, 2, generator=generator)
    corner = torch.rand(count, 2, generator=generator) * (1 - extent)
    rows = torch.linspace(0, 1, height)[None, :]
    columns = torch.linspace(0, 1, width)[None, :]
    inside_rows = (rows >= corner[:, :1]) & (rows < corner[:, :1] + extent[:, :1])
    inside_columns = (columns >= corner[:, 1:]) & (columns < corner[:, 1:] + extent[:, 1:])
    hole = (inside_rows[:, :, None] & inside_columns[:, None, :] & chosen[:, None, None])[:, None]
    hole = hole.to(batch.device)
    area = hole.sum(dim=(2, 3), keepdim=True).clamp_min(1)
    mean = (batch * hole).sum(dim=(2, 3), keepdim=True) / area
    return torch.where(hole, mean, batch)


def mixup_share(alpha: float, generator: torch.Generator) -> float:
    """Weight of the first of two images that are blended (Zhang et al. 2018): 0.5 to 1.

    One draw of Beta(alpha, alpha) by Johnk's method; 1, no blend, where ``alpha`` is 0.
    """
    if alpha <= 0:
        return 1.0
    while True:
        u, v = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        x, y = u ** (1 / alpha), v ** (1 / alpha)
        if 0 < x + y <= 1:
            share = float(x / (x + y))
            return max(share, 1 - share)


def _uniform(count: int, reach: float, generator: torch.Generator) -> Tensor:
    """Draws from -reach to reach."""
    return reach * (2 * torch.rand(count, generator=generator) - 1)
