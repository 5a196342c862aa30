"""A run's progress on the terminal: epoch, loss, validation so far, time left."""

import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tumorlens.training.trainer import Watcher


class EpochBar(Watcher):
    """A live bar on a terminal; one line an epoch where the output goes to a file."""

    def __init__(self, epochs: int, *, quiet: bool = False) -> None:
        """``epochs`` in all, those before a resume included; ``quiet`` shows nothing."""
        self._epochs = epochs
        self._console = Console(stderr=True, quiet=quiet)
        self._live = sys.stderr.isatty()

        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  {task.fields[best]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self._console,
            disable=not self._live,
        )
        self._task = self._bar.add_task("train", epoch=0, epochs=epochs, loss=0.0, best="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def batch_done(self, epoch: int, done: int, total: int, loss: float) -> None:
        """Move the bar."""
        self._bar.update(
            self._task,
            total=self._epochs * total,
            completed=(epoch - 1) * total + done,
            epoch=epoch,
            loss=loss,
        )

    def epoch_done(self, history: list[dict[str, float]], best_epoch: int) -> None:
        """Show how validation went, and which epoch is exported so far."""
        last = history[-1]
        validation = (
            f"validation log-loss {last['validation_loss']:.3f} (lowest in epoch {best_epoch}), "
            f"accuracy {100 * last['validation_accuracy']:.1f}%"
        )
        self._bar.update(self._task, best=validation)
        if not self._live:
            self._console.print(
                f"epoch {len(history)}/{self._epochs}  loss {last['train_loss']:.4f}  "
                f"{validation}  {last['wall_time_s']:.0f} s",
                highlight=False,
                soft_wrap=True,
            )
