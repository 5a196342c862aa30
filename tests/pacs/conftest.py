"""A real PACS, Orthanc, and our node as a process of its own, both on loopback."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("pynetdicom", reason="needs the pacs extra")

from tests.pacs.machines import PROGRAM, Authority, Node, Orthanc, free_port

from tumorlens.pacs.spool import Spool


@pytest.fixture
def make_study(
    tmp_path: Path, write_dicom: Callable[..., bytes], head: NDArray[np.uint8]
) -> Callable[[int], Path]:
    """Writes the study of a number, one image, and gives its path."""

    def make(number: int) -> Path:
        path = tmp_path / f"study{number}"
        uids = {
            f"{level}InstanceUID": f"1.2.{number}{end}"
            for level, end in (("Study", ""), ("Series", ".1"), ("SOP", ".1.1"))
        }
        path.write_bytes(write_dicom(head, **uids))
        return path

    return make


@pytest.fixture
def node_port() -> int:
    return free_port()


@pytest.fixture
def start_orthanc(tmp_path: Path) -> Iterator[Callable[..., Orthanc]]:
    if not Path(PROGRAM).exists():
        pytest.skip("needs Orthanc (Debian package orthanc)")
    with ExitStack() as running:

        def start(*arguments: Any) -> Orthanc:
            server = Orthanc(tmp_path, *arguments)
            running.callback(server.stop)
            return server

        yield start


@pytest.fixture
def orthanc(start_orthanc: Callable[..., Orthanc], node_port: int) -> Orthanc:
    return start_orthanc(node_port)


@pytest.fixture
def start_node(tmp_path: Path, tiny_bundle: Path) -> Iterator[Callable[..., Node]]:
    with ExitStack() as running:

        def start(send_to: str, port: int = 0, *options: str) -> Node:
            node = Node(tmp_path, tiny_bundle, send_to, port, *options)
            running.callback(node.end)
            return node

        yield start


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def others(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "others")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MiB of its own, where root may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)]
    try:
        subprocess.run(mounting, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs the right to mount a tmpfs ({error})")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
