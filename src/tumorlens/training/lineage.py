"""Lineage of a run: earlier runs whose weights or answers it uses, and the images they saw."""

import dataclasses
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any, Final, Self

from tumorlens.bundle import Bundle
from tumorlens.errors import CheckpointError
from tumorlens.evaluation.training_images import TrainingImages
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
        """Raise ``CheckpointError`` where an image that ``data`` keeps for testing trained the run.

        By the hashes of the images, or of the whole manifest where the run's record does not list
        its images.
        """
        seen, tested = self.images(data), data.tested()
        known = [record for record in tested if record in seen]
        if known:
            raise CheckpointError(
                f"cannot learn from this network: {len(known)} of the {len(tested)} images that "
                f"are kept for testing trained it, the first is {known[0].path}; test on others"
            )
        if tested and data.manifest.sha256 in seen.unlisted:
            raise CheckpointError(
                "cannot learn from this network: images of the same manifest trained it, and its "
                "record does not say which"
            )
        others = sorted(set(data.held_out_sources) - set(self.run.get("held_out_sources", [])))
        if others and seen.unlisted:
            raise CheckpointError(
                f"cannot leave out {', '.join(others)}: the run to learn from did not, and its "
                "record does not list all images that trained it"
            )

    def images(self, data: TrainingData) -> TrainingImages:
        """The images that trained the run, as far as its record or a known split lists them."""
        return TrainingImages.of_training(self.run, data.split)

    def summary(self) -> dict[str, Any]:
        """The entry for this run in the record of a later one."""
        summary = {name: self.run[name] for name in _SUMMARY_FIELDS if name in self.run}
        return {"model_sha256": self.run["bundle"]["model_sha256"]} | summary


def with_lineage(
    run: dict[str, Any], data: TrainingData, parents: Sequence[ParentRun]
) -> dict[str, Any]:
    """The record ``run`` of a run on ``data`` with what it and its parents have seen.

    Whatever trained those has, through their weights or answers, trained the new run: it is added
    to ``extra``, ``train_images`` and the list of images, where an evaluation looks for what a
    bundle has seen.
    """
    seen_images = reduce(or_, (parent.images(data) for parent in parents), data.training_images())
    extra, images = list(run["extra"]), dict(run["train_images"])
    for before in (parent.run for parent in parents):
        seen = list(before["extra"])
        if before["data_sha256"] != run["data_sha256"]:
            split = {name: before["split"][name] for name in ("name", "sha256")}
            seen.append({"data_sha256": before["data_sha256"], "split": split})
        extra += [one for one in seen if one not in extra]
        images = before["train_images"] | images
    return run | {"extra": extra, "train_images": images} | seen_images.facts()
