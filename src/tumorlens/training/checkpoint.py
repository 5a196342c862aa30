"""Everything a run needs to continue, in one safetensors file, replaced atomically.

Tensors: the network, its moving average, the best weights so far and AdamW's moments. The rest
(epoch, history, what the run is) is JSON in the file's metadata: one rename moves all of it.
"""

from pathlib import Path
from typing import Any, Final

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tumorlens.errors import CheckpointError
from tumorlens.files import write_synced

CHECKPOINT_FILE: Final = "checkpoint.safetensors"
"""In a run's folder."""
_STATE_KEY = "tumorlens"


class RunState(msgspec.Struct, kw_only=True):
    """The state of a run after ``epoch`` finished epochs."""

    run_key: str
    """Hash of recipe, data, split and processes: a checkpoint is of one run only."""
    epoch: int
    step: int
    best_epoch: int
    history: list[dict[str, float]]
    wall_time_s: float
    """Run time so far, including that of earlier processes of the same run."""


def save_checkpoint(path: Path, tensors: dict[str, Tensor], state: RunState) -> None:
    """Replace ``path`` atomically."""
    metadata = {_STATE_KEY: msgspec.json.encode(state).decode()}
    data = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, metadata)
    write_synced(path, data)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], RunState]:
    """Read a checkpoint; raise ``CheckpointError`` where it is damaged."""
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
            names = handle.keys()
            tensors = {name: handle.get_tensor(name) for name in names}
        return tensors, msgspec.json.decode(metadata[_STATE_KEY], type=RunState)
    except (OSError, SafetensorError, KeyError, msgspec.MsgspecError) as error:
        raise CheckpointError(f"{path}: is not a usable checkpoint ({error})") from error


def require_run(path: Path, state: RunState, run_key: str) -> None:
    """Raise ``CheckpointError`` where ``path`` is the checkpoint of another run."""
    if state.run_key != run_key:
        raise CheckpointError(
            f"{path}: was made with another recipe, data, split or number of processes; "
            "resume with the same, or choose another --out"
        )


def with_prefix(prefix: str, tensors: dict[str, Any]) -> dict[str, Tensor]:
    """``tensors`` with ``prefix/`` before their names."""
    return {f"{prefix}/{name}": value for name, value in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that have it, without it."""
    start = f"{prefix}/"
    return {n.removeprefix(start): v for n, v in tensors.items() if n.startswith(start)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's per-parameter state as named tensors, by the parameter's position."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}/{name}": value.clone()
        for index, entry in state.items()
        for name, value in entry.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo ``optimizer_tensors``."""
    whole = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split("/")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
