"""Move outlined tissue between preprocessed heads: feathering, mirroring, matching.

Images are float (S, S), 0 to 1; the head is centred, so that the mirrored image shows the
other side of the head at the same position.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

TISSUE: Final = 0.08
"""Intensity above which a pixel belongs to the head."""
_MARGIN: Final = 0.02
"""Growth of an outline before its edge is softened, as a share of the side."""
_SOFT: Final = 0.012
"""Standard deviation of the soft edge, as a share of the side."""
_RING: Final = 0.08
"""Width of the tissue around a tumour whose brightness is matched, as a share of the side."""
SYMMETRY: Final = 0.75
"""Least correlation of a head with its mirror image for the other side to replace a part."""
OVERLAP: Final = 0.05
"""Largest overlap of an outline with its own mirror image: excludes tumours of the midline."""
LARGEST: Final = 0.15
"""Largest outline to cover, as a share of the image: a larger one deforms the whole head."""
INSIDE: Final = 0.95
"""Share of a pasted tumour that must fall on tissue."""
_VISIBLE: Final = 0.05
"""Mean change under the outline (white is 1) below which a change is not visible."""
_FLATTEST: Final = 0.02
"""Contrast around a donor's tumour below which it is not amplified further."""


def feathered(mask: Mask) -> Floats:
    """Weights 0 to 1 that are 1 on the outline's inside and fall softly outside of it."""
    side = mask.shape[-1]
    wide = grown(mask, max(2, round(_MARGIN * side))).astype(np.float64)
    return ndimage.gaussian_filter(wide, _SOFT * side)


def grown(mask: Mask, pixels: int) -> Mask:
    """A mask wider by ``pixels`` in every direction."""
    distance = ndimage.distance_transform_edt(~mask) if mask.any() else np.full(mask.shape, np.inf)
    return distance <= pixels


def can_be_covered(image: Floats, mask: Mask) -> bool:
    """Whether the mirrored other side can replace the outlined part."""
    mirror = mask[:, ::-1]
    area = int(mask.sum())
    if area == 0 or area > LARGEST * mask.size or (mask & mirror).sum() > OVERLAP * area:
        return False
    free = ~(mask | mirror)
    left, right = image[free], image[:, ::-1][free]
    if left.std() == 0:
        return False
    return bool(np.corrcoef(left, right)[0, 1] >= SYMMETRY)


def covered(image: Floats, mask: Mask) -> Floats:
    """Blend the mirrored other side in under the outline."""
    alpha = feathered(mask)
    return image * (1 - alpha) + image[:, ::-1] * alpha


def fits(image: Floats, mask: Mask) -> bool:
    """Whether nearly all of the outline falls on tissue of ``image``."""
    return bool(mask.any() and (image[mask] > TISSUE).mean() >= INSIDE)


def visible(before: Floats, after: Floats, mask: Mask) -> bool:
    """Whether the change under the outline is visible."""
    return bool(mask.any() and np.abs(after - before)[mask].mean() >= _VISIBLE)


def pasted(image: Floats, donor: Floats, mask: Mask) -> Floats:
    """Paste ``donor``'s outlined part into ``image``, with the same contrast to its surroundings.

    Brightness and contrast are those that ``image`` has in a ring around the outline.
    """
    alpha = feathered(mask)
    side = mask.shape[-1]
    inner, outer = max(2, round(_MARGIN * side)), round((_MARGIN + _RING) * side)
    ring = grown(mask, outer) & ~grown(mask, inner)
    (their_mean, their_spread), (our_mean, our_spread) = (_moments(i, ring) for i in (donor, image))
    gain = np.clip(our_spread / max(their_spread, _FLATTEST), 0.5, 2.0)
    matched = np.clip((donor - their_mean) * gain + our_mean, 0.0, 1.0)
    return np.asarray(image * (1 - alpha) + matched * alpha)


def to_float(image: NDArray[np.uint8]) -> Floats:
    """0 to 255 as 0 to 1."""
    return image.astype(np.float64) / 255.0


def to_bytes(image: Floats) -> NDArray[np.uint8]:
    """0 to 1 as 0 to 255."""
    return np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)


def _moments(image: Floats, ring: Mask) -> tuple[float, float]:
    """Mean and standard deviation of the tissue in the ring; of the whole head without any."""
    tissue = image[ring & (image > TISSUE)]
    if tissue.size == 0:
        tissue = image[image > TISSUE] if (image > TISSUE).any() else image.ravel()
    return float(tissue.mean()), float(tissue.std())
