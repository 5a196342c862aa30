"""Networks that a run learns from: their answers are taught beside the labels.

After Hinton, Vinyals and Dean (2015), "Distilling the Knowledge in a Neural Network". A teacher
sees each training image as the pupil does, changed and mixed, and answers with its calibrated
probabilities; several teachers are averaged. They may be of any size: they do not ship.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from tumorlens import bundle
from tumorlens.bundle import Bundle
from tumorlens.config import PreprocessConfig
from tumorlens.errors import CheckpointError
from tumorlens.inference.postprocessing import softmax
from tumorlens.inference.session import Session
from tumorlens.training.ancestry import Ancestor


class Teachers:
    """Bundles whose opinions are averaged."""

    def __init__(self, bundles: Sequence[Bundle], threads: int | None = None) -> None:
        """``threads`` a forward pass may use. ``BundleError`` where a bundle is none."""
        self._bundles = bundles
        self._sessions = [Session(made, threads) for made in bundles]
        self.ancestors = [Ancestor.of(made) for made in bundles]

    @classmethod
    def load(cls, places: Sequence[Path], threads: int | None = None) -> Self:
        """By folder, or name in the box; raises ``BundleError``."""
        return cls([bundle.load(str(place)) for place in places], threads)

    def check(self, preprocess: PreprocessConfig) -> None:
        """Raise ``CheckpointError`` unless all see images as ``preprocess`` makes them."""
        for made in self._bundles:
            if made.info.preprocess != preprocess:
                raise CheckpointError(
                    f"teacher {made.info.name} was made for images that are preprocessed otherwise"
                )

    def probabilities(self, images: Tensor) -> Tensor:
        """(N, 1, s, s) normalised images to probabilities (N, 4) on the same device.

        A teacher knows its own size only: where training starts with smaller images, they are
        enlarged for it.
        """
        side = self._bundles[0].info.preprocess.image_size
        if images.shape[-1] != side:
            images = nn.functional.interpolate(images, size=(side, side), mode="bilinear")
        batch = images.detach().cpu().contiguous().numpy()
        each = [
            softmax(session.run(batch).logits, made.info.temperature)
            for session, made in zip(self._sessions, self._bundles, strict=True)
        ]
        mean = torch.from_numpy(sum(each) / len(each))
        return mean.to(images.device, dtype=torch.float32)

    @property
    def sha256(self) -> str:
        """Hash of all teachers, in their order; empty for none."""
        if not self._bundles:
            return ""
        return hashlib.sha256("".join(made.sha256 for made in self._bundles).encode()).hexdigest()
