import msgspec
import pytest
import torch

from tumorlens.config import AugmentConfig, StyleConfig
from tumorlens.training.augmentation import augment, draw_affine, mixup_share, random_erase, warp

STILL = AugmentConfig(
    rotation_degrees=0, scale=0, shift=0, shear=0, horizontal_flip=0, brightness=0, contrast=0,
    gamma=0, noise=0, erase=0, mixup=0,
)  # fmt: skip


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_no_change_when_every_range_is_zero() -> None:
    batch = torch.rand(3, 1, 32, 32)
    same, masks, _ = augment(batch, None, STILL, 32, _generator())
    torch.testing.assert_close(same, batch.clamp_min(1e-4))
    assert masks is None


def test_masks_move_with_their_images() -> None:
    image = torch.zeros(6, 1, 64, 64)
    image[..., 20:36, 28:50] = 1.0
    moving = msgspec.structs.replace(STILL, rotation_degrees=40.0, scale=0.3, shift=0.2)
    images, masks, _ = augment(image, image.clone(), moving, 64, _generator(4))
    assert masks is not None
    assert masks.shape == (6, 1, 16, 16)
    coarse = torch.nn.functional.avg_pool2d(images, 4)
    # The one was moved and then averaged, the other averaged and then moved: edges differ a little.
    assert (masks - coarse).abs().mean() < 0.02
    assert (masks - coarse).abs().max() < 0.5
    still = torch.nn.functional.avg_pool2d(image, 4)
    assert (masks - still).abs().flatten(1).mean(1).min() > 0.02


def test_output_size_and_range() -> None:
    out, _, _ = augment(torch.rand(5, 1, 64, 64), None, AugmentConfig(), 48, _generator())
    assert out.shape == (5, 1, 48, 48)
    assert out.min() >= 0
    assert out.max() <= 1


def test_same_generator_state_gives_same_batch() -> None:
    batch = torch.rand(4, 1, 32, 32)
    config = AugmentConfig(style=StyleConfig(probability=0.5))
    first, _, _ = augment(batch, None, config, 32, _generator(7))
    assert torch.equal(first, augment(batch, None, config, 32, _generator(7))[0])
    assert not torch.equal(first, augment(batch, None, config, 32, _generator(8))[0])


def test_flip_mirrors_columns() -> None:
    always = msgspec.structs.replace(STILL, horizontal_flip=1.0)
    batch = torch.rand(2, 1, 32, 32)
    mirrored = warp(batch, draw_affine(2, always, _generator()), 32)
    torch.testing.assert_close(mirrored, batch.flip(3), atol=1e-5, rtol=0)


def test_what_comes_from_outside_is_black() -> None:
    turned = msgspec.structs.replace(STILL, rotation_degrees=45.0, scale=0.3, shift=0.3)
    out = warp(torch.ones(16, 1, 32, 32), draw_affine(16, turned, _generator()), 32)
    assert out.min() == 0
    assert out.max() <= 1 + 1e-6


def test_erase_keeps_the_mean() -> None:
    always = msgspec.structs.replace(STILL, erase=1.0)
    batch = torch.rand(8, 1, 64, 64)
    out = random_erase(batch, always, _generator())
    changed = (out != batch).flatten(1).any(1)
    assert changed.all()
    torch.testing.assert_close(out.mean((1, 2, 3)), batch.mean((1, 2, 3)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0])
def test_a_blended_image_keeps_at_least_half_of_itself(alpha: float) -> None:
    generator = _generator()
    shares = [mixup_share(alpha, generator) for _ in range(200)]
    assert min(shares) >= 0.5
    assert max(shares) <= 1.0
    assert len(set(shares)) > 20


def test_mixup_off() -> None:
    assert mixup_share(0.0, _generator()) == 1.0
