"""What the graph takes and gives."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tumorlens import bundle
from tumorlens.errors import BundleError, DeviceError
from tumorlens.inference.session import Session

GPU = "CUDAExecutionProvider" in onnxruntime.get_available_providers()


@pytest.fixture(scope="module")
def session(tiny_bundle: Path) -> Session:
    return Session(bundle.load(tiny_bundle))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_shapes(session: Session, count: int) -> None:
    images = np.random.default_rng(0).normal(size=(count, 1, 64, 64)).astype(np.float32)
    outputs = session.run(images)
    assert outputs.logits.shape == (count, 4)
    assert outputs.cam.shape == (count, 4, 8, 8)
    assert outputs.embedding.shape == (count, 8)
    assert {array.dtype for array in outputs if array is not None} == {np.dtype(np.float32)}
    assert outputs.lesion is None


def test_logits_are_the_mean_of_the_map(session: Session) -> None:
    images = np.random.default_rng(1).normal(size=(2, 1, 64, 64)).astype(np.float32)
    outputs = session.run(images)
    np.testing.assert_allclose(outputs.cam.mean(axis=(2, 3)), outputs.logits, atol=1e-5)


def test_an_image_does_not_depend_on_its_batch(session: Session) -> None:
    images = np.random.default_rng(2).normal(size=(7, 1, 64, 64)).astype(np.float32)
    together = session.run(images).logits
    alone = np.concatenate([session.run(image[np.newaxis]).logits for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-5)


TASKS = Path("/proc/self/task")
"""One entry for each thread of this process, on Linux."""


@pytest.mark.skipif(not TASKS.exists(), reason="the threads are counted in /proc")
@pytest.mark.parametrize(("threads", "further"), [(None, 0), (3, 2)])
def test_a_forward_pass_takes_one_thread_unless_more_are_asked_for(
    tiny_bundle: Path, threads: int | None, further: int
) -> None:
    before = {task.name for task in TASKS.iterdir()}
    loaded = bundle.load(tiny_bundle)
    session = Session(loaded, threads) if threads else Session(loaded)
    session.run(np.zeros((1, 1, 64, 64), dtype=np.float32))
    assert len({task.name for task in TASKS.iterdir()} - before) == further


def test_a_wrong_shape_is_one_clear_error(session: Session) -> None:
    with pytest.raises(BundleError, match=r"^bundle tiny: ") as caught:
        session.run(np.zeros((1, 1, 32, 32), dtype=np.float32))
    assert "\n" not in str(caught.value)


def test_an_answer_that_is_not_finite(
    tiny_bundle: Path, tmp_path: Path, tiny_onnx: Callable[..., bytes]
) -> None:
    info = bundle.load(tiny_bundle).info
    broken = Session(bundle.save(tmp_path / "broken", info, tiny_onnx(scale=float("inf"))))
    with pytest.raises(BundleError, match="not finite"):
        broken.run(np.ones((1, 1, 64, 64), dtype=np.float32))


@pytest.mark.skipif(GPU, reason="this onnxruntime is the GPU package")
def test_a_gpu_that_is_not_there_is_one_clear_line(tiny_bundle: Path) -> None:
    with pytest.raises(DeviceError, match=r"GPU package .* --device cpu") as caught:
        Session(bundle.load(tiny_bundle), device="cuda")
    assert "\n" not in str(caught.value)


def test_auto_answers_as_the_cpu(tiny_bundle: Path, session: Session) -> None:
    images = np.random.default_rng(3).normal(size=(2, 1, 64, 64)).astype(np.float32)
    found = Session(bundle.load(tiny_bundle), device="auto").run(images).logits
    np.testing.assert_allclose(found, session.run(images).logits, atol=1e-4)
