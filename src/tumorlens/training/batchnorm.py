"""Restore the batch normalisations of an exported network, so that its training can continue.

In a bundle's graph, batch normalisations are fused into the convolutions. Here each gets the
statistics of given images, with a scale and an offset that cancel them, so that the network answers
as before and can be trained further.
"""

from collections.abc import Iterator, Mapping

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from tumorlens.errors import CheckpointError
from tumorlens.networks.sepsenet import Network, SeparableBlock, SepSENet

_PREFIX = "network."
_NEW_HEADS = ("sequence.",)
"""Heads that a bundle may lack: they start at random."""


def exported_weights(model: bytes) -> dict[str, Tensor]:
    """The named tensors of a ``model.onnx`` that ``training.export`` wrote."""
    graph = onnx.load_model_from_string(model).graph
    return {
        tensor.name.removeprefix(_PREFIX): torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in graph.initializer
        if tensor.name.startswith(_PREFIX)
    }


def unfuse_batchnorm(network: Network, folded: Mapping[str, Tensor]) -> None:
    """Give ``network`` the weights of an export; ``CheckpointError`` where they do not fit."""
    if not isinstance(network, SepSENet):
        raise CheckpointError("only networks of our own kind can start from a bundle")
    weights = dict(folded)
    own = network.state_dict()
    for name, convolution, norm in _pairs(network):
        bias = weights.pop(f"{convolution}.bias", None)
        if bias is None or bias.shape != norm.bias.shape:
            raise misfit()
        own[f"{name}.running_mean"] = torch.zeros_like(norm.bias)
        own[f"{name}.running_var"] = torch.ones_like(norm.bias)
        own[f"{name}.weight"] = torch.full_like(norm.bias, 1 + norm.eps).sqrt()
        own[f"{name}.bias"] = bias
    if unknown := weights.keys() - own.keys():
        raise CheckpointError(f"the bundle has weights that the network lacks: {min(unknown)}")
    known = (*(f"{name}." for name, _, _ in _pairs(network)), *_NEW_HEADS)
    if any(not name.startswith(known) and name not in weights for name in own):
        raise misfit()
    try:
        network.load_state_dict(own | weights)
    except RuntimeError as error:
        raise misfit() from error


@torch.no_grad()
def recalibrate_batchnorm(network: Network, images: Tensor) -> None:
    """Set the statistics of an unfused network to those of ``images`` (N, 1, S, S).

    The images are normalised as for the network. Its answers stay the same, and
    are about the same in training mode, where each batch has its own statistics.
    """
    statistics: dict[nn.BatchNorm2d, tuple[Tensor, Tensor]] = {}

    def measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        statistics[norm] = mean, variance

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [norm.register_forward_pre_hook(measure) for norm in norms]
    training = network.training
    try:
        network.eval()
        network(images)
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    for norm, (mean, variance) in statistics.items():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        offset = norm.bias - gain * norm.running_mean
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(gain * (variance + norm.eps).sqrt())
        norm.bias.copy_(offset + gain * mean)


def _pairs(network: SepSENet) -> Iterator[tuple[str, str, nn.BatchNorm2d]]:
    """Names of each normalisation and of its convolution, as ``export.fuse_norms`` joins them."""
    stem = network.stem[1]
    assert isinstance(stem, nn.BatchNorm2d)
    yield "stem.1", "stem.0", stem
    for name, block in network.named_modules():
        if isinstance(block, SeparableBlock):
            yield f"{name}.depthwise_norm", f"{name}.depthwise", block.depthwise_norm
            yield f"{name}.pointwise_norm", f"{name}.pointwise", block.pointwise_norm


def misfit() -> CheckpointError:
    """The error for weights of another network than the recipe's."""
    return CheckpointError(
        "the weights to start from are of a network with other dimensions than this recipe's; name "
        "its architecture with --set model=NAME (`tumorlens models` lists them)"
    )
