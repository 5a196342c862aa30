"""Learning-rate schedule, weight averaging, loss."""

import math

import msgspec
import torch
from torch import Tensor, nn

from tumorlens.config import AugmentConfig, OptimizerConfig, TrainConfig
from tumorlens.labels import BRAIN_TUMORS, ClassSet


def build_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW; without weight decay for biases and normalisation (vectors)."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    spared = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99))


def learning_rate(step: int, steps_per_epoch: int, config: TrainConfig) -> float:
    """Linear warm-up from 0, then half a cosine to 0 at the last step."""
    peak = config.optimizer.learning_rate
    warmup = config.optimizer.warmup_epochs * steps_per_epoch
    total = config.epochs * steps_per_epoch
    if step < warmup:
        return peak * (step + 1) / max(1.0, warmup)
    progress = (step - warmup) / max(1.0, total - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def augmentation(epoch: int, config: TrainConfig) -> AugmentConfig:
    """The recipe's augmentation; towards the end without mixup and erasing. ``epoch`` is from 0."""
    if epoch < config.augment.mixup_off_after * config.epochs:
        return config.augment
    return msgspec.structs.replace(config.augment, mixup=0.0, erase=0.0)


def answer_losses(
    logits: Tensor,
    answers: Tensor,
    smoothing: float,
    kind_log_prior: Tensor,
    classes: ClassSet = BRAIN_TUMORS,
) -> Tensor:
    """Loss of each image (N,) against its correct classes (N, C), 1 for each.

    The sum of two cross-entropies: is there a tumour, and of which kind; only the second for
    classes without "no finding". Where one class is correct and ``kind_log_prior`` (N, C) is 0,
    that is the usual cross-entropy over all classes, with smoothed labels. Where several kinds are
    correct only the first is used. The prior is added to the logits of the second: what the
    image's source reveals about the kind need not be learnt from the image.
    """
    kinds = list(classes.kinds)
    floor = smoothing / logits.shape[1]
    adjusted = torch.log_softmax((logits.float() + kind_log_prior)[:, kinds], dim=1)
    kind = -((answers[:, kinds] * (1 - smoothing) + floor) * adjusted).sum(dim=1)
    kind = kind * (answers.sum(dim=1) == 1)
    if classes.no_finding_index is None:
        return kind
    log_probabilities = torch.log_softmax(logits.float(), dim=1)
    finding = log_probabilities[:, kinds].logsumexp(dim=1)
    no_finding = log_probabilities[:, classes.no_finding_index]
    present = answers[:, kinds].amax(dim=1)
    target = present * (1 - floor) + (1 - present) * floor * len(kinds)
    return kind - (target * finding + (1 - target) * no_finding)


def distillation_losses(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Loss of each image (N,) against teachers' probabilities (N, C): their divergence.

    Zero where the student gives the same.
    """
    log_probabilities = torch.log_softmax(logits.float(), dim=1)
    return nn.functional.kl_div(log_probabilities, probabilities, reduction="none").sum(dim=1)


def sequence_losses(logits: Tensor, sequences: Tensor) -> Tensor:
    """Cross-entropy of each image's sequence (N,); 0 where it is not known (index -1)."""
    losses = nn.functional.cross_entropy(logits.float(), sequences.clamp_min(0), reduction="none")
    return losses * (sequences >= 0)


def lesion_losses(lesion: Tensor, masks: Tensor) -> Tensor:
    """Loss of each image (N,) for the position of the tumour.

    ``lesion`` (N, 1, h, w) are logits. The target of a cell is the mean of ``masks`` (N, 1, S, S),
    0..1, over the cell. All cells have the same weight.
    """
    height, width = lesion.shape[-2:]
    target = nn.functional.adaptive_avg_pool2d(masks, (height, width))
    losses = nn.functional.binary_cross_entropy_with_logits(
        lesion.float(), target, reduction="none"
    )
    return losses.mean(dim=(1, 2, 3))


class WeightAverage:
    """Exponential moving average of weights and batch-norm statistics.

    The decay starts low, ``(1 + step) / (10 + step)``, so that the first epochs are not an
    average with random weights.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start as a copy of ``network``; decay 0 keeps an exact copy."""
        self.decay = decay
        self.values = {n: v.detach().clone() for n, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the weights of ``network`` after ``step`` updates."""
        keep = min(self.decay, (1 + step) / (10 + step))
        floats, news = [], []
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                floats.append(self.values[name])
                news.append(value)
            else:
                self.values[name].copy_(value)
        torch._foreach_lerp_(floats, news, 1 - keep)
