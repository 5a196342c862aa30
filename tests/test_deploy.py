"""What compose.yaml and the examples of reverse proxies describe, as processes on loopback."""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="needs the pacs extra")
pytest.importorskip("uvicorn", reason="needs the serve extra")
yaml = pytest.importorskip("yaml", reason="needs PyYAML, which the extra dev brings")

from tests.pacs.machines import PROGRAM, Authority, Orthanc, free_port, until  # noqa: E402

_ROOT = Path(__file__).parents[1]
_TOKEN = "a-token-that-is-long-enough"
Run = Callable[[Sequence[str]], "subprocess.Popen[bytes]"]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with ExitStack() as stack:

        def start(command: Sequence[str]) -> "subprocess.Popen[bytes]":
            log = stack.enter_context((tmp_path / "log").open("ab"))
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)

            def end() -> None:
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

            stack.callback(end)
            return process

        yield start


def _compose() -> dict[str, Any]:
    with (_ROOT / "compose.yaml").open() as file:
        services: dict[str, Any] = yaml.safe_load(file)["services"]
    return services


def _containerfile(word: str) -> Any:
    """The last JSON list that follows ``word`` in the Containerfile."""
    text = (_ROOT / "Containerfile").read_text()
    return json.loads(re.findall(rf"^{word} (\[.*\])$", text, re.MULTILINE)[-1])


def _get(url: str, context: ssl.SSLContext | None = None, **headers: str) -> bytes | None:
    """The body; None while nobody answers."""
    asked = urllib.request.Request(url, headers=headers)
    with suppress(OSError), urllib.request.urlopen(asked, timeout=60, context=context) as answer:
        body: bytes = answer.read()
        return body
    return None


def _command(parts: Sequence[str], changes: dict[str, str], *more: str) -> list[str]:
    """The command as a process of this interpreter, with other ports and paths."""
    text = json.dumps(["-m", *parts, *more])
    for old, new in changes.items():
        assert old in text, f"{old} is not in {text}"
        text = text.replace(old, new)
    return [sys.executable, *json.loads(text)]


def test_the_image_holds_what_the_services_need() -> None:
    text = (_ROOT / "Containerfile").read_text()
    assert "'.[serve,pacs,dicom]'" in text
    services = _compose()
    volume = services["node"]["volumes"][0].split(":")[1]
    assert f"--spool={volume}" in services["node"]["command"]
    assert f"install -d -o tumorlens -g tumorlens -m 0700 {volume}" in text
    for source in services["orthanc"]["volumes"][1:]:
        assert (_ROOT / source.split(":")[0]).is_file()


def test_an_image_sent_to_orthanc_is_answered_by_the_node_beside_it(
    run: Run, tmp_path: Path, tiny_bundle: Path, write_series: Callable[..., list[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if not Path(PROGRAM).exists():
        pytest.skip("needs Orthanc (Debian package orthanc)")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    services = _compose()
    node_port, http, dicom, health, web = (free_port() for _ in range(5))
    # The page and the HTTP interface.
    (tmp_path / "tokens").write_text(_TOKEN)
    server = services["tumorlens"]
    run(_command(
        [*_containerfile("ENTRYPOINT"), *server["command"]],
        {"0.0.0.0": "127.0.0.1", '"8000"': f'"{web}"',
         "/run/secrets/tokens": str(tmp_path / "tokens")},
        "--bundle", str(tiny_bundle),
    ))  # fmt: skip
    # The node.
    described = services["node"]
    run(_command(
        [*described["entrypoint"], *described["command"]],
        {"--host=0.0.0.0": "--host=127.0.0.1", "--port=11112": f"--port={node_port}",
         "ORTHANC@orthanc:4242": f"ORTHANC@127.0.0.1:{dicom}",
         "/var/lib/tumorlens": str(tmp_path / "spool"),
         "--http-port=8080": f"--http-port={health}"},
        "--bundle", str(tiny_bundle), "--quiet-seconds", "1",
    ))  # fmt: skip
    # Orthanc, as the mounted files set it up.
    settings = json.loads((_ROOT / "deploy" / "orthanc.json").read_text())
    assert settings["DicomModalities"]["tumorlens"] == {
        "AET": "TUMORLENS", "Host": "node", "Port": 11112,
    }  # fmt: skip
    settings |= {
        "StorageDirectory": str(tmp_path / "db"), "IndexDirectory": str(tmp_path / "db"),
        "HttpPort": http, "DicomPort": dicom, "RemoteAccessAllowed": False,
        "LuaScripts": [str(_ROOT / "deploy" / "orthanc.lua")],
        "DicomModalities": {
            "tumorlens": {"AET": "TUMORLENS", "Host": "127.0.0.1", "Port": node_port}
        },
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    run([PROGRAM, str(tmp_path / "orthanc.json")])

    until(lambda: _get(f"http://127.0.0.1:{health}/healthz"))
    until(lambda: _get(f"http://127.0.0.1:{web}/healthz"))
    orthanc = Orthanc.__new__(Orthanc)
    orthanc.url = f"http://127.0.0.1:{http}"
    until(lambda: _get(orthanc.url + "/system"))
    for data in write_series(3):
        orthanc.call("/instances", data)
    orthanc.wait_for("SR", 1)
    orthanc.wait_for("OT", 1)
    metrics = _get(f"http://127.0.0.1:{health}/metrics") or b""
    assert b'tumorlens_pacs_events_total{event="received"} 3' in metrics
    # The answers are not sent back to the node.
    assert b'event="refused"' not in metrics
    assert os.stat(tmp_path / "spool").st_mode & 0o077 == 0  # noqa: PTH116


@pytest.fixture
def served(run: Run, tmp_path: Path, tiny_bundle: Path) -> int:
    """Port of a server for the host ``scanner.example``."""
    port = free_port()
    (tmp_path / "tokens").write_text(_TOKEN)
    run([
        sys.executable, "-m", "tumorlens", "serve", "--port", str(port), "--bundle",
        str(tiny_bundle), "--token-file", "tokens", "--allowed-host", "scanner.example",
    ])  # fmt: skip
    until(lambda: _get(f"http://127.0.0.1:{port}/healthz"))
    return port


def _ask(url: str, context: ssl.SSLContext | None = None) -> bytes:
    """By the name that the server is offered under."""
    asked = {"Host": "scanner.example", "Authorization": f"Bearer {_TOKEN}"}
    found: bytes = until(lambda: _get(url + "/v1/models", context, **asked))
    assert _get(url + "/v1/models", context, **(asked | {"Host": "other.example"})) is None
    return found


def test_nginx_before_the_server(run: Run, served: int, tmp_path: Path, ours: Authority) -> None:
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        pytest.skip("needs nginx (Debian package nginx-light)")
    port = free_port()
    text = (_ROOT / "deploy" / "nginx.conf").read_text()
    own = ours.issue(None)
    for old, new in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl", "127.0.0.1:8000": f"127.0.0.1:{served}",
        "/etc/ssl/scanner.example.pem": str(own.certificate),
        "/etc/ssl/scanner.example.key": str(own.key),
    }.items():  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    paths = "".join(
        f"{name}_temp_path {tmp_path}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {paths}\n{text}\n}}"
    )
    run([program, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)])
    context = ssl.create_default_context(cafile=str(ours.file))
    assert b"tiny" in _ask(f"https://127.0.0.1:{port}", context)


def test_caddy_before_the_server(
    run: Run, served: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("needs Caddy (Debian package caddy)")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    port = free_port()
    text = (_ROOT / "deploy" / "Caddyfile").read_text()
    # Without TLS: for its certificate Caddy would ask an authority on the internet.
    for old, new in {
        "scanner.example {": f"http://scanner.example:{port} {{",
        "127.0.0.1:8000": f"127.0.0.1:{served}",
    }.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text)
    run([program, "run", "--config", str(tmp_path / "Caddyfile")])
    asked = {"Host": f"scanner.example:{port}", "Authorization": f"Bearer {_TOKEN}"}
    found = until(lambda: _get(f"http://127.0.0.1:{port}/v1/models", None, **asked))
    assert b"tiny" in found


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")
