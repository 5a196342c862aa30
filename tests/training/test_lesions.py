import torch
from torch import Tensor

from tumorlens.config import LesionConfig
from tumorlens.labels import CLASSES, NO_TUMOR_INDEX
from tumorlens.training.lesions import Batch, cover, mix, paste

GLIOMA, PITUITARY = CLASSES.index("glioma"), CLASSES.index("pituitary")
SIDE = 64
ALL = LesionConfig(paste=1.0, erase=1.0)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _head(level: float = 0.4) -> Tensor:
    """A symmetric head (1, S, S) with darker ventricles on black."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    middle = (SIDE - 1) / 2
    head = level * (((y - middle) ** 2 + (x - middle) ** 2) < 27**2).float()
    ventricles = (((x - middle).abs() - 6).abs() < 3) & ((y - middle).abs() < 8)
    return torch.where(ventricles, head * 0.3, head)[None]


def _outline(top: int, left: int, side: int = 10) -> Tensor:
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, top : top + side, left : left + side] = 1.0
    return mask


def _batch(*cases: tuple[Tensor, Tensor, int]) -> Batch:
    targets = torch.nn.functional.one_hot(torch.tensor([c[2] for c in cases]), 4).float()
    return Batch(
        torch.stack([c[0] for c in cases]),
        torch.stack([c[1] for c in cases]),
        torch.ones(len(cases), dtype=torch.bool),
        targets,
        torch.zeros_like(targets),
        torch.full((len(cases),), -1),
    )


def _ill(top: int = 28, left: int = 40, kind: int = GLIOMA) -> tuple[Tensor, Tensor, int]:
    mask = _outline(top, left)
    return torch.where(mask > 0, torch.full_like(mask, 0.95), _head()), mask, kind


def _healthy(level: float = 0.4) -> tuple[Tensor, Tensor, int]:
    return _head(level), torch.zeros(1, SIDE, SIDE), NO_TUMOR_INDEX


def test_covering_makes_a_one_sided_tumour_healthy() -> None:
    batch = _batch(_ill())
    done = cover(batch, 1.0, _generator())
    assert done.targets[0].argmax() == NO_TUMOR_INDEX
    assert done.masks.sum() == 0
    inside = batch.masks.bool()
    assert batch.images[inside].min() > 0.9
    torch.testing.assert_close(done.images[inside], _head().flip(2)[None][inside])


def test_a_tumour_of_the_midline_is_not_covered() -> None:
    batch = _batch(_ill(left=27, kind=PITUITARY))
    done = cover(batch, 1.0, _generator())
    assert torch.equal(done.images, batch.images)
    assert done.targets[0].argmax() == PITUITARY


def test_an_asymmetric_head_is_not_covered() -> None:
    image, mask, kind = _ill()
    image = image.clone()
    image[:, :, : SIDE // 2 - 4] = 0.0
    done = cover(_batch((image, mask, kind)), 1.0, _generator())
    assert done.targets[0].argmax() == kind


def test_a_batch_without_tumours_stays_as_it_is() -> None:
    batch = _batch(_healthy(), _healthy(level=0.3))
    assert all(map(torch.equal, mix(batch, ALL, _generator()), batch))


def test_pasting_brings_the_outline_the_contrast_and_any_tumour_class() -> None:
    batch = _batch(_ill(), _healthy(level=0.3))
    done = paste(batch, 1.0, _generator(1))
    assert done.targets.tolist() == [[1, 0, 0, 0], [1, 1, 0, 1]]
    assert done.masks[1].sum() == batch.masks[0].sum()
    inside = done.masks[1].bool()
    assert done.images[1][inside].mean() > 1.3 * batch.images[1][inside].mean()
    outside = torch.nn.functional.max_pool2d(done.masks[1:], 21, 1, 10)[0] == 0
    assert torch.equal(done.images[1][outside], batch.images[1][outside])
    assert torch.equal(done.images[0], batch.images[0])


def test_nothing_is_pasted_into_air() -> None:
    small = _healthy()[0].clone()
    small[:, :, 34:] = 0.0
    small[:, :, :30] = 0.0
    batch = _batch(_ill(), (small, torch.zeros(1, SIDE, SIDE), NO_TUMOR_INDEX))
    done = paste(batch, 1.0, _generator())
    assert done.targets[1].argmax() == NO_TUMOR_INDEX
    assert torch.equal(done.images, batch.images)


def test_a_head_that_may_hold_a_tumour_gets_none_and_gives_none() -> None:
    unknown = _batch(_ill(), _healthy())
    unknown = unknown._replace(targets=torch.tensor([[1.0, 1, 0, 1], [0, 0, 1, 0]]))
    done = paste(unknown, 1.0, _generator())
    assert torch.equal(done.images, unknown.images)


def test_shares_of_zero_change_nothing() -> None:
    batch = _batch(_ill(), _healthy())
    assert mix(batch, LesionConfig(), _generator()) is batch


def test_shares_are_kept_roughly() -> None:
    batch = _batch(*([_ill()] * 100), *([_healthy()] * 100))
    done = mix(batch, LesionConfig(paste=0.3, erase=0.2), _generator(2))
    healthy = done.targets.argmax(1) == NO_TUMOR_INDEX
    assert 10 <= healthy[:100].sum() <= 30
    assert 15 <= (~healthy[100:]).sum() <= 45
