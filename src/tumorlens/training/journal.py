"""A run's record for people: metrics.csv, learning curves, TensorBoard."""

from pathlib import Path

from tumorlens.datasets.tables import csv_bytes
from tumorlens.files import replacing, write_synced
from tumorlens.training.trainer import Watcher


class Journal(Watcher):
    """Rewrites ``metrics.csv`` and ``curves.png`` after each epoch and logs to TensorBoard."""

    def __init__(self, folder: Path, finished_epochs: int) -> None:
        """Continue after ``finished_epochs``; TensorBoard drops what it has of later ones."""
        from torch.utils.tensorboard import SummaryWriter

        self._folder = folder
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=finished_epochs + 1)

    def __exit__(self, *_error: object) -> None:
        self._board.close()

    def epoch_done(self, history: list[dict[str, float]], best_epoch: int) -> None:
        """Write all three."""
        write_metrics(self._folder / "metrics.csv", history)
        draw_curves(self._folder / "curves.png", history, best_epoch)
        last = history[-1]
        for name, value in last.items():
            if name != "epoch":
                self._board.add_scalar(name, value, int(last["epoch"]))
        self._board.flush()


def write_metrics(path: Path, history: list[dict[str, float]]) -> None:
    """One row an epoch, replaced atomically."""
    names = list(history[0])
    rows = (
        [f"{row[name]:.0f}" if name == "epoch" else f"{row[name]:.6g}" for name in names]
        for row in history
    )
    write_synced(path, csv_bytes([names, *rows]))


def draw_curves(path: Path, history: list[dict[str, float]], best_epoch: int) -> None:
    """Losses, validation accuracy and learning rate over epochs, as one PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    losses, accuracy, rate = figure.subplots(1, 3)
    losses.plot(epochs, [r["train_loss"] for r in history], color="#7a8594", label="training")
    losses.plot(
        epochs, [r["validation_loss"] for r in history], color="#0b6e75", label="validation"
    )
    losses.set_title("Loss")
    losses.legend(frameon=False)
    accuracy.plot(epochs, [r["validation_accuracy"] for r in history], color="#0b6e75")
    best = history[best_epoch - 1]["validation_accuracy"]
    accuracy.plot([best_epoch], [best], "o", color="#c4571b")
    accuracy.set_title(f"Validation: {100 * best:.2f}% correct, epoch {best_epoch} chosen")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    rate.plot(epochs, [r["learning_rate"] for r in history], color="#7a8594")
    rate.set_title("Learning rate at the end of the epoch")
    for axes in (losses, accuracy, rate):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
