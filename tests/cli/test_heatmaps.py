"""``tumorlens predict --heatmap DIR``: an overlay beside each answer."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from tumorlens.cli.extras import numbered_name
from tumorlens.cli.predict import command
from tumorlens.imaging.raster import encode


def test_a_file_for_each_answer(tiny_bundle: Path, tmp_path: Path, head: NDArray[np.uint8]) -> None:
    scans, maps = tmp_path / "scans", tmp_path / "deep" / "maps"
    scans.mkdir()
    for name in ("a b.png", "c.png"):
        (scans / name).write_bytes(encode.png(head))
    (scans / "broken.png").write_bytes(encode.png(head)[:200])
    arguments = [str(scans), "--format", "jsonl", "--bundle", str(tiny_bundle)]
    found = CliRunner().invoke(command, [*arguments, "--heatmap", str(maps)])
    assert found.exit_code == 3, found.output
    records = [json.loads(line) for line in found.stdout.splitlines()]
    assert [bool(record.get("heatmap")) for record in records] == [True, False, True]
    assert {"label", "square", "grid", "peak", "box"} < set(records[0]["heatmap"])
    assert sorted(path.name for path in maps.iterdir()) == ["00001-a_b.png", "00003-c.png"]
    with Image.open(maps / "00003-c.png") as drawn:
        assert drawn.width > 300
    assert f"wrote {maps}" in found.stderr


@pytest.mark.parametrize("name", ["a/head.nii", "a/head.nii.gz", "head.png"])
def test_files_are_named_without_the_suffixes_of_their_input(name: str) -> None:
    assert numbered_name(7, name) == "00007-head"


def test_without_the_option_no_heatmap(
    tiny_bundle: Path, tmp_path: Path, head: NDArray[np.uint8]
) -> None:
    (tmp_path / "a.png").write_bytes(encode.png(head))
    arguments = [str(tmp_path / "a.png"), "--format", "jsonl", "--bundle", str(tiny_bundle)]
    assert json.loads(CliRunner().invoke(command, arguments).stdout)["heatmap"] is None


def test_an_empty_folder_is_said_to_be_empty(
    tiny_bundle: Path, tmp_path: Path, head: NDArray[np.uint8]
) -> None:
    pytest.importorskip("highdicom", reason="needs the pacs extra")
    (tmp_path / "a.png").write_bytes(encode.png(head))  # no DICOM, so no report of a series
    arguments = [str(tmp_path / "a.png"), "--bundle", str(tiny_bundle)]
    found = CliRunner().invoke(command, [*arguments, "--dicom", str(tmp_path / "out")])
    assert f"wrote nothing to {tmp_path / 'out'}" in found.stderr


def test_volumes_and_archives_have_theirs(
    tiny_bundle: Path,
    tmp_path: Path,
    head: NDArray[np.uint8],
    write_series: Callable[..., list[bytes]],
) -> None:
    study, maps = tmp_path / "study.zip", tmp_path / "maps"
    with zipfile.ZipFile(study, "w") as archive:
        archive.writestr("z.png", encode.png(head))
        for index, data in enumerate(write_series(5)):
            archive.writestr(f"s/{index}.dcm", data)
    arguments = [str(study), "--format", "jsonl", "--bundle", str(tiny_bundle)]
    found = CliRunner().invoke(command, [*arguments, "--heatmap", str(maps)])
    assert found.exit_code == 0, found.output
    series, image = [json.loads(line) for line in found.stdout.splitlines()]
    assert series["finding"] is not None
    assert series["heatmap"]["label"] == series["label"]
    assert image["heatmap"]["grid"]
    assert [path.name[:6] for path in sorted(maps.iterdir())] == ["00001-", "00002-"]
