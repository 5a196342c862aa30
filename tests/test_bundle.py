"""A bundle is used only when it is whole; otherwise one line says what is wrong."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import tumorlens
from tumorlens import bundle
from tumorlens.errors import EXIT_BUNDLE_UNUSABLE, BundleError
from tumorlens.labels import class_set


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))


def edit(folder: Path, **changes: Any) -> None:
    path = folder / bundle.INFO_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(folder: Path | str) -> str:
    """The message with which ``folder`` is refused."""
    with pytest.raises(BundleError) as caught:
        tumorlens.load(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == EXIT_BUNDLE_UNUSABLE
    return message


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
@pytest.mark.parametrize("part", [bundle.INFO_FILE, bundle.MODEL_FILE])
@pytest.mark.parametrize("what", ["pipe", "device"])
def test_a_pipe_or_a_device_is_refused_at_once(copy: Path, part: str, what: str) -> None:
    (copy / part).unlink()
    if what == "pipe":
        os.mkfifo(copy / part)
    else:
        (copy / part).symlink_to("/dev/zero")
    assert f"{part} cannot be read (not a regular file)" in refusal(copy)


def test_round_trip(tiny_bundle: Path, tmp_path: Path) -> None:
    loaded = bundle.load(tiny_bundle)
    again = bundle.save(tmp_path / "again", loaded.info, loaded.model)
    assert again == loaded
    assert loaded.sha256 == hashlib.sha256(loaded.model).hexdigest()
    names = {path.name for path in (tmp_path / "again").iterdir()}
    assert names == {bundle.MODEL_FILE, bundle.INFO_FILE}
    first, second = (p / bundle.INFO_FILE for p in (tiny_bundle, tmp_path / "again"))
    assert first.read_bytes() == second.read_bytes()


def test_a_newer_minor_field_does_not_matter(copy: Path) -> None:
    edit(copy, added_later={"anything": 1})
    assert bundle.load(copy).info.name == "tiny"


def test_a_runs_folder_stands_for_the_bundle_in_it(tiny_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "run" / bundle.BUNDLE_FOLDER)
    assert bundle.load(tmp_path / "run") == bundle.load(tiny_bundle)
    assert bundle.locate(tmp_path / "run") == tmp_path / "run" / "bundle"


def test_neither_name_nor_folder(tmp_path: Path) -> None:
    assert "neither a bundled network" in refusal(tmp_path / "nowhere")
    assert "neither a bundled network" in refusal("x" * 5000)
    (tmp_path / "file").touch()
    assert "nor a bundle folder" in refusal(tmp_path / "file")


@pytest.mark.parametrize("part", [bundle.MODEL_FILE, bundle.INFO_FILE])
def test_a_missing_part(copy: Path, part: str) -> None:
    (copy / part).unlink()
    assert f"{part} cannot be read (No such file" in refusal(copy)


def test_a_part_without_permission(copy: Path) -> None:
    (copy / bundle.MODEL_FILE).chmod(0)
    if os.access(copy / bundle.MODEL_FILE, os.R_OK):
        pytest.skip("this user may read every file")
    assert "Permission denied" in refusal(copy)


def test_another_model_than_described(copy: Path) -> None:
    model = bytearray((copy / bundle.MODEL_FILE).read_bytes())
    model[len(model) // 2] ^= 1
    (copy / bundle.MODEL_FILE).write_bytes(model)
    assert "model.onnx is not the file that bundle.json describes" in refusal(copy)


@pytest.mark.parametrize("version", [5, 99, 3, None, True, "3", 3.5])
def test_another_format_version(copy: Path, version: Any) -> None:
    edit(copy, format_version=version)
    message = refusal(copy)
    assert (
        f"bundle format {version!r}; this version of tumorlens reads {bundle.FORMAT_VERSION}."
        in message
    )


def test_a_bundle_has_its_own_classes(copy: Path) -> None:
    own = class_set(["cyst", "abscess", "normal"])
    edit(copy, classes=msgspec.to_builtins(own))
    assert bundle.load(copy).info.classes == own
    edit(copy, prediction_sets={"coverage": 0.9, "thresholds": [0.1, 0.2, 0.3, 0.4]})
    assert "another number of classes" in refusal(copy)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe{}", b"[" * 100_000, b'{"format_version": 4}',
     b'{"format_version": 4, "name": 5}'],
    ids=range(9),
)  # fmt: skip
def test_garbage_instead_of_json(copy: Path, data: bytes) -> None:
    (copy / bundle.INFO_FILE).write_bytes(data)
    assert str(copy) in refusal(copy)


def test_an_enormous_json(copy: Path) -> None:
    (copy / bundle.INFO_FILE).write_bytes(b" " * (5 * 1024 * 1024))
    assert "larger than" in refusal(copy)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": ["meningioma", "glioma", "notumor", "pituitary"]},
        {"classes": ["glioma"]},
        {"temperature": 0.0},
        {"preprocess": {"image_size": 64, "window": 3}},
        {"preprocess": {"image_size": 64, "version": 2}},
        {"files": {}},
        {"files": {"model.onnx": "00"}},
    ],
    ids=str,
)
def test_contents_that_cannot_be_used(copy: Path, changes: dict[str, Any]) -> None:
    edit(copy, **changes)
    assert str(copy) in refusal(copy)


@pytest.mark.parametrize("name", ["../copy/model.onnx", "/etc/hostname", "..", "a/b", "nul\0"])
def test_listed_files_stay_inside_the_folder(copy: Path, name: str) -> None:
    files = json.loads((copy / bundle.INFO_FILE).read_text())["files"]
    edit(copy, files=files | {name: "00"})
    assert str(copy) in refusal(copy)


def test_other_listed_files_are_checked_too(copy: Path) -> None:
    files = json.loads((copy / bundle.INFO_FILE).read_text())["files"]
    (copy / "card.md").write_text("hello")
    edit(copy, files=files | {"card.md": hashlib.sha256(b"hello").hexdigest()})
    assert bundle.load(copy).info.name == "tiny"
    (copy / "card.md").write_text("hullo")
    assert "card.md is not the file" in refusal(copy)


def rebuilt(folder: Path, model: bytes) -> Path:
    """Like ``folder``, with hashes that fit another ``model``."""
    bundle.save(folder, bundle.load(folder).info, model)
    return folder


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_onnx_with_a_fitting_hash(
    copy: Path, tiny_onnx: Callable[..., bytes], share: float
) -> None:
    model = tiny_onnx()
    assert "tiny" in refusal(rebuilt(copy, model[: int(len(model) * share)]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": "input"}, "the graph takes ['input']"),
        ({"logits": "scores"}, "gives ['cam', 'embedding', 'scores']"),
        ({"size": 128}, "needed is tensor(float) (N, 1, 64, 64)"),
        ({"element": "DOUBLE"}, "the graph takes tensor(double)"),
    ],
    ids=["input", "output", "size", "element"],
)
def test_a_graph_of_another_kind(
    copy: Path, tiny_onnx: Callable[..., bytes], changes: dict[str, Any], words: str
) -> None:
    assert words in refusal(rebuilt(copy, tiny_onnx(**changes)))


def test_a_dynamic_image_size_fits(copy: Path, tiny_onnx: Callable[..., bytes]) -> None:
    tumorlens.load(rebuilt(copy, tiny_onnx(size="S")))


def test_save_replaces_atomically(copy: Path, tiny_onnx: Callable[..., bytes]) -> None:
    info = msgspec.structs.replace(bundle.load(copy).info, version="2")
    saved = bundle.save(copy, info, tiny_onnx(scale=2.0))
    assert saved.info.version == "2"
    assert bundle.load(copy) == saved
    assert not [path for path in copy.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", bundle.SHIPPED)
def test_shipped_bundles_load(name: str) -> None:
    folder = Path(bundle.__file__).parent / "weights" / name
    if not folder.is_dir():
        pytest.skip(f"the bundle {name} is not in this checkout")
    loaded = bundle.load(name)
    assert loaded.info.name == name
    assert loaded.info.network.parameters < 500_000
    assert len(loaded.model) < 4 * 1024 * 1024
    tumorlens.load(name)


def test_a_mistyped_name_is_suggested() -> None:
    with pytest.raises(BundleError, match=r"did you mean default\?"):
        bundle.load("defualt")
