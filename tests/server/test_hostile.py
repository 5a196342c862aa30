"""Whatever is sent: a 4xx or 503 in bounded time and memory, and the server lives."""

import base64
import gzip
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.server.wire import (
    BOUNDARY,
    CONTENT_TYPE,
    END,
    Start,
    connect,
    part,
    read_answer,
    request_head,
    wait_until,
)  # fmt: skip

ROUTE = "/v1/predictions"


def post(client: httpx.Client, body: bytes, kind: str = CONTENT_TYPE) -> httpx.Response:
    return client.post(ROUTE, content=body, headers={"content-type": kind})


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["type"].rpartition(":")[2]


@pytest.fixture(scope="module")
def tight(start: Start) -> Iterator[httpx.Client]:
    """A server with small limits."""
    limits = {
        "body_bytes": 1 << 20, "files": 20, "pixels": 100_000, "body_seconds": 1.0,
        "header_seconds": 1.0, "queue_images": 40, "queue_bytes": 4 << 20,
    }  # fmt: skip
    with start(limits=limits) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture(autouse=True)
def lives_on(tight: httpx.Client, image: bytes) -> Iterator[None]:
    yield
    answer = tight.post(ROUTE, files={"files": ("a.png", image)})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("application/json", (415, "unsupported_media_type")),
        ("image/png", (415, "unsupported_media_type")),
        ("", (415, "unsupported_media_type")),
        ("multipart/mixed; boundary=0123456789", (415, "unsupported_media_type")),
        ("multipart/form-data", (400, "malformed")),
        ("multipart/form-data; boundary=", (400, "malformed")),
        ("multipart/form-data; boundary=" + "x" * 300, (400, "malformed")),
    ],
)
def test_wrong_content_types(tight: httpx.Client, kind: str, expected: tuple[int, str]) -> None:
    assert problem(post(tight, part(b"x") + END, kind)) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\x00", END, part(b"x"), part(b"x", field=b"file") + END, b"--" + BOUNDARY,
        b"--" + BOUNDARY + b"\r\n\r\nx\r\n" + END,
        b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n' + END,
        b"--" + BOUNDARY + b"\r\n" + b"X: y\r\n" * 1000 + b"\r\nx\r\n" + END,
        b"--" + BOUNDARY + b"\r\nX: " + b"y" * 100_000 + b"\r\n\r\nx\r\n" + END,
        part(b"x", name=b"n" * 3000) + END,
    ],
)  # fmt: skip
def test_damaged_bodies(tight: httpx.Client, body: bytes) -> None:
    assert problem(post(tight, body)) == (400, "malformed")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (part(b"x", field=b"patient") + END, "the field 'patient' is not known"),
        (part(b"x") + part(b"x", field=b"heatmap") + END, "the field 'heatmap' is not known"),
        (
            b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="files"; '
            b"filename*=UTF-8''a.png\r\n\r\nx\r\n" + END,
            "filename*, which multipart/form-data does not have",
        ),
        (part(b"x", name=b"n" * 1025) + END, "a file name of more than 1024 characters"),
        (part(b"x", name=b"n" * 10_240) + END, "a header of a part has more than 5,120 bytes"),
        (part(b"x", name=b"") + END, "a part of the field 'files' without a file name"),
        (part(b"x", name=b" ") + END, "a part of the field 'files' without a file name"),
        (part(b"x", name=b'a.png"; filename="b.png') + END, "stated twice"),
        (part(b"x", field=b'patient"; NAME="files') + END, "stated twice"),
        (
            part(b"x").replace(b"\r\n\r\n", b"\r\nContent-Disposition: form-data\r\n\r\n", 1) + END,
            "several headers Content-Disposition",
        ),
    ],
)
def test_a_refused_body_says_why(tight: httpx.Client, body: bytes, words: str) -> None:
    answer = post(tight, body)
    assert problem(answer) == (400, "malformed")
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("route", [ROUTE, "/v1/studies"])
@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b"../../etc/passwd", "../../etc/passwd"),
        (b"/etc/passwd", "/etc/passwd"),
        (b"C:\\images\\a.png", "a.png"),  # what browsers of old sent
        (b"a; filename=b.png", "a; filename=b.png"),
        (b"a\0b.png", "a\0b.png"),
        (b"a\x1b[31m.png", "a\x1b[31m.png"),
        (b"\xff.png", "\N{REPLACEMENT CHARACTER}.png"),
        ("\N{GRINNING FACE}".encode() * 1024, "\N{GRINNING FACE}" * 1024),
        (b"study", "study"),
    ],
)
def test_a_name_is_only_repeated(
    tight: httpx.Client, image: bytes, route: str, sent: bytes, name: str
) -> None:
    answer = tight.post(
        route, content=part(image, name=sent) + END, headers={"content-type": CONTENT_TYPE}
    )
    assert answer.status_code == 200
    assert [record["path"] for record in answer.json()["predictions"]] == [name]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("content-type", "application/json")], (400, "malformed")),
        ([("content-encoding", "identity")], None),
        (
            [("content-encoding", "identity"), ("content-encoding", "gzip")],
            (415, "unsupported_media_type"),
        ),
    ],
)
def test_a_header_that_comes_twice(
    tight: httpx.Client, image: bytes, headers: list[tuple[str, str]],
    expected: tuple[int, str] | None,
) -> None:  # fmt: skip
    given = [("content-type", CONTENT_TYPE), *headers]
    answer = tight.post(ROUTE, content=part(image) + END, headers=given)
    assert answer.status_code == 200 if expected is None else problem(answer) == expected


@pytest.mark.parametrize(
    ("route", "name"),
    [
        (f"{ROUTE}?heatmap=1&heatmap=grid", "heatmap"), (f"{ROUTE}?heatmaps=1", "heatmaps"),
        (f"{ROUTE}?preview=true&%00=1", "\\\\x00"), ("/v1/studies?heatmap=1", "heatmap"),
    ],
)  # fmt: skip
def test_parameters_that_would_be_ignored_are_refused(
    tight: httpx.Client, image: bytes, route: str, name: str
) -> None:
    answer = tight.post(route, files={"files": ("a.png", image)})
    assert problem(answer) == (422, "invalid_parameter")
    assert f"query: '{name}' is unknown, or was given twice" in answer.text


def test_two_ways_to_state_the_length_are_refused(tight: httpx.Client) -> None:
    body = part(b"x") + END
    chunked = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    with connect(tight) as raw:
        raw.sendall(request_head(b"content-length: 5", b"transfer-encoding: chunked") + chunked)
        status, answer = read_answer(raw)
        assert (status, answer["type"]) == (400, "urn:tumorlens:problem:malformed")
        assert raw.recv(1) == b""  # what follows may be meant for another


def test_no_address_leads_to_another(tight: httpx.Client) -> None:
    for path in (f"{ROUTE}/", "/healthz/", "//v1/predictions", "/v1/predictions/.."):
        with connect(tight) as raw:
            raw.sendall(b"GET %s HTTP/1.1\r\nhost: localhost\r\n\r\n" % path.encode())
            status, body = read_answer(raw)
        assert (status, body["type"]) == (404, "urn:tumorlens:problem:not_found")


def test_an_encoded_part_is_refused_with_its_reason(tight: httpx.Client, image: bytes) -> None:
    def encoded(name: bytes, data: bytes) -> httpx.Response:
        header = b"\r\nContent-Transfer-Encoding: " + name + b"\r\n\r\n"
        return post(tight, part(data).replace(b"\r\n\r\n", header, 1) + END)

    answer = encoded(b"base64", base64.b64encode(image))
    assert problem(answer) == (400, "malformed")
    assert "Content-Transfer-Encoding" in answer.json()["detail"]
    assert encoded(b"Binary", image).status_code == 200


def test_a_compressed_body_is_refused_with_its_reason(tight: httpx.Client) -> None:
    headers = {"content-type": CONTENT_TYPE, "content-encoding": "gzip"}
    answer = tight.post(ROUTE, content=gzip.compress(part(b"x") + END), headers=headers)
    assert problem(answer) == (415, "unsupported_media_type")
    assert "Content-Encoding" in answer.json()["detail"]


def test_large_bodies_at_once_end_in_503_and_not_in_resets(start: Start) -> None:
    """Four of 12 MiB where 16 are held: whoever has no room sends its body, and is told."""
    limits = {"body_bytes": 16 << 20, "queue_bytes": 16 << 20}
    body = part(bytes(12 << 20)) + END
    with start(workers=1, limits=limits) as url, ThreadPoolExecutor(4) as pool:
        headers = {"content-type": CONTENT_TYPE}

        def ask(_: int) -> int:
            return httpx.post(url + ROUTE, content=body, headers=headers, timeout=60).status_code

        statuses = list(pool.map(ask, range(4)))
    assert set(statuses) <= {422, 503}
    assert 503 in statuses


@given(st.binary(max_size=2000))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_are_a_4xx(tight: httpx.Client, body: bytes) -> None:
    assert post(tight, body).status_code == 400
    assert post(tight, part(body) + END).status_code in {400, 422}


def test_ten_thousand_parts(tight: httpx.Client) -> None:
    assert problem(post(tight, part(b"x") * 10_000 + END)) == (413, "too_large")


def test_a_stated_length_beyond_the_limit_is_refused_unread(tight: httpx.Client) -> None:
    with connect(tight) as raw:
        raw.sendall(request_head(b"content-length: 99999999999"))
        status, body = read_answer(raw)
    assert (status, body["type"]) == (413, "urn:tumorlens:problem:too_large")


def test_an_endless_body_without_a_length_is_cut_off(tight: httpx.Client) -> None:
    """Chunks for as long as the server takes them: it must stop taking them."""
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    sent = 0
    with connect(tight) as raw:
        raw.sendall(request_head(b"transfer-encoding: chunked"))
        first = b"10000\r\n" + part(b"")[:-2].ljust(0x10000, b"x") + b"\r\n"
        raw.sendall(first)
        with suppress(ConnectionError):
            while sent < 1 << 30:
                raw.sendall(chunk)
                sent += len(chunk)
    assert sent < 64 << 20


def test_a_slow_body_is_given_up(tight: httpx.Client) -> None:
    with connect(tight) as raw:
        raw.sendall(request_head(b"content-length: 1000") + b"--0123")
        status, body = read_answer(raw)
        assert (status, body["type"]) == (408, "urn:tumorlens:problem:slow")
        assert raw.recv(1) == b""  # and the connection is closed


@pytest.mark.parametrize("begun", [b"", b"POST /v1/predictions HTTP/1.1\r\nhost: localhost\r\n"])
def test_slow_headers_are_given_up(tight: httpx.Client, begun: bytes) -> None:
    with connect(tight) as raw:
        raw.sendall(begun)
        assert raw.recv(1) == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n",
        request_head(b"content-length: 5", b"content-length: 6"),
        request_head(b"content-length: -5"),
        request_head(b"transfer-encoding: gzip"),
        request_head(b"transfer-encoding: chunked") + b"-1\r\nx",
        request_head(b"transfer-encoding: chunked") + b"5\r\nabcdefg\r\n",
    ],
)
def test_what_is_no_http_is_refused_like_the_rest(tight: httpx.Client, sent: bytes) -> None:
    with connect(tight) as raw:
        raw.sendall(sent + b"\r\n\r\n")
        status, body = read_answer(raw)
    assert (status, body["type"]) == (400, "urn:tumorlens:problem:malformed")


def test_too_many_pixels_are_refused_before_decoding(tight: httpx.Client) -> None:
    out = io.BytesIO()
    Image.new("L", (8000, 8000)).save(out, "PNG")
    assert len(out.getvalue()) < 1 << 20
    answer = post(tight, part(out.getvalue()) + END)
    assert problem(answer) == (422, "no_usable_file")
    assert answer.json()["predictions"][0]["error"]["kind"] == "limit"


def test_full_of_half_sent_requests_it_answers_503_and_recovers(
    tight: httpx.Client, image: bytes
) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            raw = stack.enter_context(connect(tight))
            raw.sendall(request_head(b"content-length: 500000") + part(b"x") * 20)
        wait_until(lambda: tight.get("/readyz").status_code == 503)
        answer = tight.post(ROUTE, files={"files": ("a.png", image)})
        assert problem(answer) == (503, "busy")
        assert int(answer.headers["retry-after"]) >= 1
    wait_until(lambda: tight.get("/readyz").status_code == 200)
    assert "tumorlens_queue_bytes 0.0" in tight.get("/metrics").text


def test_far_beyond_capacity_each_request_gets_an_answer(tight: httpx.Client, image: bytes) -> None:
    """Sixty clients with twenty files each, thirty times what the queue holds."""
    statuses: list[int] = []
    files = [("files", (f"{i}.png", image)) for i in range(20)]

    def ask() -> None:
        with httpx.Client(base_url=tight.base_url, timeout=60) as client:
            statuses.append(client.post(ROUTE, files=files).status_code)

    threads = [threading.Thread(target=ask) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 60
    assert set(statuses) <= {200, 503}
    assert 200 in statuses


def test_memory_does_not_grow(tight: httpx.Client, image: bytes) -> None:
    """Refused bodies of a megabyte, two hundred times: the process keeps none of them."""
    huge = part(np.random.default_rng(0).bytes(900_000)) + END
    files = [("files", (f"{i}.png", image)) for i in range(10)]

    def round_() -> None:
        for _ in range(5):
            assert post(tight, huge).status_code == 422
            assert tight.post(ROUTE, files=files).status_code == 200

    for _ in range(4):
        round_()
    before = resident()
    for _ in range(36):
        round_()
    assert resident() - before < 40 << 20


def resident() -> int:
    """Bytes of this process, which is the server's too, in memory."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        pytest.skip("needs /proc")
    return pages * 4096
