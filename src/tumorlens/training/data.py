"""Which images a run trains on: one manifest with a split, and further manifests."""

import dataclasses
import functools
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tumorlens.config import TrainConfig
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import EXCLUDED, TEST, TRAIN, VALIDATION, Split
from tumorlens.errors import SplitError
from tumorlens.evaluation.folds import fold_numbers
from tumorlens.evaluation.training_images import TrainingImages
from tumorlens.labels import ClassSet, class_set
from tumorlens.training.images import ImageSet, balanced_weights, kind_log_priors, usable


def part_of(group: str, parts: int) -> int:
    """The part, of ``parts``, of a patient or cluster; it depends on the name only."""
    digest = hashlib.sha256(f"cross-fit{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % parts


@dataclasses.dataclass(frozen=True)
class Extra:
    """A manifest from elsewhere: its ``train`` part, or all of it where there is no split."""

    manifest: Manifest
    split: Split | None = None

    @classmethod
    def load(cls, path: Path, part: str) -> Self:
        """The manifest in ``path`` with the split ``part``, by name or file; ``all`` is none."""
        manifest = Manifest.load(path)
        return cls(manifest, None if part == splits.ALL else splits.load(part, path.parent))

    def chosen(self) -> list[int]:
        """Records to train on."""
        if self.split is None:
            return list(range(len(self.manifest)))
        parts = self.split.parts(self.manifest)
        return [i for i, part in enumerate(parts) if part == TRAIN]

    def facts(self) -> dict[str, Any]:
        """For the run's record."""
        split = self.split.info if self.split else None
        return {
            "data_sha256": self.manifest.sha256,
            "split": {"name": split.name, "sha256": split.sha256} if split else None,
        }


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """The images of a run, and what each is used for."""

    manifest: Manifest
    split: Split
    extras: Sequence[Extra] = ()
    held_out_sources: Sequence[str] = ()
    """Sources or families that are used neither for training nor validation, but for the test."""
    allow_partial: bool = False
    stated_classes: ClassSet | None = None
    """Those of the recipe; None where they follow from the labels."""
    without_part: tuple[int, int] | None = None
    """Part of the patients that does not train, and how many parts there are; for a teacher."""

    def keeps(self, record: Record) -> bool:
        """Whether a record of the wanted part is used."""
        return usable(record, self.classes) and not record.is_from(self.held_out_sources)

    @functools.cached_property
    def classes(self) -> ClassSet:
        """Those of the recipe, or else those that follow from the labels of the split's images.

        Raises ``SplitError`` if the labels are not those of a set of classes.
        """
        if self.stated_classes is not None:
            return self.stated_classes
        pairs = zip(self.manifest, self._parts, strict=True)
        try:
            return class_set(record.label for record, part in pairs if part != EXCLUDED)
        except ValueError as error:
            raise SplitError(f"split {self.split.info.name}: {error}") from error

    def check_classes(self) -> None:
        """Raise ``SplitError`` if a class has no training image."""
        present = {record.label for record in self._train_records()}
        missing = [name for name in self.classes.names if name not in present]
        if missing:
            raise SplitError(
                f"split {self.split.info.name} has no image for {TRAIN} of the class "
                f"{', '.join(missing)}: add some, or leave the class out of the manifest"
            )

    def has_outlines(self) -> bool:
        """Whether any training image has an expert's outline."""
        return any(record.mask for record in self._train_records())

    def facts(self) -> dict[str, Any]:
        """For the run's record: data, splits, and the training images of each source."""
        sources = Counter(f"{r.source}: {r.label}" for r in self._train_records())
        without = self.without_part
        return {
            "data_sha256": self.manifest.sha256,
            "split": {
                "name": self.split.info.name,
                "sha256": self.split.info.sha256,
                "disjoint": self.split.info.disjoint,
            },
            "extra": [extra.facts() for extra in self.extras],
            "held_out_sources": list(self.held_out_sources),
            **({"without_part": {"part": without[0], "parts": without[1]}} if without else {}),
            "train_images": dict(sorted(sources.items())),
        }

    def training_images(self) -> TrainingImages:
        """The images that are used to train or validate."""
        validating = [self.manifest.records[i] for i in self._part(VALIDATION)]
        return TrainingImages.from_records([*self._train_records(), *validating])

    def tested(self) -> list[Record]:
        """The images that are kept for testing: the split's part, and the held-out sources."""
        manifests = [self.manifest, *(extra.manifest for extra in self.extras)]
        apart = [r for m in manifests for r in m if r.is_from(self.held_out_sources)]
        pairs = zip(self.manifest, self._parts, strict=True)
        return apart + [r for r, part in pairs if part == TEST and self.keeps(r)]

    @property
    def key(self) -> str:
        """Hash of everything that decides which images are used."""
        digest = hashlib.sha256(f"{self.manifest.sha256}{self.split.info.sha256}".encode())
        for extra in self.extras:
            digest.update(extra.manifest.sha256.encode())
            digest.update((extra.split.info.sha256 if extra.split else "").encode())
        digest.update("\t".join(sorted(self.held_out_sources)).encode())
        digest.update(str(self.without_part or "").encode())
        return digest.hexdigest()

    def load(
        self, config: TrainConfig, cache_folder: Path
    ) -> tuple[ImageSet, ImageSet, NDArray[np.float64] | None]:
        """Training images, validation images, and the sampling weights of the extra images.

        The extra images are last in the training images. Raises ``SplitError`` if a part is empty.
        """
        lesions = config.augment.lesions
        outlines = max(lesions.mask_loss, lesions.paste, lesions.erase) > 0

        def images(manifest: Manifest, chosen: Sequence[int], *, masks: bool) -> ImageSet:
            return ImageSet.load(
                manifest, chosen, config.preprocess, cache_folder,
                with_masks=masks, classes=self.classes,
            )  # fmt: skip

        train = images(self.manifest, self._part(TRAIN), masks=outlines)
        validation = images(self.manifest, self._part(VALIDATION), masks=False)
        if config.extra_share == 0 or not self.extras:
            return train, validation, None
        records: list[Record] = []
        priors = np.zeros((len(train), len(self.classes)), dtype=np.float32)
        for extra, chosen in self._extra_parts():
            if chosen:
                train = train + images(extra.manifest, chosen, masks=outlines)
                records += [extra.manifest.records[i] for i in chosen]
        if not records:
            return train, validation, None
        more = kind_log_priors(
            [r.label for r in records],
            [r.family or r.source for r in records],
            config.kind_prior,
            self.classes,
        )
        train = dataclasses.replace(train, kind_log_prior=np.concatenate([priors, more]))
        return train, validation, balanced_weights(records)

    @functools.cached_property
    def _parts(self) -> list[str]:
        return self.split.parts(self.manifest, allow_partial=self.allow_partial)

    def _part(self, wanted: str) -> list[int]:
        pairs = zip(self.manifest, self._parts, strict=True)
        takes_part = self._trains if wanted == TRAIN else self.keeps
        chosen = [i for i, (r, part) in enumerate(pairs) if part == wanted and takes_part(r)]
        if not chosen:
            name = self.split.info.name
            hint = f"; it is in folds: name one, as in {name}:0, or train all of them with --kfold"
            raise SplitError(
                f"split {name} has no image for {wanted}"
                + (hint if fold_numbers(self.split) else "")
            )
        return chosen

    def _extra_parts(self) -> list[tuple[Extra, list[int]]]:
        return [
            (extra, [i for i in extra.chosen() if self._trains(extra.manifest.records[i])])
            for extra in self.extras
        ]

    def _trains(self, record: Record) -> bool:
        """Whether it is used: not if its patient is in the part that a teacher goes without."""
        if not self.keeps(record):
            return False
        if self.without_part is None:
            return True
        part, parts = self.without_part
        return part_of(record.group or record.sha256, parts) != part

    def _train_records(self) -> list[Record]:
        own = [self.manifest.records[i] for i in self._part(TRAIN)]
        more = [e.manifest.records[i] for e, chosen in self._extra_parts() for i in chosen]
        return own + more
