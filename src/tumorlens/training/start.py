"""Weights to start from, of an earlier run or a bundle, with what they have seen."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Self

from torch import Tensor

from tumorlens import bundle
from tumorlens.errors import CheckpointError, TumorlensError
from tumorlens.networks.sepsenet import Network
from tumorlens.training import batchnorm, checkpoint, provenance
from tumorlens.training.lineage import ParentRun


@dataclasses.dataclass(frozen=True)
class Start:
    """The chosen weights of a finished run, and what they have seen."""

    weights: dict[str, Tensor]
    parent: ParentRun
    folded: bool = False
    """Whether batch normalisations are folded into the convolutions, as in a bundle."""

    @classmethod
    def load(cls, place: Path) -> Self:
        """Read a run's folder, or else a bundle, by its folder or bundled name.

        Raises ``CheckpointError`` where it is neither, or the run did not finish.
        """
        if (place / checkpoint.CHECKPOINT_FILE).exists():
            return cls._of_run(place)
        try:
            made = bundle.load(str(place))
        except TumorlensError as error:
            raise CheckpointError(f"{place}: holds no run and no bundle ({error})") from error
        return cls(batchnorm.exported_weights(made.model), ParentRun.of(made), folded=True)

    @classmethod
    def _of_run(cls, folder: Path) -> Self:
        tensors, _ = checkpoint.load_checkpoint(folder / checkpoint.CHECKPOINT_FILE)
        try:
            run = json.loads((folder / provenance.RUN_FILE).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{folder}: holds no finished run ({error})") from error
        return cls(checkpoint.without_prefix("best", tensors), ParentRun(run))

    def copy_into(self, network: Network, sample: Tensor) -> None:
        """Give ``network`` the weights; ``CheckpointError`` where its dimensions differ.

        ``sample`` (N, 1, S, S) are normalised images for the statistics that a bundle lacks.
        """
        if self.folded:
            batchnorm.unfuse_batchnorm(network, self.weights)
            batchnorm.recalibrate_batchnorm(network, sample)
            return
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise CheckpointError(
                "the run to start from has a network of other dimensions than this recipe's"
            ) from error

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(self.weights[name].contiguous().numpy().tobytes())
        return digest.hexdigest()
