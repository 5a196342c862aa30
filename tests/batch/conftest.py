"""Folders of images and what a batch made of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.batch.local import LocalEngine
from tumorlens.batch.run import Batch, Engine, Options, Report
from tumorlens.imaging.raster import encode

Answer = Callable[..., Report]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory, head: NDArray[np.uint8]) -> Path:
    """300 images in three folders, one that is broken, a text and a hidden file. Leave it so."""
    folder = tmp_path_factory.mktemp("archive")
    random = np.random.default_rng(0)
    for index in range(300):
        noisy = np.clip(head + random.normal(0, 25, head.shape), 0, 255).astype(np.uint8)
        path = folder / f"site {index % 3}" / f"{index:03d}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode.png(noisy))
    (folder / "site 1" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    (folder / "site 2" / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


@pytest.fixture
def answer(tiny_bundle: Path, tmp_path: Path) -> Answer:
    """Runs a batch into ``tmp_path / out`` and reports."""

    def run(source: Any, out: str = "out", engine: Engine | None = None, **more: Any) -> Report:
        options: dict[str, Any] = {"bundle": str(tiny_bundle), **more}
        place = out if "://" in out else str(tmp_path / out)
        batch = Batch(Options(source=str(source), out=place, **options))
        return batch.run(engine or LocalEngine(1))

    return run


@pytest.fixture(scope="session")
def once(
    archive: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """The parts of ``archive``, made by one process that nothing disturbed."""
    out = tmp_path_factory.mktemp("once")
    options = Options(source=str(archive), out=str(out), bundle=str(tiny_bundle))
    Batch(options).run(LocalEngine(1))
    return parts(out)


def parts(out: Path) -> dict[str, bytes]:
    """All that is in the folder of a batch's records, hidden files as well."""
    return {path.name: path.read_bytes() for path in (out / "records").iterdir()}


def visible(found: dict[str, bytes]) -> dict[str, bytes]:
    """Without what was being written when its process was killed."""
    return {name: data for name, data in found.items() if not name.startswith(".")}


def rows(out: Path) -> list[dict[str, Any]]:
    """All rows of a batch."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the batch extra")
    found: list[dict[str, Any]] = parquet.read_table(out / "records").to_pylist()
    return sorted(found, key=lambda row: (row["path"], row["level"], row["index"] or 0))
