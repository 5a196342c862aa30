"""An object store as input and as output: a real server of the S3 protocol, on this machine."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.batch.conftest import Answer, rows

from tumorlens.batch import remote
from tumorlens.batch.local import LocalEngine
from tumorlens.batch.run import report
from tumorlens.errors import (
    BatchError,
    LimitExceededError,
    MissingExtraError,
    MissingInputError,
)
from tumorlens.imaging.raster import encode

_numbers = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a store that speaks S3."""
    moto = pytest.importorskip("moto.server", reason="needs the dev extra")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A new bucket; worker processes find the server by the environment."""
    pytest.importorskip("s3fs", reason="needs the dev extra")
    values = {
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": server,
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    remote.file_system.cache_clear()
    name = f"bucket-{next(_numbers)}"
    remote.file_system("s3").mkdir(name)
    yield name
    remote.file_system.cache_clear()


@pytest.fixture
def study(
    bucket: str, head: NDArray[np.uint8], write_series: Callable[..., list[bytes]]
) -> dict[str, bytes]:
    """Three images and a series, in the bucket below ``in``; what is there, by key."""
    objects = {f"in/{k}.png": encode.png(np.roll(head, k)) for k in range(3)}
    objects["in/broken.png"] = b"\x89PNG\r\n\x1a\nnonsense"
    objects |= {f"in/series/{k}": data for k, data in enumerate(write_series(3))}
    system = remote.file_system("s3")
    for key, data in objects.items():
        system.pipe_file(f"{bucket}/{key}", data)
    return objects


def comparable(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without where the files lay."""
    return [
        {name: row[name] for name in ("level", "index", "decision", "probabilities", "error")
         if name != "error" or row["error"] is None}
        for row in found
    ]  # fmt: skip


def test_the_same_rows_from_a_store_as_from_a_folder(
    bucket: str, study: dict[str, bytes], answer: Answer, tmp_path: Path
) -> None:
    for key, data in study.items():
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    answer(tmp_path / "in", "local")
    found = answer(f"s3://{bucket}/in", "remote")
    assert (found.tally.inputs, found.tally.errors) == (5, {"corrupt": 1})
    there, here = rows(tmp_path / "remote"), rows(tmp_path / "local")
    assert [row["path"] for row in there] == [
        row["path"].replace(f"{tmp_path}/", f"s3://{bucket}/") for row in here
    ]
    assert comparable(there) == comparable(here)


def test_parts_in_a_store(
    bucket: str, study: dict[str, bytes], answer: Answer, tmp_path: Path
) -> None:
    out = f"s3://{bucket}/out"
    first = answer(f"s3://{bucket}/in", out, LocalEngine(2))
    again = answer(f"s3://{bucket}/in", out)
    assert (first.runs[0].answered, again.runs[0].answered) == (5, 0)
    assert report(out).tally == first.tally
    answer(f"s3://{bucket}/in", "here")
    system = remote.file_system("s3")
    names = {path.name: path.read_bytes() for path in (tmp_path / "here" / "records").iterdir()}
    assert names == {
        name.rpartition("/")[2]: system.cat_file(name)
        for name in system.ls(f"{bucket}/out/records")
    }


def test_objects_that_change_are_answered_again(
    bucket: str, study: dict[str, bytes], head: NDArray[np.uint8], answer: Answer, tmp_path: Path
) -> None:
    answer(f"s3://{bucket}/in")
    before = {row["path"]: row["sha256"] for row in rows(tmp_path / "out")}
    changed = f"{bucket}/in/1.png"
    remote.file_system("s3").pipe_file(changed, encode.png(np.roll(head, 50)))
    answer(f"s3://{bucket}/in")
    after = {row["path"]: row["sha256"] for row in rows(tmp_path / "out")}
    assert {path for path in before if before[path] != after[path]} == {f"s3://{changed}"}


def test_pattern_and_missing(bucket: str, study: dict[str, bytes], answer: Answer) -> None:
    assert answer(f"s3://{bucket}/in/*.png").tally.inputs == 4
    assert answer(f"s3://{bucket}/none", "none").tally.inputs == 0


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/a.png", "http:// is not an object store that can be read"),
        ("nosuch://a/b", "nosuch:// is not an object store that can be read"),
    ],
)
def test_what_is_no_store_is_one_error(archive: Path, answer: Answer, url: str, words: str) -> None:
    pytest.importorskip("fsspec", reason="needs the batch extra")
    with pytest.raises(BatchError, match=words):
        answer(url)
    with pytest.raises(BatchError, match=words):
        answer(archive, out=url)


def test_a_store_that_lets_nobody_in_is_one_error(
    bucket: str, archive: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nowhere")
    remote.file_system("s3").clear_instance_cache()
    remote.file_system.cache_clear()
    with pytest.raises(BatchError, match=r"in: the store cannot be used \(NoCredentialsError\)"):
        answer(f"s3://{bucket}/in")
    with pytest.raises(BatchError, match=r"out: the store cannot be used \(NoCredentialsError\)"):
        answer(archive, out=f"s3://{bucket}/out")


def test_a_scheme_without_its_package() -> None:
    assert remote.is_remote("gs://bucket/folder")
    assert not remote.is_remote("C://folder".replace("//", "\\"))
    assert not remote.is_remote("folder/image.png")
    with pytest.raises(MissingExtraError, match="dropbox://"):
        remote.file_system("dropbox")


@pytest.fixture
def memory() -> Iterator[Any]:
    """An object store in this process."""
    pytest.importorskip("fsspec", reason="needs the batch extra")
    system = remote.file_system("memory")
    system.store.clear()
    yield system
    system.store.clear()


def test_hidden_folders_and_objects_of_a_store_stay_out(memory: Any) -> None:
    for key in ("in/a.png", "in/.b.png", "in/.hidden/c.png", "in/sub/.x/d.png", "in/sub/e"):
        memory.pipe_file(f"/{key}", b"data")
    found = list(remote.remote_items("memory://in"))
    assert [(one.kind, one.path.rpartition("in")[2], one.names) for one in found] == [
        ("file", "/a.png", ()), ("dicom_members", "/sub", ("e",)),
    ]  # fmt: skip


def test_an_object_is_fetched_up_to_the_limit_and_not_beyond(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MAX_FILE_BYTES", 8)
    memory.pipe_file("/in/fits", b"12345678")
    memory.pipe_file("/in/larger", b"123456789")
    assert remote.fetch("memory://in/fits") == b"12345678"
    with pytest.raises(LimitExceededError, match=r"memory://in/larger: is larger than the limit"):
        remote.fetch("memory://in/larger")
    with pytest.raises(MissingInputError, match=r"memory://in/gone: no such object"):
        remote.fetch("memory://in/gone")


def test_a_folder_of_a_store_is_kept_only_as_far_as_there_is_room(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MAX_FILE_BYTES", 8)
    for name in "abc":
        memory.pipe_file(f"/in/{name}", name.encode() * 4)
    folder = remote.RemoteFolder("memory://in")
    assert folder.head("a", 2) == b"aa"
    assert [folder.read(name) for name in "abc"] == [b"aaaa", b"bbbb", b"cccc"]
    memory.store.clear()
    assert [folder.read(name) for name in "ab"] == [b"aaaa", b"bbbb"], "these were kept"
    with pytest.raises(MissingInputError):
        folder.read("c")
