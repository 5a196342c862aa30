"""The training loop: plain torch, resumable at any epoch with bit-identical results.

All randomness of an epoch comes from generators seeded by (seed, epoch, rank), so an epoch that
was killed half-way and is run again from its checkpoint takes the same course.
"""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tumorlens.config import AugmentConfig, TrainConfig
from tumorlens.errors import CheckpointError
from tumorlens.labels import CLASSES
from tumorlens.training import checkpoint, optimization
from tumorlens.training.architectures import resolve
from tumorlens.training.augmentation import augment, mixup
from tumorlens.training.checkpoint import RunState
from tumorlens.training.network import SepSENet
from tumorlens.training.processes import Processes

_VALIDATION_BATCH = 128


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Preprocessed images (N, S, S) uint8 and their class indices (N,) int64."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


class Watcher:
    """Told of a run's progress; override what is of interest. Closed at the end of a ``with``."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def open(self) -> None:
        """Before the first epoch."""

    def close(self) -> None:
        """After the last epoch, or an error."""

    def batch_done(self, epoch: int, done: int, total: int, loss: float) -> None:
        """After each optimiser step of ``epoch`` (from 1)."""

    def epoch_done(self, history: list[dict[str, float]], best_epoch: int) -> None:
        """After each epoch, with all epochs' measurements so far."""


class Trainer:
    """One run in memory. ``fit`` trains; afterwards ``best_weights`` holds what to export."""

    def __init__(
        self,
        config: TrainConfig,
        train: ImageSet,
        validation: ImageSet,
        *,
        run_key: str,
        device: torch.device,
        processes: Processes,
    ) -> None:
        """Build network and optimiser from ``config.seed``."""
        self.config, self.train_set, self.validation_set = config, train, validation
        self.device, self.processes = device, processes
        torch.manual_seed(config.seed)
        network = SepSENet(resolve(config.model))
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.forward: nn.Module = self.network
        if processes.count > 1:
            self.forward = DistributedDataParallel(self.network)
        self.optimizer = optimization.build_optimizer(self.network, config.optimizer)
        self.average = optimization.WeightAverage(self.network, config.optimizer.ema_decay)
        self.best_weights = dict(self.average.values)
        self.state = RunState(
            run_key=run_key, epoch=0, step=0, best_epoch=0, history=[], wall_time_s=0.0
        )
        labels = torch.from_numpy(train.labels)
        self.class_weights = optimization.class_weights(labels, len(CLASSES), config.balance)
        self.class_weights = self.class_weights.to(device)

    def fit(self, checkpoint_path: Path, watcher: Watcher) -> None:
        """Train the epochs that are left, writing ``checkpoint_path`` after each."""
        while self.state.epoch < self.config.epochs:
            started = time.monotonic()
            loss = self._train_epoch(self.state.epoch, watcher)
            self.state.epoch += 1
            if self.processes.leads:
                self._record(loss)
            self.state.wall_time_s += time.monotonic() - started
            if self.processes.leads:
                self.state.history[-1]["wall_time_s"] = round(self.state.wall_time_s, 2)
                self.save(checkpoint_path)
                watcher.epoch_done(self.state.history, self.state.best_epoch)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps; the last, incomplete batch is dropped."""
        return max(1, len(self.train_set) // (self.config.batch_size * self.processes.count))

    def _train_epoch(self, epoch: int, watcher: Watcher) -> float:
        self.forward.train()
        seed = self.config.seed * 1_000_003 + epoch * 1009 + self.processes.rank
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # dropout draws from the global generator
        side = optimization.image_side(epoch, self.config)
        changes = optimization.augmentation(epoch, self.config)
        total = 0.0
        for done, (images, labels) in enumerate(self._batches(epoch), start=1):
            loss = self._step(images, labels, side, changes, generator)
            total += loss
            watcher.batch_done(epoch + 1, done, self.steps_per_epoch, total / done)
        return total / self.steps_per_epoch

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's share of a permutation that all processes draw alike."""
        shuffle = torch.Generator().manual_seed(self.config.seed * 7_368_787 + epoch)
        order = torch.randperm(len(self.train_set), generator=shuffle).numpy()
        size, count = self.config.batch_size, self.processes.count
        for step in range(self.steps_per_epoch):
            start = (step * count + self.processes.rank) * size
            chosen = order[start : start + size]
            images = torch.from_numpy(self.train_set.images[chosen])
            yield images, torch.from_numpy(self.train_set.labels[chosen])

    def _step(
        self,
        images: Tensor,
        labels: Tensor,
        side: int,
        changes: AugmentConfig,
        random: torch.Generator,
    ) -> float:
        config = self.config
        rate = optimization.learning_rate(self.state.step, self.steps_per_epoch, config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = images.to(self.device)[:, None].float() / 255.0
        batch = augment(batch, changes, side, random)
        targets = optimization.soft_targets(
            labels.to(self.device), len(CLASSES), config.optimizer.label_smoothing
        )
        batch, targets = mixup(batch, targets, changes.mixup, random)
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"
        ):
            logits = self.forward(self._standardize(batch))
        loss = optimization.soft_cross_entropy(logits, targets, self.class_weights)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if config.optimizer.clip_norm > 0:
            nn.utils.clip_grad_norm_(self.network.parameters(), config.optimizer.clip_norm)
        self.optimizer.step()
        self.state.step += 1
        self.average.update(self.network, self.state.step)
        return float(loss.detach())

    def _standardize(self, batch: Tensor) -> Tensor:
        """As ``preprocessing.normalize`` does, for floats in 0..1."""
        settings = self.config.preprocess
        standardized = (batch - settings.mean) / settings.std
        return standardized.contiguous(memory_format=torch.channels_last)

    def _record(self, train_loss: float) -> None:
        """Validate the averaged weights; keep them where they are the best so far."""
        logits = self.predict(self.average.values, self.validation_set)
        labels = torch.from_numpy(self.validation_set.labels)
        entry = {
            "epoch": self.state.epoch,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "train_loss": train_loss,
            "validation_loss": float(nn.functional.cross_entropy(logits, labels)),
            "validation_accuracy": float((logits.argmax(1) == labels).float().mean()),
        }
        self.state.history.append(entry)
        best = self.state.history[self.state.best_epoch - 1] if self.state.best_epoch else None
        # Log-loss, not accuracy: on a few hundred images accuracy moves in steps of an image or
        # two, and ties and luck would pick an epoch from before the learning rate has fallen.
        if best is None or entry["validation_loss"] <= best["validation_loss"]:
            self.state.best_epoch = self.state.epoch
            self.best_weights = {n: v.clone() for n, v in self.average.values.items()}

    @torch.no_grad()
    def predict(self, weights: dict[str, Tensor], images: ImageSet) -> Tensor:
        """Logits (N, 4) of ``weights`` in evaluation mode; the network's own are left alone."""
        own = {n: v.clone() for n, v in self.network.state_dict().items()}
        self.network.load_state_dict(weights)
        self.network.eval()
        parts = []
        for start in range(0, len(images), _VALIDATION_BATCH):
            batch = torch.from_numpy(np.array(images.images[start : start + _VALIDATION_BATCH]))
            standardized = self._standardize(batch.to(self.device)[:, None].float() / 255.0)
            parts.append(self.network(standardized).float().cpu())
        self.network.load_state_dict(own)
        return torch.cat(parts)

    def save(self, path: Path) -> None:
        """Write everything that ``restore`` needs."""
        tensors = {
            **checkpoint.with_prefix("network", self.network.state_dict()),
            **checkpoint.with_prefix("average", self.average.values),
            **checkpoint.with_prefix("best", self.best_weights),
            **checkpoint.with_prefix("optimizer", checkpoint.optimizer_tensors(self.optimizer)),
        }
        checkpoint.save_checkpoint(path, tensors, self.state)

    def restore(self, path: Path) -> None:
        """Go back to a checkpoint; ``CheckpointError`` where it belongs to another run."""
        tensors, state = checkpoint.load_checkpoint(path)
        if state.run_key != self.state.run_key:
            raise CheckpointError(
                f"{path}: was made with another recipe, data, split or number of processes; "
                "resume with the same, or choose another --out"
            )
        self.network.load_state_dict(checkpoint.without_prefix("network", tensors))
        checkpoint.restore_optimizer(
            self.optimizer, checkpoint.without_prefix("optimizer", tensors)
        )
        for name, value in checkpoint.without_prefix("average", tensors).items():
            self.average.values[name].copy_(value)
        self.best_weights = checkpoint.without_prefix("best", tensors)
        self.state = state
