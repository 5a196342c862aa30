"""Tumours pasted into healthy heads, and covered in ill ones: the class comes from the lesion.

On public sets the tumours come from one hospital and the healthy heads from another, so a network
can tell them apart without looking at a tumour. Moving tumours between the sources with the
experts' outlines cuts that tie (after "cut, paste and learn", Dwibedi et al. 2017).

Everything works on preprocessed images: heads that were cropped and centred, so that the same
place of the square is about the same place of the head.
"""

import torch

from tumorlens.config import LesionConfig
from tumorlens.evaluation.probes.lesions import INSIDE, TISSUE
from tumorlens.labels import NO_TUMOR_INDEX, TUMOR_INDICES
from tumorlens.training.batch import Batch, changed
from tumorlens.training.healing import heal
from tumorlens.training.tissue import can_be_covered, feathered, matched


def mix(batch: Batch, config: LesionConfig, generator: torch.Generator) -> Batch:
    """Heal and cover some tumours, then paste some into healthy heads."""
    if config.heal > 0:
        batch = heal(batch, config.heal, generator)
    if config.erase > 0:
        batch = cover(batch, config.erase, generator)
    if config.paste > 0:
        batch = paste(batch, config.paste, generator)
    return batch


def cover(batch: Batch, share: float, generator: torch.Generator) -> Batch:
    """Blend the mirrored other side over ``share`` of the outlined tumours: they become healthy.

    Only where the head is symmetric, the tumour lies on one side and is not large.
    """
    images, masks = batch.images, batch.masks
    drawn = (torch.rand(len(images), generator=generator) < share).to(images.device)
    rows = torch.nonzero(drawn & (masks.amax(dim=(1, 2, 3)) > 0)).flatten()
    rows = rows[can_be_covered(images[rows], masks[rows])]
    if len(rows) == 0:
        return batch
    alpha = feathered(masks[rows])
    covered = images[rows] * (1 - alpha) + images[rows].flip(3) * alpha
    return changed(batch, rows, covered, torch.zeros_like(masks[rows]), (NO_TUMOR_INDEX,))


def paste(batch: Batch, share: float, generator: torch.Generator) -> Batch:
    """Give ``share`` of the healthy heads another image's tumour: then any tumour class is right.

    The tumour keeps its place, or the mirrored one, and its contrast to the tissue around it; it
    must fall on tissue. Its kind is not taught along: in another head, cut in another plane, the
    neighbourhood that tells a meningioma from a glioma is gone.
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
    healthy = batch.outlined & certain & (targets[:, NO_TUMOR_INDEX] == 1)
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
    alpha = feathered(outline)
    pasted = images[rows] * (1 - alpha) + matched(donor, outline, images[rows]) * alpha
    return changed(batch, rows, pasted, outline, TUMOR_INDICES)
