"""Where a network is trained."""

import pytest
import torch

from tumorlens.errors import DeviceError
from tumorlens.training.processes import pick_device


def test_the_cpu_can_always_be_chosen() -> None:
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_auto_is_the_cpu_and_cuda_one_clear_line() -> None:
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(DeviceError, match=r"torch .* finds no GPU: .* --device cpu") as caught:
        pick_device("cuda")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_with_a_gpu_auto_is_the_gpu() -> None:
    assert pick_device("auto").type == pick_device("cuda").type == "cuda"
