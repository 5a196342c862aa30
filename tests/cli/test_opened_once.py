"""An image is opened once, whatever is asked for besides the answer."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.imaging import finder
from tumorlens.imaging.raster import encode

_SCRIPT = """
import json, os, sys
wanted, counts = set(sys.argv[1].split(":")), {}
def count(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        path = os.path.abspath(arguments[0])
        if path in wanted:
            counts[path] = counts.get(path, 0) + 1
sys.addaudithook(count)
sys.argv = ["tumorlens", "predict", *sys.argv[2:]]
from tumorlens.cli.main import main
try:
    main()
except SystemExit:
    pass
print(json.dumps(counts), file=sys.stderr)
"""


def opened(paths: list[Path], *arguments: str) -> list[int]:
    """How often ``tumorlens predict`` opens each of ``paths``."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, ":".join(map(str, paths)), *arguments],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    counts = json.loads(done.stderr.splitlines()[-1])
    return [counts.get(str(path), 0) for path in paths]


@pytest.mark.parametrize("named_one_by_one", [True, False])
def test_with_heatmap_and_report(
    tmp_path: Path, head: NDArray[np.uint8], tiny_bundle: Path, named_one_by_one: bool
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    paths = [folder / "a.png", folder / "b"]
    for path in paths:
        path.write_bytes(encode.png(head))
    arguments = [str(path) for path in paths] if named_one_by_one else [str(folder)]
    arguments += ["--bundle", str(tiny_bundle), "--format", "jsonl"]
    assert opened(paths, *arguments) == [1, 1]
    beside = ["--heatmap", str(tmp_path / "maps"), "--html", str(tmp_path / "report.html")]
    assert opened(paths, *arguments, *beside) == [1, 1]


def test_images_beyond_the_room_are_opened_again(
    tmp_path: Path, head: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode.png(head)
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(finder, "_ROOM", 2 * len(data))
    first, last = finder.find_all([f"{tmp_path}/[ab]", f"{tmp_path}/c"])
    assert [one.path for one in first.inputs] == [f"{tmp_path}/a", f"{tmp_path}/b"]
    for name in ("a", "b"):
        (tmp_path / name).unlink()
    for one in (*first.inputs, *last.inputs):  # the third is still there to be opened
        np.testing.assert_array_equal(one.read().image.pixels, head)
