"""Networks whose weights give the same answer for an image and its mirror image.

Channels form pairs: the second half of a layer's channels computes on an image what the first half
computes on the mirror image (group convolutions of two elements, after Cohen and Welling 2016). The
last layer has equal weights for both channels of a pair, so one forward pass replaces the average
of two. This is exact if every halving starts from an odd number of columns and the lesion head is
not a finer one; otherwise the mirror image is shifted by one column.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tumorlens.networks.sepsenet import SepSENet, SqueezeExcitation


@torch.no_grad()
def make_mirror_symmetric(network: SepSENet) -> None:
    """Replace the weights by the nearest symmetric ones."""
    for values, axes in _weights(network):
        values.copy_((values + _mirrored(values, axes)) / 2)


@torch.no_grad()
def asymmetry(network: SepSENet) -> float:
    """The largest change that ``make_mirror_symmetric`` would make to a convolution's weight.

    Relative to the largest weight of that convolution: 0 if it is symmetric, at most 1.
    """
    kernels = [(values, axes) for values, axes in _weights(network) if values.dim() == 4]
    changes = [(values - _mirrored(values, axes)).abs().max() / 2 for values, axes in kernels]
    scales = [values.abs().max().clamp(min=1e-12) for values, _ in kernels]
    return max(float(change / scale) for change, scale in zip(changes, scales, strict=True))


def _mirrored(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The weights that compute on the mirror image what ``values`` compute on the image."""
    swapped = values
    for axis in axes:
        swapped = swapped.roll(values.shape[axis] // 2, dims=axis)
    return swapped.flip(3) if values.dim() == 4 else swapped


def _weights(network: SepSENet) -> Iterator[tuple[Tensor, tuple[int, ...]]]:
    """Weights and statistics, with the axes along which channels form pairs."""
    for head in (network.classifier, network.sequence):
        if isinstance(head, nn.Linear):
            yield head.weight, (1,)
    for module in network.modules():
        if isinstance(module, SqueezeExcitation):
            yield module.squeeze.weight, (1,)
            yield module.excite.weight, (0,)
            yield module.excite.bias, (0,)
        elif isinstance(module, nn.Conv2d):
            yield module.weight, tuple(axis for axis in (0, 1) if module.weight.shape[axis] > 1)
            if module.bias is not None and module.out_channels > 1:
                yield module.bias, (0,)
        elif isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            for values in (module.weight, module.bias, module.running_mean, module.running_var):
                yield values, (0,)
