"""One process or many: the few places where a run under ``torchrun`` differs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from tumorlens.config import Device
from tumorlens.errors import DeviceError


@dataclass(frozen=True, slots=True)
class Processes:
    """This process's place among those of the run."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process validates, reports and writes."""
        return self.rank == 0


def process_count() -> int:
    """How many ``torchrun`` says there are; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def join_processes(choice: Device = "auto") -> Iterator[Processes]:
    """Join the group that ``torchrun`` describes in the environment; alone without it."""
    count = process_count()
    if count == 1:
        yield Processes()
        return
    backend = "nccl" if _on_gpu(choice) else "gloo"
    torch.distributed.init_process_group(backend)
    try:
        yield Processes(torch.distributed.get_rank(), count)
    finally:
        torch.distributed.destroy_process_group()


def pick_device(choice: Device = "auto") -> torch.device:
    """The CUDA device of this process where there is one and ``choice`` allows it, else the CPU.

    Raises ``DeviceError`` where ``choice`` is ``cuda`` and there is none.
    """
    if not _on_gpu(choice):
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def _on_gpu(choice: Device) -> bool:
    available = torch.cuda.is_available()
    if choice == "cuda" and not available:
        raise DeviceError(
            f"torch {torch.__version__} finds no GPU: install a build of torch for CUDA, or choose "
            "--device cpu"
        )
    return available and choice != "cpu"
