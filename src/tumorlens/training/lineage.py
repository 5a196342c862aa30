"""Lineage of a run: earlier runs whose weights or answers it uses, and the images they saw."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final, Self

from tumorlens.bundle import Bundle
from tumorlens.errors import CheckpointError
from tumorlens.training.data import TrainingData

_SUMMARY_FIELDS: Final = (
    "recipe", "seed", "epochs", "best_epoch", "git_commit", "train_images", "start_from",
    "teachers", "without_part",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ParentRun:
    """A finished run whose weights or answers a later run uses, by its record."""

    run: dict[str, Any]

    @classmethod
    def of(cls, made: Bundle) -> Self:
        """The run that made a bundle."""
        return cls(made.info.training | {"bundle": {"model_sha256": made.sha256}})

    def check(self, data: TrainingData) -> None:
        """Raise ``CheckpointError`` where the run saw what ``data`` keeps for testing."""
        split = self.run.get("split", {})
        if split.get("sha256") != data.split.info.sha256:
            raise CheckpointError(
                f"cannot learn from a run on the split {split.get('name')!r}: what "
                f"{data.split.info.name!r} tests on may have trained it"
            )
        seen = sorted(set(data.held_out_sources) - set(self.run.get("held_out_sources", [])))
        if seen:
            raise CheckpointError(
                f"cannot leave out {', '.join(seen)}: the run to learn from did not"
            )

    def summary(self) -> dict[str, Any]:
        """The entry for this run in the record of a later one."""
        summary = {name: self.run[name] for name in _SUMMARY_FIELDS if name in self.run}
        return {"model_sha256": self.run["bundle"]["model_sha256"]} | summary


def with_lineage(run: dict[str, Any], parents: Sequence[ParentRun]) -> dict[str, Any]:
    """The record ``run`` with what its parents have seen.

    Whatever trained those has, through their weights or answers, trained the new run: it is added
    to ``extra`` and ``train_images``, where an evaluation looks for what a bundle has seen.
    """
    extra, images = list(run["extra"]), dict(run["train_images"])
    for before in (parent.run for parent in parents):
        seen = list(before["extra"])
        if before["data_sha256"] != run["data_sha256"]:
            split = {name: before["split"][name] for name in ("name", "sha256")}
            seen.append({"data_sha256": before["data_sha256"], "split": split})
        extra += [one for one in seen if one not in extra]
        images = before["train_images"] | images
    return run | {"extra": extra, "train_images": images}
