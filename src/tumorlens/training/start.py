"""Weights of an earlier run to start from, with what they have seen."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Final, Self

from torch import Tensor, nn

from tumorlens.errors import CheckpointError
from tumorlens.training import checkpoint, provenance
from tumorlens.training.data import TrainingData

_TOLD: Final = ("recipe", "epochs", "best_epoch", "git_commit", "train_images", "start_from")


@dataclasses.dataclass(frozen=True)
class Start:
    """The chosen weights of a finished run, and its record."""

    weights: dict[str, Tensor]
    run: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a run's folder; ``CheckpointError`` where it is none or the run did not finish."""
        tensors, _ = checkpoint.load_checkpoint(folder / checkpoint.CHECKPOINT_FILE)
        try:
            run = json.loads((folder / provenance.RUN_FILE).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{folder}: holds no finished run ({error})") from error
        return cls(checkpoint.without_prefix("best", tensors), run)

    def check(self, data: TrainingData) -> None:
        """Raise ``CheckpointError`` where the weights saw what ``data`` keeps for testing."""
        split = self.run.get("split", {})
        if split.get("sha256") != data.split.info.sha256:
            raise CheckpointError(
                f"cannot start from a run on the split {split.get('name')!r}: what "
                f"{data.split.info.name!r} tests on may have trained it"
            )
        seen = sorted(set(data.left_out) - set(self.run.get("left_out", [])))
        if seen:
            raise CheckpointError(
                f"cannot leave out {', '.join(seen)}: the run to start from did not"
            )

    def copy_into(self, network: nn.Module) -> None:
        """Give ``network`` the weights; ``CheckpointError`` where its dimensions differ."""
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

    def remembered(self, run: dict[str, Any]) -> dict[str, Any]:
        """The record ``run`` of the run that goes on, with what made its first weights.

        Whatever trained those has trained the new ones: it is added to ``extra`` and
        ``train_images``, where an evaluation looks for what a bundle has seen.
        """
        before = self.run
        seen = list(before["extra"])
        if before["data_sha256"] != run["data_sha256"]:
            split = {name: before["split"][name] for name in ("name", "sha256")}
            seen.append({"data_sha256": before["data_sha256"], "split": split})
        told = {name: before[name] for name in _TOLD if name in before}
        return run | {
            "extra": [*run["extra"], *(one for one in seen if one not in run["extra"])],
            "train_images": before["train_images"] | run["train_images"],
            "start_from": {"model_sha256": before["bundle"]["model_sha256"]} | told,
        }
