"""Learning-rate schedule, weight averaging, loss."""

import math

import msgspec
import torch
from torch import Tensor, nn

from tumorlens.config import AugmentConfig, OptimizerConfig, TrainConfig


def build_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW; weight decay spares biases and normalisation (vectors)."""
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


def image_side(epoch: int, config: TrainConfig) -> int:
    """Side of training images in ``epoch`` (from 0): grows in steps of 16 to the full size."""
    full = config.preprocess.image_size
    last_small = config.full_size_from * config.epochs
    if not config.start_size or epoch >= last_small:
        return full
    side = config.start_size + (full - config.start_size) * epoch / last_small
    return min(full, 16 * round(side / 16))


def augmentation(epoch: int, config: TrainConfig) -> AugmentConfig:
    """Changes to the images of ``epoch`` (from 0): the recipe's, calmed towards the end."""
    if epoch < config.augment.mixup_off_after * config.epochs:
        return config.augment
    return msgspec.structs.replace(config.augment, mixup=0.0, erase=0.0)


def answer_losses(
    logits: Tensor, answers: Tensor, smoothing: float, class_weights: Tensor
) -> Tensor:
    """Loss of each image (N,) against its right answers (N, C), 1 for each right class.

    One right class: cross-entropy with the label smoothed over all classes. Several, for labels
    that say "one of these": the same between them together and the others together.
    """
    log_probabilities = torch.log_softmax(logits.float(), dim=1)
    classes = logits.shape[1]
    smoothed = answers * (1 - smoothing) + smoothing / classes
    one = -(smoothed * class_weights * log_probabilities).sum(dim=1)
    inside = log_probabilities.masked_fill(answers == 0, -torch.inf).logsumexp(dim=1)
    outside = log_probabilities.masked_fill(answers == 1, -torch.inf).logsumexp(dim=1)
    doubt = smoothing * (1 - answers.mean(dim=1))
    any_of = -((1 - doubt) * inside + doubt * outside)
    return torch.where(answers.sum(dim=1) > 1, any_of, one)


def distillation_losses(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Loss of each image (N,) against teachers' probabilities (N, C): their divergence.

    Zero where the pupil says the same.
    """
    log_probabilities = torch.log_softmax(logits.float(), dim=1)
    return nn.functional.kl_div(log_probabilities, probabilities, reduction="none").sum(dim=1)


def lesion_losses(lesion: Tensor, masks: Tensor) -> Tensor:
    """Loss of each image (N,) for where it sees tumour.

    ``lesion`` (N, 1, h, w) are logits; ``masks`` (N, 1, S, S) in 0..1 are averaged over each cell,
    and each cell is told that share. Cells weigh alike.
    """
    height, width = lesion.shape[-2:]
    share = nn.functional.adaptive_avg_pool2d(masks, (height, width))
    losses = nn.functional.binary_cross_entropy_with_logits(lesion.float(), share, reduction="none")
    return losses.mean(dim=(1, 2, 3))


def class_weights(labels: Tensor, classes: int, balance: bool) -> Tensor:
    """Inverse class frequencies with mean 1 over the images, or ones."""
    if not balance:
        return torch.ones(classes)
    counts = torch.bincount(labels, minlength=classes).clamp_min(1).float()
    return len(labels) / (classes * counts)


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
