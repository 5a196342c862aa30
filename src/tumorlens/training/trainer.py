"""The training loop: plain torch, resumable at any epoch with bit-identical results.

All randomness of an epoch comes from generators seeded by (seed, epoch, rank), so an epoch that
was killed half-way and is run again from its checkpoint takes the same course.
"""

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
from tumorlens.evaluation.calibration import fit_temperature
from tumorlens.labels import CLASSES
from tumorlens.training import architectures, checkpoint, optimization
from tumorlens.training.augmentation import augment, mixup_share
from tumorlens.training.checkpoint import RunState
from tumorlens.training.distillation import Teachers
from tumorlens.training.images import ImageSet
from tumorlens.training.lesions import Batch, mix
from tumorlens.training.network import Network
from tumorlens.training.processes import Processes
from tumorlens.training.start import Start

_VALIDATION_BATCH = 128
_SAMPLE = 256
"""Images that settle the statistics of a network that starts from a bundle."""


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
        extra: NDArray[np.float64] | None = None,
        build: architectures.Factory = architectures.build,
        start: Start | None = None,
        teachers: Teachers | None = None,
    ) -> None:
        """Build network and optimiser from ``config.seed``.

        ``extra`` are the sampling weights of the last images of ``train``: those are drawn at
        random for their share of each batch, the others are each seen once an epoch. ``build``
        makes the network, for comparing other ones under the same training. ``start`` holds its
        first weights, instead of random ones. ``teachers`` answer beside the labels.
        """
        self.config, self.train_set, self.validation_set = config, train, validation
        self.extra = extra if extra is not None else np.zeros(0)
        self.device, self.processes = device, processes
        self.teachers = teachers if config.distillation_weight > 0 else None
        torch.manual_seed(config.seed)
        network = build(config)
        if start is not None:
            start.copy_into(network, self._sample())
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.forward: nn.Module = _Learner(self.network)
        if processes.count > 1:
            self.forward = DistributedDataParallel(self.forward)
        self.optimizer = optimization.build_optimizer(self.network, config.optimizer)
        self.average = optimization.WeightAverage(self.network, config.optimizer.ema_decay)
        self.first_weights = {n: v.clone() for n, v in self.average.values.items()}
        self.best_weights = dict(self.average.values)
        self.state = RunState(
            run_key=run_key, epoch=0, step=0, best_epoch=0, history=[], wall_time_s=0.0
        )
        labels = torch.from_numpy(train.labels[: self._own])
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
        return max(1, self._own // (self._own_in_batch * self.processes.count))

    @property
    def _own(self) -> int:
        """Images that are seen once an epoch; the extra ones come after them."""
        return len(self.train_set) - len(self.extra)

    @property
    def _own_in_batch(self) -> int:
        share = self.config.extra_share if len(self.extra) else 0.0
        return max(1, round(self.config.batch_size * (1 - share)))

    def _train_epoch(self, epoch: int, watcher: Watcher) -> float:
        self.forward.train()
        seed = self.config.seed * 1_000_003 + epoch * 1009 + self.processes.rank
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # dropout draws from the global generator
        side = optimization.image_side(epoch, self.config)
        changes = optimization.augmentation(epoch, self.config)
        total = 0.0
        for done, chosen in enumerate(self._batches(epoch), start=1):
            loss = self._step(chosen, side, changes, generator)
            total += loss
            watcher.batch_done(epoch + 1, done, self.steps_per_epoch, total / done)
        return total / self.steps_per_epoch

    def _batches(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """This process's share of a permutation and of draws that all processes make alike."""
        shuffle = torch.Generator().manual_seed(self.config.seed * 7_368_787 + epoch)
        order = torch.randperm(self._own, generator=shuffle).numpy()
        size, count = self._own_in_batch, self.processes.count
        more = self.config.batch_size - size if len(self.extra) else 0
        drawn = self._draw_extra(self.steps_per_epoch * count * more, shuffle)
        for step in range(self.steps_per_epoch):
            turn = step * count + self.processes.rank
            extra = drawn[turn * more : (turn + 1) * more]
            yield np.concatenate([order[turn * size : (turn + 1) * size], extra])

    def _draw_extra(self, count: int, generator: torch.Generator) -> NDArray[np.int64]:
        if count == 0:
            return np.zeros(0, dtype=np.int64)
        weights = torch.from_numpy(self.extra)
        drawn = torch.multinomial(weights, count, replacement=True, generator=generator)
        indices: NDArray[np.int64] = drawn.numpy() + self._own
        return indices

    def _step(
        self,
        chosen: NDArray[np.int64],
        side: int,
        changes: AugmentConfig,
        random: torch.Generator,
    ) -> float:
        config = self.config
        rate = optimization.learning_rate(self.state.step, self.steps_per_epoch, config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = mix(self._load(chosen), changes.lesions, random)
        with_masks = changes.lesions.mask_loss > 0
        images, masks = augment(
            batch.images, batch.masks if with_masks else None, changes, side, random
        )
        share = mixup_share(changes.mixup, random)
        other = torch.randperm(len(images), generator=random) if share < 1 else None
        if other is not None:
            images = share * images + (1 - share) * images[other]
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"
        ):
            seen = self._standardize(images)
            logits, lesion = self.forward(seen)
        answers, places = self._losses(logits, lesion, masks, batch)
        if other is not None:
            turned = Batch(*(part[other] for part in batch))
            turned_masks = None if masks is None else masks[other]
            other_answers, other_places = self._losses(logits, lesion, turned_masks, turned)
            answers = share * answers + (1 - share) * other_answers
            places = share * places + (1 - share) * other_places
        if self.teachers is not None:
            taught = optimization.distillation_losses(logits, self.teachers.probabilities(seen))
            answers = (answers + config.distillation_weight * taught) / (
                1 + config.distillation_weight
            )
        loss = (answers + config.augment.lesions.mask_loss * places).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if config.optimizer.clip_norm > 0:
            nn.utils.clip_grad_norm_(self.network.parameters(), config.optimizer.clip_norm)
        self.optimizer.step()
        self.state.step += 1
        self.average.update(self.network, self.state.step)
        return float(loss.detach())

    def _load(self, chosen: NDArray[np.int64]) -> Batch:
        images, masks, outlined, answers = self.train_set.take(chosen)
        return Batch(
            images.to(self.device)[:, None].float() / 255.0,
            masks.to(self.device)[:, None].float() / 255.0,
            outlined.to(self.device),
            answers.to(self.device).float(),
        )

    def _losses(
        self, logits: Tensor, lesion: Tensor | None, masks: Tensor | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Losses of each image (N,): of its class, and of where the tumour is."""
        answers = optimization.answer_losses(
            logits, batch.targets, self.config.optimizer.label_smoothing, self.class_weights
        )
        if lesion is None or masks is None:
            return answers, torch.zeros_like(answers)
        return answers, optimization.lesion_losses(lesion, masks) * batch.outlined

    def _sample(self) -> Tensor:
        """A few of the own training images, evenly spread, as the network sees them."""
        chosen = np.linspace(0, self._own - 1, min(_SAMPLE, self._own)).astype(np.int64)
        images = torch.from_numpy(np.array(self.train_set.images[chosen]))
        return self._standardize(images[:, None].float() / 255.0)

    def _standardize(self, batch: Tensor) -> Tensor:
        """As ``preprocessing.normalize`` does, for floats in 0..1."""
        settings = self.config.preprocess
        standardized = (batch - settings.mean) / settings.std
        return standardized.contiguous(memory_format=torch.channels_last)

    def _record(self, train_loss: float) -> None:
        """Validate the averaged weights; keep them where they are the best so far."""
        logits = self.predict(self.average.values, self.validation_set)
        labels = torch.from_numpy(self.validation_set.labels)
        if self.config.select_by_calibrated_loss:
            logits = logits / fit_temperature(logits.numpy(), self.validation_set.labels)
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

    @property
    def final_weights(self) -> dict[str, Tensor]:
        """What to export: the best, drawn back towards the first as far as the recipe says."""
        keep = self.config.keep_start
        if keep == 0:
            return self.best_weights
        first = self.first_weights
        return {
            n: torch.lerp(v, first[n], keep) if v.is_floating_point() else v
            for n, v in self.best_weights.items()
        }

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


class _Learner(nn.Module):
    """What training differentiates: the forward pass with the second task's output."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """As ``Network.learn``."""
        return self.network.learn(x)
