from pathlib import Path

import pytest
import torch
from torch import nn

from tumorlens.errors import CheckpointError
from tumorlens.training import checkpoint
from tumorlens.training.checkpoint import RunState


def _state() -> RunState:
    return RunState(
        run_key="k", epoch=2, step=9, best_epoch=1, history=[{"epoch": 1.0}], wall_time_s=1.5
    )


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save_checkpoint(path, {"a/x": torch.arange(3)}, _state())
    tensors, state = checkpoint.load_checkpoint(path)
    assert torch.equal(tensors["a/x"], torch.arange(3))
    assert state == _state()
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_failed_write_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save_checkpoint(path, {"x": torch.ones(1)}, _state())
    before = path.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.save_checkpoint(path, {"x": torch.ones(1)}, object())  # type: ignore[arg-type]
    assert path.read_bytes() == before


@pytest.mark.parametrize("keep", [0, 7, 40, -1])
def test_damaged_file_is_one_clear_error(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save_checkpoint(path, {"x": torch.ones(64)}, _state())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="not a usable checkpoint"):
        checkpoint.load_checkpoint(path)


def test_optimizer_goes_on_exactly(tmp_path: Path) -> None:
    def run(network: nn.Linear, optimizer: torch.optim.Optimizer, steps: int) -> None:
        for step in range(steps):
            optimizer.zero_grad()
            (network(torch.full((1, 3), 1.0 + step)).sum() ** 2).backward()
            optimizer.step()

    torch.manual_seed(0)
    first = nn.Linear(3, 2)
    second = nn.Linear(3, 2)
    one = torch.optim.AdamW(first.parameters())
    two = torch.optim.AdamW(second.parameters())
    run(first, one, 3)
    second.load_state_dict(first.state_dict())
    checkpoint.restore_optimizer(two, checkpoint.optimizer_tensors(one))
    run(first, one, 2)
    run(second, two, 2)
    assert torch.equal(first.weight, second.weight)
