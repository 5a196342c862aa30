import math

import msgspec
import pytest
import torch

from tumorlens.config import ModelConfig
from tumorlens.errors import RecipeError
from tumorlens.networks.registry import (
    ARCHITECTURES,
    count_macs,
    count_parameters,
    resolve,
)
from tumorlens.networks.sepsenet import SeparableBlock, SepSENet, attention


@pytest.fixture(params=list(ARCHITECTURES))
def network(request: pytest.FixtureRequest) -> SepSENet:
    torch.manual_seed(0)
    return SepSENet(ARCHITECTURES[request.param])


def test_shapes_follow_batch_and_grid(network: SepSENet) -> None:
    network.eval()
    out = network.explain(torch.rand(3, 1, 96, 96))
    assert out.logits.shape == (3, 4)
    assert out.embedding.shape == (3, network.config.widths[-1])
    assert out.cam.shape[:2] == (3, 4)
    stride = network.config.stem_stride * math.prod(network.config.strides)
    assert out.cam.shape[2] == out.cam.shape[3] == 96 // stride


def test_every_parameter_receives_a_gradient(network: SepSENet) -> None:
    network.train()
    loss = torch.nn.functional.cross_entropy(
        network(torch.rand(4, 1, 64, 64)), torch.tensor([0, 1, 2, 3])
    )
    torch.autograd.backward(loss)
    silent = [
        name
        for name, p in network.named_parameters()
        if p.grad is None or not torch.isfinite(p.grad).all() or p.grad.abs().max() == 0
    ]
    assert silent == []


def test_activation_map_adds_up_to_the_logit(network: SepSENet) -> None:
    network.eval()
    x = torch.rand(2, 1, 96, 96)
    out = network.explain(x)
    rebuilt = out.cam.mean(dim=(2, 3)) + network.classifier.bias
    torch.testing.assert_close(rebuilt, out.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(x), out.logits)


def test_the_sequence_comes_from_the_whole_head() -> None:
    torch.manual_seed(0)
    config = msgspec.structs.replace(ARCHITECTURES["attentive"], sequence_head=True)
    network = SepSENet(config).eval()
    x = torch.rand(2, 1, 96, 96)
    with torch.no_grad():
        learnt, explained = network.learn(x), network.explain(x)
    assert learnt.sequence is not None
    assert learnt.sequence.shape == (2, 5)
    torch.testing.assert_close(learnt.sequence, explained.sequence)
    assert SepSENet(ARCHITECTURES["attentive"]).learn(x).sequence is None
    assert count_parameters(network) < 500_000


def test_networks_stay_light(network: SepSENet) -> None:
    assert count_parameters(network) < 500_000
    assert 1e6 < count_macs(network, 160) < 1e8


def test_macs_of_one_block_by_hand() -> None:
    config = ModelConfig(
        name="one", widths=(8,), depths=(1,), strides=(2,), kernel_size=3, se_reduction=2
    )
    network = SepSENet(config)
    stem = 16 * 16 * 8 * 9
    block = 8 * 8 * 8 * 9 + 8 * 8 * 8 * 8 + 2 * 8 * 4
    assert count_macs(network, 32) == stem + block + 8 * 4


def test_macs_grow_with_the_area() -> None:
    network = SepSENet(ARCHITECTURES["nano"])
    ratio = count_macs(network, 192) / count_macs(network, 96)
    assert 3.8 < ratio <= 4.0


def test_counting_leaves_the_mode_alone() -> None:
    network = SepSENet(ARCHITECTURES["nano"]).train()
    count_macs(network, 64)
    assert network.training
    assert all(not module._forward_hooks for module in network.modules())


def test_shortcut_only_where_shapes_allow() -> None:
    config = ARCHITECTURES["small"]
    assert not SeparableBlock(8, 16, 1, config).shortcut
    assert not SeparableBlock(16, 16, 2, config).shortcut
    assert SeparableBlock(16, 16, 1, config).shortcut


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(
        RecipeError,
        match=r"'huge'.*nano, micro, small, attentive, symmetric, attentive-lean, paper",
    ):
        resolve("huge")


def test_lesion_head_starts_quietly() -> None:
    torch.manual_seed(0)
    network = SepSENet(msgspec.structs.replace(resolve("micro"), lesion_head=True)).train()
    lesion = network.learn(torch.randn(8, 1, 64, 64)).lesion
    assert lesion is not None
    assert lesion.shape[:2] == (8, 1)
    assert (lesion.sigmoid() - 0.047).abs().max() < 0.1


def test_lesion_head_is_exported_in_evaluation_mode_only_where_it_is_there() -> None:
    plain, headed = (
        SepSENet(msgspec.structs.replace(resolve("micro"), lesion_head=head)).eval()
        for head in (False, True)
    )
    image = torch.randn(2, 1, 64, 64)
    assert plain.explain(image).lesion is None
    lesion = headed.explain(image).lesion
    assert lesion is not None
    assert lesion.shape == (2, 1, *headed.explain(image).cam.shape[2:])
    assert 0 <= lesion.min() <= lesion.max() <= 1


def test_finer_lesion_head_answers_on_the_grid_before_the_last_halving() -> None:
    network = SepSENet(ARCHITECTURES["attentive"]).eval()
    out = network.explain(torch.randn(2, 1, 96, 96))
    assert out.lesion is not None
    assert out.cam.shape == (2, 4, 6, 6)
    assert out.lesion.shape == (2, 1, 12, 12)
    assert (out.lesion - 0.047).abs().max() < 0.1


def test_attention_pools_where_tumor_is_seen() -> None:
    features = torch.randn(2, 8, 6, 6)
    lesion = torch.full((2, 1, 12, 12), -12.0)
    lesion[0, :, 4:6, 8:10] = 12.0
    weight = attention(lesion, features)
    torch.testing.assert_close(weight.mean(dim=(2, 3)), torch.ones(2, 1))
    assert weight[0, 0, 2, 4] > 0.7 * weight[0].sum()
    torch.testing.assert_close(weight[1], torch.ones(1, 6, 6))


@pytest.mark.parametrize("extra", [{"lesion_finer": True}, {"lesion_attention": True}])
def test_what_needs_a_lesion_head_says_so(extra: dict[str, bool]) -> None:
    with pytest.raises(ValueError, match="need lesion_head"):
        msgspec.structs.replace(ARCHITECTURES["small"], **extra)
