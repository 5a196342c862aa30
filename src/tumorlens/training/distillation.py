"""Teachers: networks whose probabilities a student learns beside the labels.

After Hinton, Vinyals and Dean (2015), "Distilling the Knowledge in a Neural Network". A teacher
sees each training image as the student does, changed and mixed, and gives its calibrated
probabilities (Beyer et al. 2022). Teachers are cross-fitted: each was trained without one part of
the patients and is used for that part only: a network that was trained on a patient only repeats
the label.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import torch
from torch import Tensor, nn

from tumorlens import bundle
from tumorlens.bundle import BUNDLE_FOLDER, Bundle
from tumorlens.config import PreprocessConfig
from tumorlens.cores import available_cores
from tumorlens.errors import CheckpointError
from tumorlens.inference.postprocessing import softmax
from tumorlens.inference.session import Session
from tumorlens.labels import BRAIN_TUMORS, ClassSet
from tumorlens.training.lineage import ParentRun

PART_FOLDER: Final = "part-{}"
"""Folder, in a teacher's run, of the network that was trained without this part."""


class Teachers:
    """Bundles, one for each part of the patients that it was trained without."""

    def __init__(self, bundles: Sequence[Bundle], threads: int | None = None) -> None:
        """``bundles`` in the order of their parts; none for training without a teacher.

        ``threads`` is the number of threads of a forward pass, by default one for each core. Raises
        ``BundleError`` if a bundle cannot be used, ``CheckpointError`` if they are not the parts of
        one run.
        """
        self._bundles = bundles
        self._sessions = [Session(teacher, threads or available_cores()) for teacher in bundles]
        self.parents = [ParentRun.from_bundle(teacher) for teacher in bundles]
        for part, parent in enumerate(self.parents):
            _check_part(parent.run.get("without_part"), part, len(bundles))

    @classmethod
    def load(cls, folder: Path | None, threads: int | None = None) -> Self:
        """Read the run of `tumorlens train teacher`; None for no teachers.

        Raises ``CheckpointError`` where the folder holds no such run, ``BundleError`` where one of
        its bundles cannot be used.
        """
        if folder is None:
            return cls([])
        bundles: list[Bundle] = []
        while (path := folder / PART_FOLDER.format(len(bundles)) / BUNDLE_FOLDER).is_dir():
            bundles.append(bundle.load(str(path)))
        if not bundles:
            raise CheckpointError(
                f"{folder}: contains no teachers; `tumorlens train teacher` writes them"
            )
        return cls(bundles, threads)

    @property
    def parts(self) -> int:
        """Parts of the patients that are kept apart; 1 where there is no teacher."""
        return max(1, len(self._bundles))

    @property
    def sha256(self) -> str:
        """Hash of all teachers, in their order; empty for none."""
        if not self._bundles:
            return ""
        joined = "".join(teacher.sha256 for teacher in self._bundles)
        return hashlib.sha256(joined.encode()).hexdigest()

    def check(self, preprocess: PreprocessConfig, classes: ClassSet = BRAIN_TUMORS) -> None:
        """Raise ``CheckpointError`` unless all have this preprocessing and these classes."""
        for teacher in self._bundles:
            if teacher.info.classes.names != classes.names:
                raise CheckpointError(
                    f"teacher {teacher.info.name} knows other classes: "
                    f"{', '.join(teacher.info.classes.names)}"
                )
            if teacher.info.preprocess != preprocess:
                raise CheckpointError(
                    f"teacher {teacher.info.name} was trained on images that are preprocessed "
                    "differently"
                )

    def probabilities(self, images: Tensor, part: int) -> Tensor:
        """(N, 1, S, S) normalised images of ``part`` to probabilities (N, C), on their device."""
        side = self._bundles[part].info.preprocess.image_size
        if images.shape[-1] != side:
            images = nn.functional.interpolate(images, size=(side, side), mode="bilinear")
        batch = images.detach().cpu().contiguous().numpy()
        logits = self._sessions[part].run(batch).logits
        answer = softmax(logits, self._bundles[part].info.temperature)
        return torch.from_numpy(answer).to(images.device, dtype=torch.float32)


def _check_part(recorded: Any, part: int, parts: int) -> None:
    expected = {"part": part, "parts": parts}
    if recorded != expected and not (recorded is None and parts == 1):
        raise CheckpointError(
            f"teacher {part} was trained without {recorded} instead of {expected}: the teachers "
            "are not those of one run"
        )
