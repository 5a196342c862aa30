import torch
from torch import Tensor

from tumorlens.labels import CLASSES, NO_TUMOR_INDEX
from tumorlens.training.batch import Batch
from tumorlens.training.healing import heal

PITUITARY = CLASSES.index("pituitary")
SIDE = 64


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _head(level: float = 0.4) -> Tensor:
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    middle = (SIDE - 1) / 2
    return level * (((y - middle) ** 2 + (x - middle) ** 2) < 29**2).float()[None]


def _outline(top: int, left: int, side: int = 8) -> Tensor:
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, top : top + side, left : left + side] = 1.0
    return mask


def _batch(images: list[Tensor], masks: list[Tensor], kinds: list[int]) -> Batch:
    targets = torch.nn.functional.one_hot(torch.tensor(kinds), 4).float()
    return Batch(
        torch.stack(images), torch.stack(masks), torch.ones(len(kinds), dtype=torch.bool), targets
    )


def _midline() -> tuple[Tensor, Tensor]:
    """A tumour that its own mirror image covers, so that the other side cannot stand in."""
    mask = _outline(28, 28)
    return torch.where(mask > 0, torch.full_like(mask, 0.95), _head()), mask


def test_a_tumour_of_the_midline_is_healed_with_the_heads_own_tissue() -> None:
    image, mask = _midline()
    done = heal(_batch([image], [mask], [PITUITARY]), 1.0, _generator())
    assert done.targets[0].argmax() == NO_TUMOR_INDEX
    assert done.masks.sum() == 0
    assert done.images[0][mask.bool()].max() < 0.6
    far = torch.nn.functional.max_pool2d(mask[None], 21, 1, 10)[0] == 0
    assert torch.equal(done.images[0][far], image[far])


def test_a_healthy_head_is_covered_too_and_stays_healthy() -> None:
    image, mask = _midline()
    textured = _head() * (0.6 + 0.4 * torch.rand(1, SIDE, SIDE, generator=_generator(1)))
    batch = _batch([image, textured], [mask, torch.zeros_like(mask)], [PITUITARY, NO_TUMOR_INDEX])
    seen = False
    for seed in range(8):
        done = heal(batch, 1.0, _generator(seed))
        assert done.targets[1].tolist() == batch.targets[1].tolist()
        assert done.masks[1].sum() == 0
        seen = seen or not torch.equal(done.images[1], textured)
    assert seen


def test_a_tumour_without_other_tissue_in_the_head_stays() -> None:
    mask = _outline(20, 20, 24)
    image = torch.where(mask > 0, torch.full_like(mask, 0.95), torch.zeros_like(mask))
    batch = _batch([image], [mask], [PITUITARY])
    assert all(map(torch.equal, heal(batch, 1.0, _generator()), batch))


def test_a_large_tumour_stays() -> None:
    mask = _outline(10, 10, 40)
    batch = _batch([torch.where(mask > 0, 0.95 * mask, _head())], [mask], [PITUITARY])
    assert all(map(torch.equal, heal(batch, 1.0, _generator()), batch))


def test_a_tumour_that_the_other_side_can_cover_is_left_to_it() -> None:
    mask = _outline(28, 42)
    batch = _batch([torch.where(mask > 0, 0.95 * mask, _head())], [mask], [PITUITARY])
    done = heal(batch, 1.0, _generator())
    assert done.targets[0].argmax() == PITUITARY


def test_the_same_draws_heal_alike_and_none_changes_nothing() -> None:
    image, mask = _midline()
    batch = _batch([image] * 4, [mask] * 4, [PITUITARY] * 4)
    first, second = (heal(batch, 0.5, _generator(3)) for _ in range(2))
    assert all(map(torch.equal, first, second))
    assert all(map(torch.equal, heal(batch, 0.0, _generator()), batch))
