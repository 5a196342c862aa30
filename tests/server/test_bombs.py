"""What is built to hang, fill or hold the server costs whoever sends it, and nobody else."""

import functools
import io
import select
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import numpy as np
import pytest
from tests.server.made import nifti
from tests.server.wire import CONTENT_TYPE, END, Start, connect, part, wait_until

IMAGES = "/v1/predictions"
STUDIES = "/v1/studies"


def elements(count: int) -> bytes:
    """A DICOM file of many empty elements, which a reader takes long over."""
    numbers = np.arange(count)
    body = np.zeros(count, dtype=[("group", "<u2"), ("element", "<u2"), ("length", "<u4")])
    body["group"], body["element"] = 9 + 2 * (numbers // 65536), numbers % 65536
    return bytes(128) + b"DICM" + body.tobytes()


@functools.cache
def bomb() -> bytes:
    """Small, and valid: a volume whose 4,096 slices take long to answer for."""
    ring = (100 + 99 * np.sin(np.hypot(*np.mgrid[-32:32, -32:32]) / 2)).astype(np.uint8)
    return nifti(np.tile(ring, (4096, 1, 1)), "LPS", compressed=True)


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


@contextmanager
def sending(client: httpx.Client, route: str, body: bytes, times: int) -> Iterator[None]:
    """Clients that have sent ``body`` and wait; none of them may be answered meanwhile."""
    head = (
        f"POST {route} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {CONTENT_TYPE}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(client)) for _ in range(times)]
        for raw in clients:
            raw.sendall(head.encode() + body)
        yield
        assert not select.select(clients, [], [], 0)[0], "a bomb was no bomb"


@pytest.fixture(scope="module")
def server(start: Start) -> Iterator[httpx.Client]:
    limits = {"file_seconds": 600.0, "study_seconds": 600.0}
    with start(limits=limits) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def test_a_file_that_takes_too_long_is_a_422_that_says_so(start: Start, image: bytes) -> None:
    limits = {"file_seconds": 0.05, "mib_seconds": 0.0}
    with start(limits=limits) as url, httpx.Client(base_url=url, timeout=60) as client:
        answer = client.post(IMAGES, files={"files": ("slow.nii.gz", bomb())})
        assert answer.status_code == 422
        assert answer.json()["type"] == "urn:tumorlens:problem:no_usable_file"
        (record,) = answer.json()["predictions"]
        assert record["path"] == "slow.nii.gz"
        assert record["error"]["kind"] == "deadline"
        assert answer.json()["detail"] == record["error"]["message"]
        assert "slow.nii.gz: reading it took more than 0.05 s" in answer.json()["detail"]
        wait_until(lambda: client.get("/healthz").status_code == 200)
        assert "error_deadline" in client.get("/metrics").text


def test_images_and_health_are_answered_while_bombs_are_sent(
    server: httpx.Client, image: bytes
) -> None:
    """Three clients with two bombs each, for two workers: the bombs wait, not the images."""
    body = b"".join(part(bomb(), b"%d.nii.gz" % k) for k in range(2)) + END
    with sending(server, IMAGES, body, 3):
        wait_until(lambda: "tumorlens_queue_pictures 6.0" in server.get("/metrics").text)
        for _ in range(3):
            answer = server.post(IMAGES, files={"files": ("a.png", image)})
            assert answer.status_code == 200
            assert server.get("/healthz").status_code == 200


def test_a_study_is_answered_while_another_is_a_bomb(server: httpx.Client, image: bytes) -> None:
    archive = zipped(**{f"{k}.nii.gz": bomb() for k in range(3)})
    with sending(server, STUDIES, part(archive, b"bomb.zip") + END, 2):
        wait_until(lambda: "tumorlens_queue_pictures 2.0" in server.get("/metrics").text)
        answer = server.post(STUDIES, files={"files": ("good.zip", zipped(**{"a.png": image}))})
        assert answer.status_code == 200


def test_a_study_past_its_deadline_keeps_what_was_answered(start: Start, image: bytes) -> None:
    """However many of the bombs this machine answers in time: the next is late, the rest unread."""
    files = {"000.png": image} | {f"{k:03d}.nii.gz": bomb() for k in range(1, 100)}
    limits = {"study_seconds": 3.0, "mib_seconds": 0.0}
    with start(workers=1, limits=limits) as url:
        sent = {"files": ("s.zip", zipped(**files))}
        answer = httpx.post(f"{url}{STUDIES}", files=sent, timeout=60)
    assert answer.status_code == 200
    *answered, late, rest = answer.json()["predictions"]
    assert [record["path"] for record in (*answered, late)] == [
        f"s.zip/{name}" for name in list(files)[: len(answered) + 1]
    ]
    assert answered
    assert all("decision" in record for record in answered)
    assert late["error"]["kind"] == rest["error"]["kind"] == "deadline"
    unread = len(files) - len(answered) - 1
    assert rest["error"]["message"] == f"study: {unread} of its {len(files)} inputs were not read"


def test_what_a_client_that_left_has_asked_for_is_not_done(start: Start, image: bytes) -> None:
    limits = {"file_seconds": 600.0}
    with start(workers=1, limits=limits) as url, httpx.Client(base_url=url, timeout=60) as client:
        body = b"".join(part(bomb(), b"%d.nii.gz" % k) for k in range(50)) + END
        with sending(client, IMAGES, body, 1):
            wait_until(lambda: "tumorlens_queue_pictures 50.0" in client.get("/metrics").text)
        wait_until(lambda: "tumorlens_queue_pictures 0.0" in client.get("/metrics").text)
        assert client.post(IMAGES, files={"files": ("a.png", image)}).status_code == 200
        assert 'tumorlens_refusals_total{reason="gone"} 1.0' in client.get("/metrics").text


def test_a_file_that_needs_more_memory_than_allowed_is_refused(start: Start, image: bytes) -> None:
    limits = {"worker_bytes": 24 << 20}
    with start(workers=1, limits=limits) as url, httpx.Client(base_url=url, timeout=60) as client:
        sent = [("files", ("large.nii.gz", bomb())), ("files", ("a.png", image))]
        answer = client.post(IMAGES, files=sent)
        assert answer.status_code == 200
        large, good = answer.json()["predictions"]
        assert large["error"]["kind"] in {"limit", "crashed"}
        assert good["decision"]


def test_many_elements_are_refused(server: httpx.Client) -> None:
    answer = server.post(IMAGES, files={"files": ("a.dcm", elements(3_000_000))})
    assert answer.json()["predictions"][0]["error"]["kind"] == "limit"
