"""Ray schedules; what is committed is the same."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.batch.conftest import Answer, parts, visible

from tumorlens.batch.columns import Tally
from tumorlens.batch.discovery import Discovery
from tumorlens.batch.items import chunks
from tumorlens.batch.local import LocalEngine
from tumorlens.batch.run import Batch, Options
from tumorlens.batch.worker import Setup, identity
from tumorlens.bundle import load
from tumorlens.errors import BatchError, TumorlensError

pytest.importorskip("ray", reason="needs the ray extra")
from tumorlens.batch.on_ray import RayEngine

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "can be reached there (Connection refused)"),
        ("ray://[::1]:1", "can be reached there"),
        ("nonsense", "Ray cannot be started or joined (Invalid address format: nonsense)"),
        ("auto", "Ray cannot be started or joined (Could not find any running Ray instance"),
    ],
)
def test_an_address_without_a_cluster_is_one_error(address: str, words: str) -> None:
    """Before the others: once Ray runs in this process, it joins no other cluster."""
    with pytest.raises(BatchError) as caught:
        RayEngine(1, address)
    assert words in str(caught.value)


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """Two actors, in a cluster of this machine alone."""
    import ray

    # By default they give way to everything else on the machine, which a busy one never ends.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        yield RayEngine(2)
    ray.shutdown()


def test_the_same_parts_as_local_processes(
    engine: RayEngine, archive: Path, answer: Answer, once: dict[str, bytes], tmp_path: Path
) -> None:
    found = answer(archive, engine=engine)
    assert (found.complete, found.tally.errors) == (True, {"corrupt": 1})
    assert parts(tmp_path / "out") == once
    assert answer(archive, engine=engine).runs[0].answered == 0


def test_an_actor_that_is_killed_is_replaced(
    engine: RayEngine, archive: Path, tiny_bundle: Path, once: dict[str, bytes], tmp_path: Path
) -> None:
    options = Options(source=str(archive), out=str(tmp_path / "out"), bundle=str(tiny_bundle))
    killed: list[int] = []

    def watch(_: Tally) -> None:
        if len(killed) < 2:
            pid = next(pid for pid in actors() if pid not in killed)
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    found = Batch(options).run(engine, watch)
    assert len(killed) == 2
    assert found.tally.errors == {"corrupt": 1}
    assert visible(parts(tmp_path / "out")) == once


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": "other"}, "the bundle is not the same on all machines"),
        ({"out": "/dev/null"}, "no answers can be written (/dev/null/records: Not a directory)"),
    ],
)
def test_what_ends_a_batch_is_said_as_by_local_processes(
    engine: RayEngine, archive: Path, tiny_bundle: Path, change: dict[str, str], words: str
) -> None:
    bundle = load(str(tiny_bundle))
    usual = {"bundle": str(tiny_bundle), "plane": "axial", "key": identity(bundle, "axial")}
    setup = Setup(**({"out": "/dev/null"} | usual | change))
    for one in (engine, LocalEngine(1)):
        with pytest.raises(TumorlensError) as caught:
            list(one.run(setup, chunks(Discovery(str(archive)))))
        assert str(caught.value).endswith(words)


def actors() -> list[int]:
    """Processes of this machine that are one of our actors."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                title = (place / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::") and b"_Actor" in title:
                found.append(int(place.name))
    return found
