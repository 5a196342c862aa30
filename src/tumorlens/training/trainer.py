"""The training loop: plain torch, resumable at any epoch with bit-identical results.

All randomness of an epoch comes from generators seeded by (seed, epoch, rank), so an epoch that
was killed half-way and is run again from its checkpoint takes the same course.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tumorlens.config import AugmentConfig, TrainConfig
from tumorlens.evaluation.calibration import fit_temperature
from tumorlens.labels import BRAIN_TUMORS, ClassSet
from tumorlens.networks import registry
from tumorlens.networks.sepsenet import LearnerOutput, Network
from tumorlens.training import checkpoint, optimization
from tumorlens.training.augmentation import augment, mixup_share
from tumorlens.training.batches import Batches, parts_of
from tumorlens.training.checkpoint import RunState
from tumorlens.training.distillation import Teachers
from tumorlens.training.images import ImageSet
from tumorlens.training.lesions import Batch, mix
from tumorlens.training.processes import Processes
from tumorlens.training.start import Start

_VALIDATION_BATCH = 128
_SAMPLE = 256
"""Images for the batch-norm statistics of a network that starts from a bundle."""


class Watcher:
    """Observer of a run's progress; override what is needed. A ``with`` holds the whole run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

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
        start: Start | None = None,
        teachers: Teachers | None = None,
        classes: ClassSet = BRAIN_TUMORS,
    ) -> None:
        """Build network and optimiser from ``config.seed``.

        ``extra`` are the sampling weights of the last images of ``train``, which are drawn at
        random for their share of each batch; each of the others is seen once an epoch. ``start``
        holds the first weights, instead of random ones. The probabilities of ``teachers`` are
        learnt in addition to the labels; the patients of a batch are then all of one part, that
        which their teacher was trained without.
        """
        self.config, self.train_set, self.validation_set = config, train, validation
        self.classes = classes

        self.device, self.processes = device, processes
        self.teachers = teachers if config.distillation_weight > 0 else None
        parts = self.teachers.parts if self.teachers is not None else 1
        self.batches = Batches(
            parts_of(train.groups.tolist(), parts),
            np.zeros(0) if extra is None else extra,
            config.batch_size,
            config.extra_share,
            processes.count,
        )
        torch.manual_seed(config.seed)
        network = registry.build(config, len(classes))
        if start is not None:
            start.copy_into(network, self._sample(), classes)
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.forward: nn.Module = _Learner(self.network)
        if processes.count > 1:
            self.forward = DistributedDataParallel(self.forward)
        self.optimizer = optimization.build_optimizer(self.network, config.optimizer)
        self.average = optimization.WeightAverage(self.network, config.optimizer.ema_decay)
        self.best_weights = dict(self.average.values)
        self.state = RunState(
            run_key=run_key, epoch=0, step=0, best_epoch=0, history=[], wall_time_s=0.0
        )

    def fit(self, checkpoint_path: Path, watchers: Sequence[Watcher] = ()) -> None:
        """Train the epochs that are left, writing ``checkpoint_path`` after each."""
        while self.state.epoch < self.config.epochs:
            started = time.monotonic()
            loss = self._train_epoch(self.state.epoch, watchers)
            self.state.epoch += 1
            if self.processes.leads:
                self._record(loss)
            self.state.wall_time_s += time.monotonic() - started
            if self.processes.leads:
                self.state.history[-1]["wall_time_s"] = round(self.state.wall_time_s, 2)
                self.save(checkpoint_path)
                for watcher in watchers:
                    watcher.epoch_done(self.state.history, self.state.best_epoch)

    def _train_epoch(self, epoch: int, watchers: Sequence[Watcher]) -> float:
        self.forward.train()
        seed = self.config.seed * 1_000_003 + epoch * 1009 + self.processes.rank
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # dropout draws from the global generator
        changes = optimization.augmentation(epoch, self.config)
        total = 0.0
        batches = self.batches.epoch(self.config.seed, epoch, self.processes.rank)
        for done, (part, chosen) in enumerate(batches, start=1):
            loss = self._step(chosen, part, changes, generator)
            total += loss
            for watcher in watchers:
                watcher.batch_done(epoch + 1, done, self.batches.steps, total / done)
        return total / self.batches.steps

    def _step(
        self,
        chosen: NDArray[np.int64],
        part: int,
        changes: AugmentConfig,
        random: torch.Generator,
    ) -> float:
        config = self.config
        rate = optimization.learning_rate(self.state.step, self.batches.steps, config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = mix(self._load(chosen), changes.lesions, random, self.classes)
        outlines = batch.masks if changes.lesions.mask_loss > 0 else None
        images, masks, inverted = augment(
            batch.images, outlines, changes, config.preprocess.image_size, random
        )
        batch = batch._replace(sequences=batch.sequences.masked_fill(inverted, -1))
        share = mixup_share(changes.mixup, random)
        other = torch.randperm(len(images), generator=random) if share < 1 else None
        if other is not None:
            images = share * images + (1 - share) * images[other]
        standardized = self._standardize(images)
        output = self.forward(standardized)
        classes, others = self._label_losses(output, masks, batch)
        if other is not None:
            second = Batch(*(values[other] for values in batch))
            second_masks = None if masks is None else masks[other]
            second_classes, second_others = self._label_losses(output, second_masks, second)
            classes = share * classes + (1 - share) * second_classes
            others = share * others + (1 - share) * second_others
        if self.teachers is not None:
            soft = self.teachers.probabilities(standardized, part)
            distilled = optimization.distillation_losses(output.logits, soft)
            weight = config.distillation_weight
            classes = (classes + weight * distilled) / (1 + weight)
        loss = (classes + others).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if config.optimizer.clip_norm > 0:
            nn.utils.clip_grad_norm_(self.network.parameters(), config.optimizer.clip_norm)
        self.optimizer.step()
        registry.constrain(self.network)
        self.state.step += 1
        self.average.update(self.network, self.state.step)
        return float(loss.detach())

    def _load(self, chosen: NDArray[np.int64]) -> Batch:
        taken = self.train_set.take(chosen)
        masks = np.zeros_like(taken.images) if taken.masks is None else taken.masks
        arrays = (
            taken.images, masks, taken.outlined, taken.answers, taken.kind_log_prior,
            taken.sequences,
        )  # fmt: skip
        images, outlines, outlined, targets, priors, sequences = (
            torch.from_numpy(array).to(self.device) for array in arrays
        )
        return Batch(
            images[:, None].float() / 255.0,
            outlines[:, None].float() / 255.0,
            outlined,
            targets.float(),
            priors,
            sequences,
        )

    def _label_losses(
        self, output: LearnerOutput, masks: Tensor | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Losses of each image (N,): for its class, which teachers know too, and for the rest.

        The rest is where the tumour is, and the sequence.
        """
        config = self.config
        classes = optimization.answer_losses(
            output.logits,
            batch.targets,
            config.optimizer.label_smoothing,
            batch.kind_log_prior,
            self.classes,
        )
        others = torch.zeros_like(classes)
        if output.lesion is not None and masks is not None:
            lesion_losses = optimization.lesion_losses(output.lesion, masks) * batch.outlined
            others = others + config.augment.lesions.mask_loss * lesion_losses
        if output.sequence is not None:
            sequences = optimization.sequence_losses(output.sequence, batch.sequences)
            others = others + config.sequence_weight * sequences
        return classes, others

    def _sample(self) -> Tensor:
        """A few of the own training images, evenly spread, as input of the network."""
        own = self.batches.own
        chosen = np.linspace(0, own - 1, min(_SAMPLE, own)).astype(np.int64)
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
        # Calibrated, as in a bundle: else late epochs of a training with smoothed labels and mixed
        # images are judged by their lack of confidence.
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

    @torch.no_grad()
    def predict(self, weights: dict[str, Tensor], images: ImageSet) -> Tensor:
        """Logits (N, C) of ``weights`` in evaluation mode; the network's own are left alone."""
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
        checkpoint.require_run(path, state, self.state.run_key)
        self.network.load_state_dict(checkpoint.without_prefix("network", tensors))
        checkpoint.restore_optimizer(
            self.optimizer, checkpoint.without_prefix("optimizer", tensors)
        )
        for name, value in checkpoint.without_prefix("average", tensors).items():
            self.average.values[name].copy_(value)
        self.best_weights = checkpoint.without_prefix("best", tensors)
        self.state = state


class _Learner(nn.Module):
    """``Network.learn`` as a module, which ``DistributedDataParallel`` needs."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> LearnerOutput:
        return self.network.learn(x)
