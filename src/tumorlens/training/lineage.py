"""Lineage of a run: earlier runs whose weights or answers it uses, and their training images."""

import dataclasses
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any, Final, Self

from tumorlens.bundle import Bundle
from tumorlens.errors import CheckpointError
from tumorlens.evaluation.training_images import SEEN_IMAGES, TrainingImages
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
    def from_bundle(cls, bundle: Bundle) -> Self:
        """The run that made a bundle."""
        return cls(bundle.info.training | {"bundle": {"model_sha256": bundle.sha256}})

    def check(self, data: TrainingData) -> None:
        """Raise ``CheckpointError`` if it was trained on images that ``data`` keeps for testing."""
        trained, tested = self.images(), data.tested()
        known = [record for record in tested if record in trained]
        if known:
            raise CheckpointError(
                f"this network cannot be used for training: it was trained on {len(known)} of the "
                f"{len(tested)} test images, such as {known[0].path}; test on other images"
            )

    def images(self) -> TrainingImages:
        """The training images of the run; raise ``CheckpointError`` if it does not list them."""
        trained = TrainingImages.from_training(self.run)
        if trained is None:
            raise CheckpointError(
                "this network cannot be used for training: its record does not list the images "
                "that it was trained on"
            )
        return trained

    def summary(self) -> dict[str, Any]:
        """The entry for this run in the record of a later one."""
        summary = {name: self.run[name] for name in _SUMMARY_FIELDS if name in self.run}
        return {"model_sha256": self.run["bundle"]["model_sha256"]} | summary


def with_lineage(
    run: dict[str, Any], data: TrainingData, parents: Sequence[ParentRun]
) -> dict[str, Any]:
    """The record ``run`` of a run on ``data`` with the training images of its parents.

    Through weights or answers, the new run was trained on them too. They are added to ``extra``,
    ``train_images`` and the list of images, where an evaluation looks for the training images.
    """
    trained = reduce(or_, (parent.images() for parent in parents), data.training_images())
    extra, images = list(run["extra"]), dict(run["train_images"])
    for before in (parent.run for parent in parents):
        further = list(before["extra"])
        if before["data_sha256"] != run["data_sha256"]:
            split = {name: before["split"][name] for name in ("name", "sha256")}
            further.append({"data_sha256": before["data_sha256"], "split": split})
        extra += [facts for facts in further if facts not in extra]
        images = before["train_images"] | images
    return run | {"extra": extra, "train_images": images, SEEN_IMAGES: trained.listed}
