"""What several experiments do: choose images, ask a bundle about them, print a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.inference.classifier import Classifier
from tumorlens.training import cache


def images_of(manifest: Manifest, split: str, part: str) -> list[int]:
    """Indices of the images of one part of a split."""
    parts = splits.load(split).parts(manifest)
    return [i for i, name in enumerate(parts) if name == part]


def logits_of(
    classifier: Classifier, manifest: Manifest, chosen: Sequence[int], folder: Path | None
) -> NDArray[np.float64]:
    """Logits (N, 4) of the chosen images; ``folder`` caches them preprocessed."""
    config = classifier.bundle.info.preprocess
    images = cache.cached_images(manifest, chosen, config, folder or cache.default_folder())
    return classifier.logits(images).astype(np.float64)


def print_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table whose columns are the keys of the first row; text is on the left."""
    table = Table(title=title)
    for column, value in rows[0].items():
        table.add_column(
            column.replace("_", " "), justify="left" if isinstance(value, str) else "right"
        )
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console().print(table)
