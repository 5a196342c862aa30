"""A run in MLflow, where that is installed and ``MLFLOW_TRACKING_URI`` says where."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec

from tumorlens.config import TrainConfig
from tumorlens.training.provenance import RUN_FILE
from tumorlens.training.trainer import Watcher

URI: Final = "MLFLOW_TRACKING_URI"
EXPERIMENT: Final = "tumorlens"
_MOST_CHARACTERS: Final = 500
"""Limit for a parameter's value in MLflow's stores."""


class MlflowLog(Watcher):
    """Logs each epoch's metrics to the active run."""

    def __init__(self, mlflow: Any) -> None:
        """``mlflow`` is the module, with an active run."""
        self._mlflow = mlflow

    def epoch_done(self, history: list[dict[str, float]], best_epoch: int) -> None:
        """Log the last epoch, by its number."""
        last = dict(history[-1])
        step = int(last.pop("epoch"))
        self._mlflow.log_metrics({**last, "best_epoch": best_epoch}, step=step)

    def finish(self, folder: Path) -> None:
        """Log what the record of the run in ``folder`` measured, and its small files."""
        run = json.loads((folder / RUN_FILE).read_text("utf-8"))
        for part, measured in run["bundle"]["metrics"].items():
            if isinstance(measured, Mapping):
                numbers = {k: v for k, v in measured.items() if isinstance(v, int | float)}
                self._mlflow.log_metrics({f"{part}_{k}": float(v) for k, v in numbers.items()})
        for name in (RUN_FILE, "metrics.csv", "curves.png", "bundle/bundle.json"):
            if (folder / name).is_file():
                self._mlflow.log_artifact(str(folder / name))


@contextmanager
def mlflow_run(name: str, config: TrainConfig) -> Iterator[MlflowLog | None]:
    """Open a run named ``name`` with the recipe's keys as parameters; None where not wanted.

    It is wanted where MLflow is installed and ``MLFLOW_TRACKING_URI`` is set. A run that the
    program itself has started is used instead of a new one.
    """
    if not os.environ.get(URI) or find_spec("mlflow") is None:
        yield None
        return
    # MLflow sends usage statistics unless this is set before the import.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    given = mlflow.active_run() is not None
    if not given:
        if not os.environ.get("MLFLOW_EXPERIMENT_NAME") and not os.environ.get(
            "MLFLOW_EXPERIMENT_ID"
        ):
            mlflow.set_experiment(EXPERIMENT)
        mlflow.start_run(run_name=name)
    status = "FAILED"
    try:
        mlflow.log_params(parameters(config))
        yield MlflowLog(mlflow)
        status = "FINISHED"
    finally:
        if not given:
            mlflow.end_run(status)


def parameters(config: TrainConfig) -> dict[str, str]:
    """The recipe's keys with dots between their parts, as `--set` takes them."""
    flat: dict[str, str] = {}

    def add(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, below in value.items():
                add(f"{prefix}.{key}" if prefix else str(key), below)
        else:
            flat[prefix] = str(value)[:_MOST_CHARACTERS]

    add("", msgspec.to_builtins(config))
    return flat
