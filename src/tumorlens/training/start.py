"""Weights to start from, of an earlier run or a bundle, and their training images."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Final, Self

import torch
from torch import Tensor

from tumorlens import bundle
from tumorlens.errors import CheckpointError, TumorlensError
from tumorlens.labels import BRAIN_TUMORS, ClassSet
from tumorlens.networks import registry
from tumorlens.networks.sepsenet import Network, SepSENet
from tumorlens.networks.symmetry import asymmetry
from tumorlens.training import batchnorm, checkpoint, provenance
from tumorlens.training.lineage import ParentRun

_ROUNDING: Final = 1e-3
_LAST_LAYER: Final = ("classifier.weight", "classifier.bias")
_LESION_HEAD: Final = "lesion."


@dataclasses.dataclass(frozen=True)
class Start:
    """The best weights of a finished run, and its record."""

    weights: dict[str, Tensor]
    parent: ParentRun
    folded: bool = False
    """Whether batch normalisations are folded into the convolutions, as in a bundle."""
    classes: ClassSet = BRAIN_TUMORS
    """Those of the network that has the weights."""
    licence: str = bundle.LICENCE
    """Of the weights, and so of all that are trained from them."""

    @property
    def has_lesion_head(self) -> bool:
        """Whether the network that has the weights predicts where a tumour is."""
        return any(name.startswith(_LESION_HEAD) for name in self.weights)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a run's folder, or else a bundle, by its folder or bundled name.

        Raises ``CheckpointError`` where it is neither, or the run did not finish.
        """
        if (path / checkpoint.CHECKPOINT_FILE).exists():
            return cls._from_run(path)
        try:
            exported = bundle.load(str(path))
        except TumorlensError as error:
            raise CheckpointError(f"no weights to start from: {error}") from error
        return cls(
            batchnorm.exported_weights(exported.model),
            ParentRun.from_bundle(exported),
            folded=True,
            classes=exported.info.classes,
            licence=exported.info.licence,
        )

    @classmethod
    def _from_run(cls, folder: Path) -> Self:
        tensors, _ = checkpoint.load_checkpoint(folder / checkpoint.CHECKPOINT_FILE)
        try:
            run = json.loads((folder / provenance.RUN_FILE).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{folder}: contains no finished run ({error})") from error
        info = bundle.load(folder.resolve()).info
        weights = checkpoint.without_prefix("best", tensors)
        return cls(weights, ParentRun(run), classes=info.classes, licence=info.licence)

    def copy_into(self, network: Network, sample: Tensor, classes: ClassSet = BRAIN_TUMORS) -> None:
        """Give ``network`` the weights; ``CheckpointError`` where its dimensions differ.

        For other ``classes`` it keeps its own last layer. ``sample`` (N, 1, S, S) are normalised
        images for the statistics that a bundle lacks.
        """
        weights = self.weights
        if self.classes.names != classes.names:
            own = network.state_dict()
            weights = weights | {name: own[name] for name in weights if name in _LAST_LAYER}
        if self.folded:
            batchnorm.unfuse_batchnorm(network, weights)
            _require_symmetry(network)
            # With their mirror images, as they are shown in training: partners stay alike.
            batchnorm.recalibrate_batchnorm(network, torch.cat([sample, sample.flip(3)]))
            registry.constrain(network)
            return
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise batchnorm.misfit() from error
        _require_symmetry(network)

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(self.weights[name].contiguous().numpy().tobytes())
        return digest.hexdigest()


def _require_symmetry(network: Network) -> None:
    """Raise ``CheckpointError`` where a mirror-symmetric network got other weights."""
    if not isinstance(network, SepSENet) or not network.config.mirror_symmetric:
        return
    if asymmetry(network) > _ROUNDING:
        raise CheckpointError(
            "the weights to start from are not mirror-symmetric, as this recipe's network is; "
            "--set model=attentive trains them further"
        )
