import itertools

import msgspec
import pytest
import torch
from torch import nn

from tumorlens.config import OptimizerConfig, TrainConfig
from tumorlens.training import optimization

CONFIG = TrainConfig(epochs=10)


def test_learning_rate_warms_up_then_falls_to_zero() -> None:
    rates = [optimization.learning_rate(step, 20, CONFIG) for step in range(200)]
    peak = CONFIG.optimizer.learning_rate
    assert rates[0] == pytest.approx(peak / 60)
    assert max(rates) == pytest.approx(peak)
    assert rates.index(max(rates)) in (59, 60)
    assert all(a >= b for a, b in itertools.pairwise(rates[60:]))
    assert rates[-1] < 0.001 * peak


def test_augmentation_calms_down_at_the_end() -> None:
    restless = msgspec.structs.replace(CONFIG.augment, mixup=0.3, erase=0.4, mixup_off_after=0.7)
    config = msgspec.structs.replace(CONFIG, augment=restless)
    found = [optimization.augmentation(epoch, config) for epoch in range(10)]
    assert [a.mixup for a in found] == [0.3] * 7 + [0.0] * 3
    assert [a.erase for a in found] == [0.4] * 7 + [0.0] * 3
    assert {a.rotation_degrees for a in found} == {CONFIG.augment.rotation_degrees}


def test_loss_of_one_right_class_equals_torch_with_smoothing() -> None:
    logits, labels = torch.randn(9, 4), torch.randint(0, 4, (9,))
    answers = nn.functional.one_hot(labels, 4).float()
    ours = optimization.answer_losses(logits, answers, 0.1, torch.zeros(4))
    theirs = nn.functional.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(ours, theirs)


def test_loss_of_several_right_classes_is_that_of_their_summed_probability() -> None:
    logits = torch.randn(5, 4)
    answers = torch.tensor([[1.0, 1.0, 0.0, 1.0]]).repeat(5, 1)
    probabilities = logits.softmax(1)
    inside, outside = probabilities[:, [0, 1, 3]].sum(1), probabilities[:, 2]
    found = optimization.answer_losses(logits, answers, 0.0, torch.zeros(4))
    torch.testing.assert_close(found, -torch.log(inside))
    found = optimization.answer_losses(logits, answers, 0.1, torch.zeros(4))
    torch.testing.assert_close(found, -(0.975 * torch.log(inside) + 0.025 * torch.log(outside)))


def test_gradients_are_finite_for_every_kind_of_label() -> None:
    logits = (50 * torch.randn(6, 4)).requires_grad_()
    answers = torch.tensor([[1.0, 1, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0]] * 2)
    optimization.answer_losses(logits, answers, 0.05, torch.zeros(4)).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_several_right_classes_do_not_care_which() -> None:
    answers = torch.tensor([[1.0, 1.0, 0.0, 1.0]] * 3)
    logits = torch.tensor([[9.0, 0, 0, 0], [0, 9.0, 0, 0], [0, 0, 0, 9.0]])
    losses = optimization.answer_losses(logits, answers, 0.1, torch.zeros(4))
    torch.testing.assert_close(losses, losses[:1].expand(3))


def test_a_kind_that_the_source_foretells_teaches_next_to_nothing() -> None:
    prior = torch.log(torch.tensor([[0.9, 0.05, 1.0, 0.05]]))
    answers = torch.tensor([[1.0, 0.0, 0.0, 0.0]])

    def gradient(log_prior: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(1, 4, requires_grad=True)
        optimization.answer_losses(logits, answers, 0.0, log_prior).sum().backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        return logits.grad[0]

    plain, adjusted = gradient(torch.zeros(1, 4)), gradient(prior)
    tumor = [0, 1, 3]
    # Presence is learnt as before, the kind hardly.
    torch.testing.assert_close(plain[2], adjusted[2])
    assert (adjusted[0] - adjusted[1]).abs() < 0.2 * (plain[0] - plain[1]).abs()
    torch.testing.assert_close(plain[tumor].sum(), adjusted[tumor].sum())


def test_an_unknown_sequence_costs_nothing() -> None:
    logits = torch.randn(3, 5)
    losses = optimization.sequence_losses(logits, torch.tensor([2, -1, 4]))
    expected = nn.functional.cross_entropy(logits, torch.tensor([2, 0, 4]), reduction="none")
    torch.testing.assert_close(losses[[0, 2]], expected[[0, 2]])
    assert losses[1] == 0


def test_lesion_loss_wants_the_share_of_each_cell() -> None:
    masks = torch.zeros(1, 1, 8, 8)
    masks[..., :4, :2] = 1.0  # half of the upper left cell of a 2x2 grid
    share = torch.tensor([[0.5, 0.0], [0.0, 0.0]]).clamp(1e-4, 1 - 1e-4)
    right = torch.logit(share).view(1, 1, 2, 2)
    best = optimization.lesion_losses(right, masks)
    for other in (right + 1, right - 1, right.flip(3)):
        assert optimization.lesion_losses(other, masks) > best


def test_weight_decay_spares_vectors() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    decayed, spared = optimization.build_optimizer(network, OptimizerConfig()).param_groups
    assert [p.ndim for p in decayed["params"]] == [4]
    assert [p.ndim for p in spared["params"]] == [1, 1, 1]
    assert spared["weight_decay"] == 0


def test_average_follows_weights_and_copies_counters() -> None:
    network = nn.BatchNorm1d(2)
    average = optimization.WeightAverage(network, decay=0.5)
    with torch.no_grad():
        network.weight.fill_(3.0)
    network.load_state_dict({**network.state_dict(), "num_batches_tracked": torch.tensor(7)})
    average.update(network, step=1000)
    assert average.values["weight"].tolist() == [2.0, 2.0]
    assert average.values["num_batches_tracked"] == 7


def test_average_without_decay_is_a_copy() -> None:
    network = nn.Linear(2, 2)
    average = optimization.WeightAverage(network, decay=0.0)
    with torch.no_grad():
        network.weight.add_(1.0)
    average.update(network, step=1)
    assert torch.equal(average.values["weight"], network.weight)
