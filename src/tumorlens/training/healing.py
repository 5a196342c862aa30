"""Tumours covered by tissue from elsewhere in the head: healthy heads of every source and plane.

The mirrored other side can cover few tumours: not those of the midline, nor any in a sagittal
slice. Without the others healed, whoever sees a slice of a source or plane in which no head is
healthy has seen a tumour.
"""

import torch
from torch import Tensor
from torch.nn import functional

from tumorlens.evaluation.probes.lesions import INSIDE, LARGEST, OVERLAP, TISSUE
from tumorlens.labels import NO_TUMOR_INDEX
from tumorlens.training.batch import Batch, changed
from tumorlens.training.tissue import can_be_covered, feathered, grown, matched

_MOVES = 16
"""Moves of the head over itself that are tried for each outline; every second one mirrors it."""
_REACH = 0.4
"""Longest move, as a share of the side, along either axis."""
_STEP = 4
"""Pixels to a side of the squares in which moves are compared."""


def heal(batch: Batch, share: float, generator: torch.Generator) -> Batch:
    """Cover ``share`` of the outlined tumours by tissue from elsewhere in the head: healthy then.

    Only those that the mirrored side cannot cover and that are not large. Of all other images
    ``share`` are covered alike where another image's outline falls on tissue without tumour;
    their right answers stay, so that a cover's seams say nothing about the class.
    """
    images, masks = batch.images, batch.masks
    count, largest = len(images), LARGEST * masks.shape[-2] * masks.shape[-1]
    drawn = (torch.rand(count, generator=generator) < share).to(images.device)
    lender = torch.randint(count, (count,), generator=generator).to(images.device)
    ill = masks.amax(dim=(1, 2, 3)) > 0
    healed = ill & drawn & ~can_be_covered(images, masks)
    outlines = torch.where(healed.view(-1, 1, 1, 1), masks, masks[lender])
    area = outlines.sum(dim=(1, 2, 3))
    free = (outlines * masks).sum(dim=(1, 2, 3)) == 0
    fits = (area > 0) & (area <= largest) & (healed | (free & batch.outlined))
    rows = torch.nonzero(drawn & fits).flatten()
    if len(rows) == 0:
        return batch
    source, found = _suiting_tissue(images[rows], outlines[rows], masks[rows], generator)
    rows, source = rows[found], source[found]
    if len(rows) == 0:
        return batch
    alpha = feathered(outlines[rows])
    moved = matched(source, outlines[rows], images[rows])
    covered = images[rows] * (1 - alpha) + moved * alpha
    was_ill = healed[rows]
    batch = batch._replace(images=images.index_copy(0, rows, covered))
    emptied = torch.zeros_like(masks[rows[was_ill]])
    return changed(batch, rows[was_ill], covered[was_ill], emptied, (NO_TUMOR_INDEX,))


def _suiting_tissue(
    images: Tensor, outlines: Tensor, tumors: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Each image (N, 1, S, S) moved, or mirrored and moved, so that tissue lies in its outline.

    Of the moves drawn the one whose tissue differs least from what lies around the outline;
    compared at a quarter of the size. Also whether any (N,) brings tissue free of tumour.
    """
    small, outline, tumor = (functional.avg_pool2d(x, _STEP) for x in (images, outlines, tumors))
    side, area = small.shape[-1], outline.sum(dim=(1, 2, 3))[:, None]
    reach = round(_REACH * side)
    moves = torch.randint(-reach, reach + 1, (len(images), _MOVES, 2), generator=generator)
    moves = moves.to(images.device)
    ring = (grown(outline, 2) - grown(outline, 1)) * (small > TISSUE)
    ring = ring.flatten(1)[:, None]
    inside, here = outline.flatten(1)[:, None], small.flatten(1)[:, None]
    taken = torch.maximum(outline, tumor)
    places = _sources(moves, side)
    tissue, blocked = _gathered(small, places), _gathered(taken, places)
    suits = (blocked * inside).sum(2) <= OVERLAP * area
    suits &= ((tissue > TISSUE) * inside).sum(2) >= INSIDE * area
    suits &= ((here > TISSUE) * inside).sum(2) >= INSIDE * area
    difference = ((tissue - here).abs() * ring).sum(2).masked_fill(~suits, torch.inf)
    best = difference.argmin(1)
    chosen = (moves * _STEP)[torch.arange(len(moves)), best][:, None]
    mirrored = _sources(chosen, images.shape[-1], best % 2)
    return _gathered(images, mirrored).view_as(images), suits.any(1)


def _sources(moves: Tensor, side: int, mirrored: Tensor | None = None) -> Tensor:
    """(N, M, side * side): from which pixel each comes by the ``moves`` (N, M, 2).

    Every second move also mirrors, or with M = 1 those where ``mirrored`` (N,) is 1.
    """
    line = torch.arange(side, device=moves.device)
    down = (line - moves[..., :1]) % side
    right = (line - moves[..., 1:]) % side
    turn = torch.arange(moves.shape[1], device=moves.device) % 2
    turned = turn[None, :, None] if mirrored is None else mirrored[:, None, None]
    right = torch.where(turned == 1, side - 1 - right, right)
    return (down[..., :, None] * side + right[..., None, :]).flatten(2)


def _gathered(images: Tensor, places: Tensor) -> Tensor:
    """Pixels (N, M, K) of images (N, 1, S, S) at ``places`` (N, M, K)."""
    flat = images.flatten(1)[:, None].expand(-1, places.shape[1], -1)
    return flat.gather(2, places)
