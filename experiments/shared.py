"""What several experiments do: choose images, ask a bundle about them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.inference.classifier import Classifier
from tumorlens.training import cache


def images_of(manifest: Manifest, split: str, part: str) -> list[int]:
    """Indices of the images of one part of a split."""
    parts = splits.load(split).parts(manifest)
    return [i for i, name in enumerate(parts) if name == part]


def logits_of(
    classifier: Classifier, manifest: Manifest, chosen: Sequence[int], folder: Path | None
) -> NDArray[np.float64]:
    """Logits (N, 4) of the chosen images; ``folder`` caches them preprocessed."""
    config = classifier.bundle.info.preprocess
    images = cache.cached_images(manifest, chosen, config, folder or cache.default_folder())
    return classifier.forward(images).logits.astype(np.float64)
