"""A run in MLflow's file store, read back with its own client."""

from pathlib import Path

import pytest

from tumorlens.config import TrainConfig
from tumorlens.training.mlflow_log import URI, mlflow_run, parameters

HISTORY = [
    {"epoch": 1.0, "train_loss": 1.2, "validation_accuracy": 0.5},
    {"epoch": 2.0, "train_loss": 0.9, "validation_accuracy": 0.75},
]


def test_parameters_are_the_keys_of_the_recipe(tiny_config: TrainConfig) -> None:
    found = parameters(tiny_config)
    assert found["epochs"] == str(tiny_config.epochs)
    assert found["optimizer.learning_rate"] == str(tiny_config.optimizer.learning_rate)


def test_nothing_is_logged_unless_told_where(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(URI, raising=False)
    monkeypatch.chdir(tmp_path)
    with mlflow_run("run", tiny_config) as log:
        assert log is None
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("default")
def test_a_run_is_logged(
    finished: Path, tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warnings are MLflow's own."""
    mlflow = pytest.importorskip("mlflow", reason="MLflow is optional")
    # From version 3 on a store of files must be asked for.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = (tmp_path / "mlruns").as_uri()
    monkeypatch.setenv(URI, store)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.set_tracking_uri(store)
    with mlflow_run("mine", tiny_config) as log:
        assert log is not None
        for epoch in (1, 2):
            log.epoch_done(HISTORY[:epoch], best_epoch=epoch)
        log.finish(finished)
    assert mlflow.active_run() is None
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name("tumorlens")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "mine"
    assert run.info.status == "FINISHED"
    assert run.data.params["epochs"] == str(tiny_config.epochs)
    assert run.data.metrics["train_loss"] == 0.9
    assert run.data.metrics["validation_n"] > 0
    assert [m.step for m in client.get_metric_history(run.info.run_id, "train_loss")] == [1, 2]
    names = {one.path for one in client.list_artifacts(run.info.run_id)}
    assert {"run.json", "metrics.csv", "bundle.json"} <= names
