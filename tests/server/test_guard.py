"""Who is let in, what goes out with every answer, and what the log keeps to itself."""

import logging

import httpx
import pytest
from tests.server.wire import Start, connect, wait_until

from tumorlens.server.predictor import Predictor
from tumorlens.server.settings import Limits, Settings, is_loopback

ROUTE = "/v1/predictions"
TOKENS = ("a-first-long-token", "a-second-long-token")


def test_every_answer_has_the_security_headers(client: httpx.Client) -> None:
    for path in ("/", "/v1/models", "/nowhere", "/docs", "/openapi.json", "/healthz"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        assert "'unsafe-eval'" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


def test_head_is_answered_as_get_without_the_body(client: httpx.Client) -> None:
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/v1/models", "/nowhere"):
        whole, head = client.get(path), client.head(path)
        assert head.status_code == whole.status_code
        assert head.headers["content-length"] == str(len(whole.content))
        assert head.headers["content-type"] == whole.headers["content-type"]
        assert head.content == b""
    assert client.head("/metrics").status_code == 200
    assert client.head(ROUTE).status_code == 405
    assert 'method="HEAD",route="/healthz",status="200"' in client.get("/metrics").text


def test_tokens(start: Start, image: bytes) -> None:
    with start(tokens=TOKENS) as url, httpx.Client(base_url=url) as client:
        for path in ("/healthz", "/readyz", "/docs"):
            assert client.get(path).status_code == 200
        for value in ("", "Bearer", "Bearer wrong", "Basic " + TOKENS[0], TOKENS[0]):
            headers = {"authorization": value} if value else {}
            for path in ("/v1/models", "/metrics"):
                refused = client.get(path, headers=headers)
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"] == "Bearer"
                assert refused.json()["type"] == "urn:tumorlens:problem:unauthorized"
            files = {"files": ("a.png", image)}
            assert client.post(ROUTE, files=files, headers=headers).status_code == 401
        for token in TOKENS:
            headers = {"authorization": f"Bearer {token}"}
            assert client.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "localhost.evil.example", "", "[::2]:80", "127.0.0.1:80@evil.example",
        "127.0.0.1:x", "localhost:", "localhost:1:2", "[::1]evil", "localhost/", "user@localhost",
    ],
)  # fmt: skip
def test_unknown_host_names_are_refused(client: httpx.Client, host: str) -> None:
    answer = client.get("/v1/models", headers={"host": host})
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:tumorlens:problem:unknown_host"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:8000"])
def test_loopback_names_are_known(client: httpx.Client, host: str) -> None:
    assert client.get("/v1/models", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://localhost/healthz", 200),
        ("HTTP://LOCALHOST:8000/healthz", 200),
        ("http://localhost", 200),
        ("http://localhost/none", 404),
        ("http://evil.example/healthz", 400),
        ("http://me@localhost/healthz", 400),
        ("http:///healthz", 400),
    ],
)
def test_a_whole_url_may_be_asked_for(client: httpx.Client, target: str, status: int) -> None:
    """RFC 9112, 3.2.2: its host counts, not that of the header."""
    with connect(client) as raw:
        raw.sendall(f"GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        assert int(raw.recv(65536).split()[1]) == status


def test_a_whole_url_may_be_asked_for_behind_a_proxy(start: Start) -> None:
    with start(root_path="/lens") as url, connect(httpx.Client(base_url=url)) as raw:
        raw.sendall(b"GET http://localhost/v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert int(raw.recv(65536).split()[1]) == 200


def test_allowed_hosts(start: Start) -> None:
    with start(allowed_hosts=("scanner.example",)) as url:
        for host, status in (("scanner.example", 200), ("other.example", 400)):
            answer = httpx.get(f"{url}/healthz", headers={"host": host})
            assert answer.status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "unheard-of"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "file://"}, 403),
        ({"origin": "http://localhost:1", "host": "localhost:2"}, 403),
        ({"origin": "http://localhost", "host": "localhost:8000"}, 403),
        ({"origin": "http://evil@localhost:2", "host": "localhost:2"}, 403),
        ({"origin": "http://localhost:2", "host": "localhost:2"}, 200),
        ({"origin": "http://localhost", "host": "localhost:80"}, 200),
        ({"origin": "https://localhost", "host": "localhost"}, 200),
        ({"origin": "https://public.example", "sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_pages_of_other_sites_may_not_ask(
    client: httpx.Client, headers: dict[str, str], status: int
) -> None:
    answer = client.get("/v1/models", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["type"] == "urn:tumorlens:problem:cross_site"


def test_a_proxy_may_change_the_host_of_an_allowed_one(start: Start) -> None:
    with start(allowed_hosts=("public.example",)) as url:
        for origin, status in (("https://public.example", 200), ("https://evil.example", 403)):
            assert httpx.get(f"{url}/v1/models", headers={"origin": origin}).status_code == status


def test_the_log_names_no_file_path_or_query(
    client: httpx.Client, image: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "DOE-JANE-19610203"
    client.post(ROUTE, files={"files": (f"{secret}.png", image)})
    client.post(ROUTE, files={"files": (f"{secret}.png", image[:300])})
    client.get(f"/v1/{secret}", params={"patient": secret})
    client.get("/v1/models", headers={"authorization": f"Bearer {secret}", "user-agent": secret})
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith("http")]
    assert any("POST /v1/predictions 200" in line for line in ours)
    assert any("GET unmatched 404" in line for line in ours)
    assert not any(secret in line for line in ours)
    assert secret not in client.get("/metrics").text


def test_an_unexpected_error_is_a_500_that_tells_nothing(
    client: httpx.Client,
    image: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def explode(*_: object, **__: object) -> None:
        raise RuntimeError("DOE-JANE broke it")

    monkeypatch.setattr(Predictor, "records", explode)
    answer = client.post(ROUTE, files={"files": ("a.png", image)})
    assert answer.status_code == 500
    assert answer.json()["detail"] == "an internal error"
    # The answer goes out before the log is written.
    wait_until(lambda: any(r.levelno == logging.ERROR for r in caplog.records))
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "RuntimeError at explode:" in line
    assert "DOE" not in caplog.text
    monkeypatch.undo()
    assert client.post(ROUTE, files={"files": ("a.png", image)}).status_code == 200


def test_settings() -> None:
    assert Settings().host == "127.0.0.1"
    assert is_loopback("127.0.0.9")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("scanner.example")
    with pytest.raises(ValueError, match="room for one request"):
        Limits(files=10, queue_images=9)
