import msgspec
import pytest
import torch
from torch import Tensor, nn

from tumorlens.config import ModelConfig
from tumorlens.networks.registry import ARCHITECTURES, constrain, resolve
from tumorlens.networks.sepsenet import NetworkOutput, SepSENet
from tumorlens.networks.symmetry import asymmetry, make_mirror_symmetric

ODD = 49
"""Columns that stay odd at every halving but the last."""


def test_an_image_and_its_mirror_image_get_the_same_answer() -> None:
    network, images = _network(ODD)
    before, mirrored = _both(network, images)
    assert _difference(before.logits, mirrored.logits) > 0.01
    make_mirror_symmetric(network)
    one, other = _both(network, images)
    assert one.lesion is not None
    assert other.lesion is not None
    assert one.sequence is not None
    assert other.sequence is not None
    torch.testing.assert_close(one.logits, other.logits)
    torch.testing.assert_close(one.sequence, other.sequence)
    torch.testing.assert_close(one.cam, other.cam.flip(3))
    torch.testing.assert_close(one.lesion, other.lesion.flip(3))


def test_the_network_keeps_its_symmetry_at_every_step_and_still_learns() -> None:
    network, images = _network(ODD)
    assert asymmetry(network) > 0.1
    constrain(network)
    truth = torch.arange(len(images)) % 4
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    network.train()
    losses = []
    for _ in range(15):
        loss = nn.functional.cross_entropy(network(images), truth)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        constrain(network)
        assert asymmetry(network) < 1e-6
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_other_networks_are_left_alone() -> None:
    network = SepSENet(ARCHITECTURES["attentive"])
    before = {name: values.clone() for name, values in network.state_dict().items()}
    constrain(network)
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())


def test_channels_that_have_no_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="even widths"):
        ModelConfig(name="odd", widths=(8, 9), depths=(1, 1), strides=(1, 2), mirror_symmetric=True)


def _network(size: int) -> tuple[SepSENet, Tensor]:
    """A network whose normalisations fit random images (8, 1, S, S), and these; of doubles."""
    torch.manual_seed(0)
    config = msgspec.structs.replace(
        resolve("symmetric"),
        widths=(8, 16, 24),
        depths=(1, 1, 2),
        strides=(1, 1, 2),
        dropout=0.0,
        lesion_finer=False,
        sequence_head=True,
    )
    network = SepSENet(config)
    for parameter in network.parameters():
        if parameter.dim() == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
    nn.init.normal_(network.classifier.weight)
    images = torch.randn(8, 1, size, size, dtype=torch.float64)
    network.double().train()
    for _ in range(40):
        network(images)
    return network.eval(), images


def _both(network: SepSENet, images: Tensor) -> tuple[NetworkOutput, NetworkOutput]:
    with torch.no_grad():
        return network.explain(images), network.explain(images.flip(3))


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())
