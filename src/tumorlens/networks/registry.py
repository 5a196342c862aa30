"""Every network that a recipe can name, and what it costs."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tumorlens.config import LesionConfig, ModelConfig, PreprocessConfig, TrainConfig
from tumorlens.errors import RecipeError
from tumorlens.labels import CLASSES
from tumorlens.networks.peers import PEERS
from tumorlens.networks.sepsenet import Network, SepSENet, initialize
from tumorlens.networks.symmetry import make_mirror_symmetric
from tumorlens.networks.teacher import Teacher

OTHER_NETWORKS: Final[Mapping[str, Callable[[PreprocessConfig], Network]]] = {
    **PEERS, "teacher": Teacher
}  # fmt: skip
"""Networks other than ``SepSENet``, by the names that a recipe's ``model`` may give."""


def _attentive(
    name: str, widths: tuple[int, ...], *, mirror_symmetric: bool = False
) -> ModelConfig:
    return ModelConfig(
        name=name,
        widths=widths,
        depths=(1, 2, 2, 3, 2),
        strides=(2, 2, 1, 2, 1),
        lesion_head=True,
        lesion_finer=True,
        lesion_attention=True,
        mirror_symmetric=mirror_symmetric,
    )


# The publication fixes the ingredients (separable convolutions, squeeze-and-excitation, batch
# normalisation, dropout, global average pooling) but not the dimensions. In `paper`, four stages,
# 32 to 256 filters, 3x3 kernels, ReLU, 2x2 max pooling, no shortcuts and dropout 0.5 are our
# reading of it; docs/decisions/0002-paper-network.md argues each choice.
ARCHITECTURES: Final[Mapping[str, ModelConfig]] = {
    "nano": ModelConfig(
        name="nano",
        widths=(12, 24, 40, 64, 96),
        depths=(1, 1, 2, 2, 1),
        strides=(2, 2, 2, 1, 1),
    ),
    "micro": ModelConfig(
        name="micro",
        widths=(16, 32, 64, 96, 160),
        depths=(1, 2, 2, 2, 1),
        strides=(2, 2, 1, 2, 1),
    ),
    "small": ModelConfig(
        name="small",
        widths=(24, 48, 96, 160, 256),
        depths=(1, 2, 2, 3, 2),
        strides=(2, 2, 1, 2, 1),
    ),
    # Their class comes from where they see tumour (docs/decisions/0012-attention.md); for recipes
    # that learn outlines.
    "attentive": _attentive("attentive", (24, 56, 112, 192, 320)),
    # It treats both sides of the head alike (docs/decisions/0020-symmetry.md).
    "symmetric": _attentive("symmetric", (24, 56, 112, 192, 320), mirror_symmetric=True),
    "attentive-lean": _attentive("attentive-lean", (24, 48, 96, 160, 256)),
    "paper": ModelConfig(
        name="paper",
        widths=(32, 64, 128, 256),
        depths=(1, 1, 1, 1),
        strides=(2, 2, 2, 2),
        kernel_size=3,
        activation="relu",
        se_reduction=16,
        residual=False,
        max_pool=True,
        dropout=0.5,
    ),
}


def resolve(model: str | ModelConfig) -> ModelConfig:
    """The dimensions that a recipe's ``model`` means; ``RecipeError`` for an unknown name."""
    if isinstance(model, ModelConfig):
        return model
    if model not in ARCHITECTURES:
        known = ", ".join([*ARCHITECTURES, *OTHER_NETWORKS])
        raise RecipeError(f"no network is named {model!r}; there are {known}")
    return ARCHITECTURES[model]


def network_config(config: TrainConfig) -> ModelConfig:
    """The network that a recipe trains, with the heads that the recipe's losses need."""
    model = resolve(config.model)
    return msgspec.structs.replace(
        model,
        lesion_head=model.lesion_head or config.augment.lesions.mask_loss > 0,
        sequence_head=model.sequence_head or config.sequence_weight > 0,
    )


def fitting(config: TrainConfig, *, outlines: bool) -> TrainConfig:
    """The recipe as its data allow: without ``outlines`` no network learns where a tumour is.

    A head that never saw an outline would point anywhere, and be shown as the heatmap.
    """
    other = isinstance(config.model, str) and config.model in OTHER_NETWORKS
    if outlines or other or not network_config(config).lesion_head:
        return config
    model = msgspec.structs.replace(
        resolve(config.model), lesion_head=False, lesion_finer=False, lesion_attention=False
    )
    augment = msgspec.structs.replace(config.augment, lesions=LesionConfig())
    return msgspec.structs.replace(config, model=model, augment=augment)


def build(config: TrainConfig, classes: int = len(CLASSES)) -> Network:
    """The network of a recipe, with random weights from torch's global generator.

    It distinguishes ``classes`` classes. Raises ``RecipeError`` for an unknown name.
    """
    if isinstance(config.model, str) and config.model in OTHER_NETWORKS:
        network = OTHER_NETWORKS[config.model](config.preprocess)
        if classes != network.classifier.out_features:
            network.classifier = nn.Linear(network.classifier.in_features, classes)
            initialize(network.classifier)
        return network
    own = SepSENet(network_config(config), classes)
    constrain(own)
    return own


def constrain(network: nn.Module) -> None:
    """Make the weights keep what the network's dimensions promise; to be called after each step."""
    if isinstance(network, SepSENet) and network.config.mirror_symmetric:
        make_mirror_symmetric(network)


def count_parameters(network: nn.Module) -> int:
    """Trainable scalars."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def count_macs(network: Network, image_size: int) -> int:
    """Multiply-accumulates of convolutions and linear layers for one (1, 1, S, S) image."""
    training = network.training
    try:
        network.eval()
        device = next(network.parameters()).device
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 1, image_size, image_size, device=device))
    finally:
        network.train(training)
    return int(counter.get_total_flops()) // 2
