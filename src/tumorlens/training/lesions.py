"""Tumours pasted into healthy heads, and covered in others: the class must come from the lesion.

On public sets the tumours come from one hospital and the healthy heads from another, so a network
can distinguish them without looking at a tumour. Moving tumours between the sources with the
experts' outlines removes that shortcut (after "cut, paste and learn", Dwibedi et al. 2017).

Everything works on preprocessed images: heads that were cropped and centred, so that the same
position in the square is about the same position in the head. The limits for what may be covered,
and where a tumour may be pasted, are those of the probes; the code is separate, and uses tensors.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tumorlens.config import LesionConfig
from tumorlens.datasets.lesions import INSIDE, LARGEST, OVERLAP, SYMMETRY, TISSUE
from tumorlens.labels import BRAIN_TUMORS, ClassSet

_NO_TUMOR = BRAIN_TUMORS.names.index("notumor")
_FEATHER = 7
"""Side, in pixels, of the window that softens an outline's edge."""
_MARGIN = _FEATHER // 2 + 1
"""Pixels by which an outline is grown first, so that nothing inside it is softened."""


class Batch(NamedTuple):
    """Images on their way into the network; N of them, S pixels a side."""

    images: Tensor
    """(N, 1, S, S) float, 0..1."""
    masks: Tensor
    """(N, 1, S, S) float, 0..1: inside the experts' outline."""
    outlined: Tensor
    """(N,) bool: whether ``masks`` says where tumour is; known to be nowhere in healthy heads."""
    targets: Tensor
    """(N, C) float: 1 for each class that is a right answer."""
    kind_log_prior: Tensor
    """(N, C) float, added to the logits in the loss of the kind."""
    sequences: Tensor
    """(N,) index in ``labels.SEQUENCES``; -1 where it is not known."""


def mix(
    batch: Batch,
    config: LesionConfig,
    generator: torch.Generator,
    classes: ClassSet = BRAIN_TUMORS,
) -> Batch:
    """Cover some tumours, then paste some into healthy heads; nothing without "no finding"."""
    none = classes.no_finding_index
    if none is None:
        return batch
    if config.erase > 0:
        batch = cover(batch, config.erase, generator, none)
    if config.paste > 0:
        batch = paste(batch, config.paste, generator, none)
    return batch


def cover(batch: Batch, share: float, generator: torch.Generator, none: int = _NO_TUMOR) -> Batch:
    """Blend the mirrored other side over ``share`` of the outlined tumours: they become ``none``.

    Only if the head is symmetric, and the tumour is on one side and not large.
    """
    images, masks = batch.images, batch.masks
    drawn = (torch.rand(len(images), generator=generator) < share).to(images.device)
    rows = torch.nonzero(drawn & (masks.amax(dim=(1, 2, 3)) > 0)).flatten()
    rows = rows[_can_be_covered(images[rows], masks[rows])]
    if len(rows) == 0:
        return batch
    alpha = _feathered(masks[rows])
    covered = images[rows] * (1 - alpha) + images[rows].flip(3) * alpha
    return _changed(batch, rows, covered, torch.zeros_like(masks[rows]), [none])


def paste(batch: Batch, share: float, generator: torch.Generator, none: int = _NO_TUMOR) -> Batch:
    """Give ``share`` of the healthy heads another image's tumour: then any tumour class is right.

    The tumour keeps its place, or the mirrored one, and its contrast to the tissue around it; it
    must fall on tissue. Its kind is not a label: in another head, cut in another plane, the
    surroundings that distinguish a meningioma from a glioma are gone.
    """
    images, masks, targets = batch.images, batch.masks, batch.targets
    count = len(images)
    area = masks.sum(dim=(1, 2, 3))
    certain = targets.sum(1) == 1
    donors = torch.nonzero((area > 0) & batch.outlined & certain).flatten()
    if len(donors) == 0:
        return batch
    pick = donors[torch.randint(len(donors), (count,), generator=generator).to(donors.device)]
    turn = (torch.rand(count, generator=generator) < 0.5).to(images.device)
    drawn = (torch.rand(count, generator=generator) < share).to(images.device)
    healthy = batch.outlined & certain & (targets[:, none] == 1)
    rows = torch.nonzero(healthy & drawn).flatten()
    donor, outline = images[pick[rows]], masks[pick[rows]]
    turned = turn[rows].view(-1, 1, 1, 1)
    donor = torch.where(turned, donor.flip(3), donor)
    outline = torch.where(turned, outline.flip(3), outline)
    tissue = (outline * (images[rows] > TISSUE)).sum(dim=(1, 2, 3)) / outline.sum(dim=(1, 2, 3))
    fits = tissue >= INSIDE
    rows, donor, outline = rows[fits], donor[fits], outline[fits]
    if len(rows) == 0:
        return batch
    alpha = _feathered(outline)
    pasted = images[rows] * (1 - alpha) + _matched(donor, outline, images[rows]) * alpha
    kinds = [index for index in range(targets.shape[1]) if index != none]
    return _changed(batch, rows, pasted, outline, kinds)


def _changed(
    batch: Batch, rows: Tensor, images: Tensor, masks: Tensor, correct: list[int]
) -> Batch:
    """``batch`` with other images, masks and right answers in ``rows``."""
    answers = torch.zeros_like(batch.targets[rows])
    answers[:, correct] = 1.0
    return batch._replace(
        images=batch.images.index_copy(0, rows, images),
        masks=batch.masks.index_copy(0, rows, masks),
        targets=batch.targets.index_copy(0, rows, answers),
    )


def _can_be_covered(images: Tensor, masks: Tensor) -> Tensor:
    """(N,) whether the mirrored other side can stand in for the outlined part."""
    area = masks.sum(dim=(1, 2, 3))
    both = (masks * masks.flip(3)).sum(dim=(1, 2, 3))
    free = ((masks + masks.flip(3)) == 0).float()
    alike = _correlation(images, images.flip(3), free)
    pixels = masks.shape[-2] * masks.shape[-1]
    return (area > 0) & (both <= OVERLAP * area) & (area <= LARGEST * pixels) & (alike >= SYMMETRY)


def _correlation(left: Tensor, right: Tensor, weights: Tensor) -> Tensor:
    """(N,) Pearson correlation over the weighted pixels."""
    total = weights.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1)

    def mean(values: Tensor) -> Tensor:
        return (values * weights).sum(dim=(1, 2, 3), keepdim=True) / total

    left, right = left - mean(left), right - mean(right)
    covariance = mean(left * right)
    return (covariance / (mean(left**2) * mean(right**2)).sqrt().clamp_min(1e-6)).flatten()


def _feathered(masks: Tensor) -> Tensor:
    """Outlines grown by a few pixels with a soft edge, so that no seam shows."""
    return functional.avg_pool2d(_grown(masks, _MARGIN), _FEATHER, 1, _FEATHER // 2)


def _grown(masks: Tensor, pixels: int) -> Tensor:
    """Outlines wider by ``pixels`` on every side; rows, then columns, which is far less work."""
    side = 2 * pixels + 1
    rows = functional.max_pool2d(masks, (side, 1), 1, (pixels, 0))
    return functional.max_pool2d(rows, (1, side), 1, (0, pixels))


def _matched(donor: Tensor, outline: Tensor, recipient: Tensor) -> Tensor:
    """``donor`` with the brightness and contrast that ``recipient`` has around the same place."""
    around = _grown(outline, 12) - _grown(outline, _MARGIN)
    theirs, ours = _moments(donor, around), _moments(recipient, around)
    gain = (ours[1] / theirs[1].clamp_min(0.02)).clamp(0.5, 2.0)
    return ((donor - theirs[0]) * gain + ours[0]).clamp(0.0, 1.0)


def _moments(images: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the tissue in ``weights``, each (N, 1, 1, 1)."""
    weights = weights * (images > TISSUE)
    total = weights.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1)
    mean = (images * weights).sum(dim=(1, 2, 3), keepdim=True) / total
    variance = ((images - mean) ** 2 * weights).sum(dim=(1, 2, 3), keepdim=True) / total
    return mean, variance.sqrt()
