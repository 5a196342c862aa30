"""Moving outlined tissue between preprocessed heads, in tensors: outlines, symmetry, contrast.

Images are (N, 1, S, S) float, 0..1; outlines are of the same shape. The limits are those of the
probes; how it is done is written apart from them.
"""

from torch import Tensor
from torch.nn import functional

from tumorlens.evaluation.probes.lesions import LARGEST, OVERLAP, SYMMETRY, TISSUE

_FEATHER = 7
"""Side, in pixels, of the window that softens an outline's edge."""
_MARGIN = _FEATHER // 2 + 1
"""Pixels by which an outline is grown first, so that nothing inside it is softened."""


def can_be_covered(images: Tensor, masks: Tensor) -> Tensor:
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


def feathered(masks: Tensor) -> Tensor:
    """Outlines grown by a few pixels with a soft edge, so that no seam shows."""
    return functional.avg_pool2d(grown(masks, _MARGIN), _FEATHER, 1, _FEATHER // 2)


def grown(masks: Tensor, pixels: int) -> Tensor:
    """Outlines wider by ``pixels`` on every side; rows, then columns, which is far less work."""
    side = 2 * pixels + 1
    rows = functional.max_pool2d(masks, (side, 1), 1, (pixels, 0))
    return functional.max_pool2d(rows, (1, side), 1, (0, pixels))


def matched(donor: Tensor, outline: Tensor, recipient: Tensor) -> Tensor:
    """``donor`` with the brightness and contrast that ``recipient`` has around the same place."""
    around = grown(outline, 12) - grown(outline, _MARGIN)
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
