"""Health, metrics, models, documentation, and a shutdown that loses nothing."""

import os
import signal
import socket
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.server.wire import (
    CONTENT_TYPE,
    END,
    ServerProcess,
    Start,
    part,
    read_answer,
    wait_for_refusal,
)

ROUTE = "/v1/predictions"
TOKENS = ("a-first-long-token",)


def test_health(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_models(client: httpx.Client) -> None:
    body = client.get("/v1/models").json()
    (model,) = body["models"]
    assert (model["name"], model["image_size"], len(model["sha256"])) == ("tiny", 64, 64)
    assert body["features"] == {"studies": True}


def test_metrics(start: Start, image: bytes) -> None:
    with start() as url, httpx.Client(base_url=url) as client:
        client.post(ROUTE, files={"files": ("a.png", image)})
        client.post(ROUTE, files={"files": ("a.png", b"junk")})
        client.get("/nowhere")
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert found["tumorlens_requests_total", "/v1/predictions", "200", "POST"] == 1
    assert found["tumorlens_requests_total", "404", "GET", "unmatched"] == 1
    assert found["tumorlens_pictures_total", "classified"] == 1
    assert found["tumorlens_pictures_total", "error_unsupported_format"] == 1
    assert found["tumorlens_refusals_total", "no_usable_file"] == 1
    assert found["tumorlens_workers",] >= 1
    assert found["tumorlens_request_seconds_count", "/v1/predictions"] == 2
    assert found["tumorlens_queue_pictures",] == 0


def test_docs_name_every_route_and_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs").text
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in page
    assert "https://" not in page
    assert "<script" not in page


def test_root_path(start: Start) -> None:
    with start(root_path="/imaging") as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
        document = httpx.get(f"{url}/openapi.json").json()
        assert document["servers"] == [{"url": "/imaging"}]
        assert httpx.get(f"{url}/v1/models").status_code == 200
    with start(root_path="/imaging", tokens=TOKENS) as url:
        assert httpx.get(f"{url}/v1/models").status_code == 401
        assert httpx.get(f"{url}/imaging/v1/models").status_code in {401, 404}


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_terminated_server_answers_what_it_accepted(tiny_bundle: Path, image: bytes) -> None:
    """SIGTERM while half of a request has arrived: the other half is taken and answered."""
    server = ServerProcess(tiny_bundle)
    host, _, port = server.url.rpartition("/")[2].partition(":")
    body = part(image) + END
    head = (
        f"POST {ROUTE} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {CONTENT_TYPE}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        raw.sendall(head.encode() + body[:100])
        # Wait until the server has the first half in hand: it counts as an image in the queue.
        wait_for_queue(f"http://{host}:{port}")
        server.process.send_signal(signal.SIGTERM)
        wait_for_refusal(host, int(port))
        raw.sendall(body[100:])
        status, answer = read_answer(raw)
    assert status == 200
    assert "predictions" in answer
    # Uvicorn, when it has finished, ends by the signal that it was sent.
    assert server.wait() == -signal.SIGTERM
    assert any("POST /v1/predictions 200" in line for line in server.lines)
    assert not any("Traceback" in line for line in server.lines)


def wait_for_queue(url: str) -> None:
    for _ in range(500):
        if "tumorlens_queue_pictures 1.0" in httpx.get(f"{url}/metrics").text:
            return
    raise AssertionError("the request never arrived")
