"""Files, folders and patterns."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.imaging.finder import find, find_all
from tumorlens.imaging.input import File
from tumorlens.imaging.raster import encode
from tumorlens.imaging.series import ELSEWHERE


@pytest.fixture
def tree(tmp_path: Path, head: NDArray[np.uint8]) -> Path:
    """Images b.png, sub/a.jpg, sub/[x].png; a text, hidden things, an empty folder."""
    image = encode.png(head)
    for name in ("b.png", "sub/a.jpg", "sub/[x].png", ".hidden.png", ".git/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(image)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "sub" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (tmp_path / "empty").mkdir()
    return tmp_path


def names(paths: tuple[str, ...], tree: Path) -> list[str]:
    return [Path(path).relative_to(tree).as_posix() for path in paths]


def test_a_folder_gives_its_images_sorted(tree: Path) -> None:
    found = find(str(tree))
    assert names(found.paths, tree) == ["b.png", "sub/[x].png", "sub/a.jpg"]
    assert (found.skipped, found.error) == (2, None)


def test_a_folder_that_cannot_be_read_is_no_silent_loss(
    tree: Path, unreadable_folder: Path
) -> None:
    found = find(str(tree))
    assert names(found.paths, tree) == ["b.png", "sub/[x].png", "sub/a.jpg"]
    (failure,) = found.failures
    assert failure[0] == str(unreadable_folder)
    assert "cannot be opened" in str(failure[1])


@pytest.mark.parametrize("name", [
    "study.zip", "a.tar.xz", "cd.iso", "photo.heif", "scan.jfif", "IM1.IMA", "1.dicom", "2.j2k",
])  # fmt: skip
def test_a_failed_copy_of_an_image_or_archive_is_never_passed_over(tree: Path, name: str) -> None:
    (tree / name).touch()
    found = find(str(tree))
    assert name in names(found.paths, tree)
    assert found.skipped == 2


def test_what_calls_itself_an_image_is_never_passed_over(tree: Path) -> None:
    (tree / "copy-failed.PNG").touch()
    (tree / "sub" / "saved-page.jpg").write_text("<html>")
    found = find(str(tree))
    assert {"copy-failed.PNG", "sub/saved-page.jpg"} <= set(names(found.paths, tree))
    assert found.skipped == 2


def test_a_folder_without_images_is_an_error(tree: Path) -> None:
    found = find(str(tree / "empty"))
    assert found.paths == ()
    assert found.error is not None
    assert found.error.kind == "missing"
    assert str(found.error) == f"{tree / 'empty'}: contains no image"


def test_dicom_files_named_one_by_one_are_series(
    tree: Path, write_series: Callable[..., list[bytes]]
) -> None:
    files = [tree / f"{index}.dcm" for index in range(4)]
    for file, data in zip(files, write_series(4), strict=True):
        file.write_bytes(data)
    arguments = [str(tree / "b.png"), *map(str, files), str(tree / "none.png")]
    found = find_all(arguments)
    assert [[len(one.files) for one in part.inputs] for part in found] == [
        [1], [4], [], [], [], [1],
    ]  # fmt: skip
    assert [len(one.files) for one in find(f"{tree}/*.dcm").inputs] == [4]
    apart = find_all(arguments, apart=True)
    assert [part.paths for part in apart] == [(name,) for name in arguments]


@pytest.mark.parametrize("kind", ["archives", "folders", "folder and archive"])
def test_a_series_in_several_places_is_noted(
    tmp_path: Path, write_series: Callable[..., list[bytes]], kind: str
) -> None:
    slices, other = write_series(8), write_series(3, series="1.2.9")
    for place, files in (("a", slices[:4]), ("b", slices[4:] + other)):
        if kind == "archives" or (place == "b" and kind == "folder and archive"):
            with zipfile.ZipFile(tmp_path / f"{place}.zip", "w") as archive:
                for index, data in enumerate(files):
                    archive.writestr(f"{index}.dcm", data)
        else:
            (tmp_path / place).mkdir()
            for index, data in enumerate(files):
                (tmp_path / place / f"{index}.dcm").write_bytes(data)
    named = find_all(map(str, sorted(tmp_path.iterdir()))) if kind == "folders" else []
    inputs = [one for part in named or [find(str(tmp_path))] for one in part.inputs]
    images = [one.read().image for one in inputs]
    assert [image.depth for image in images] == [4, 4, 3]
    assert [image.facts is not None and ELSEWHERE in image.facts.notes for image in images] == [
        True, True, False,
    ]  # fmt: skip


def test_named_dicom_files_without_an_image_say_so(
    tree: Path, write_dicom: Callable[..., bytes]
) -> None:
    report = "1.2.840.10008.5.1.4.1.1.88.33"
    pixels = np.zeros((32, 32), np.uint8)
    names = [str(tree / name) for name in ("a.dcm", "b.dcm")]
    for name in names:
        Path(name).write_bytes(write_dicom(pixels, SOPClassUID=report))
    assert [part.paths for part in find_all(names)] == [(name,) for name in names]


def test_a_file_is_taken_as_it_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    for name in ("./notes.txt", "sub/[x].png", "does-not-exist.png", ".hidden.png", "nul\0"):
        assert find(name).paths == (name,)


def test_patterns(tree: Path) -> None:
    assert names(find(f"{tree}/*.png").paths, tree) == ["b.png"]
    assert names(find(f"{tree}/**/*.jpg").paths, tree) == ["sub/a.jpg"]
    assert names(find(f"{tree}/s?b").paths, tree) == ["sub/[x].png", "sub/a.jpg"]
    assert names(find(f"{tree}/*.txt").paths, tree) == ["notes.txt"]
    nothing = find(f"{tree}/*.tiff")
    assert nothing.paths == ()
    assert str(nothing.error) == f"{tree}/*.tiff: no file matches this pattern"


def test_linked_folders_are_followed_once(
    tree: Path, tmp_path_factory: pytest.TempPathFactory, head: NDArray[np.uint8]
) -> None:
    """A study that is linked is read; a link that leads back ends nothing."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "linked.png").write_bytes(encode.png(head))
    (tree / "sub" / "loop").symlink_to(tree, target_is_directory=True)
    assert len(find(str(tree)).paths) == 3
    (tree / "study").symlink_to(elsewhere, target_is_directory=True)
    (tree / "again").symlink_to(elsewhere, target_is_directory=True)
    found = find(str(tree)).paths
    assert [name for name in names(found, tree) if "linked" in name] == ["again/linked.png"]
    assert len(found) == 4


def test_archives_in_a_folder_are_opened(tree: Path, head: NDArray[np.uint8]) -> None:
    for name, members in (("a.zip", {"x/y.png": encode.png(head)}), ("b.zip", {"readme": b"text"})):
        with zipfile.ZipFile(tree / name, "w") as archive:
            for member, data in members.items():
                archive.writestr(member, data)
    before = find(str(tree))
    assert [one.path for one in before.inputs if not isinstance(one, File)] == [
        f"{tree}/a.zip/x/y.png"
    ]
    assert before.error is None
    (tree / "c.zip").write_bytes(b"PK\x03\x04 and no more")
    assert [path for path, _ in find(str(tree)).failures] == [f"{tree}/c.zip"]


def test_a_folder_of_nothing_but_an_archive(tmp_path: Path, head: NDArray[np.uint8]) -> None:
    with zipfile.ZipFile(tmp_path / "only.zip", "w") as archive:
        archive.writestr("y.png", encode.png(head))
    found = find(str(tmp_path))
    assert (len(found.inputs), found.failures) == (1, ())
