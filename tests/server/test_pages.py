"""The page's files over HTTP: cached by content, compressed for who can take it."""

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tumorlens.server import site

ROOT = Path(__file__).resolve().parents[2]


def test_every_file_has_a_type_and_a_tag(client: httpx.Client) -> None:
    for name, kind in {
        "": "text/html", "main.js": "text/javascript", "style.css": "text/css",
        "favicon.svg": "image/svg+xml", "model/model.onnx": "application/octet-stream",
        "model/bundle.json": "application/json", "examples/glioma.png": "image/png",
    }.items():  # fmt: skip
        found = client.get(f"/{name}")
        assert found.status_code == 200
        assert found.headers["content-type"].startswith(kind)
        again = client.get(f"/{name}", headers={"if-none-match": found.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.head(f"/{name}").headers["content-length"] == str(len(found.content))


def test_what_goes_wrong_is_documented(client: httpx.Client) -> None:
    rows = (ROOT / "docs" / "server.md").read_text("utf-8")
    for answer, kind in (
        (client.get("/nothing"), "not_found"),
        (client.get("/v1/studies"), "method_not_allowed"),
        (client.post("/v1/studies", content=b"x"), "unsupported_media_type"),
    ):
        assert answer.json()["type"] == f"urn:tumorlens:problem:{kind}"
        (row,) = (line for line in rows.splitlines() if f"`{kind}`" in line)
        assert str(answer.status_code) in row


def test_the_example_of_a_study_sends_one(client: httpx.Client) -> None:
    page = client.get("/docs").text
    assert "curl -F files=@study.zip http://127.0.0.1:8000/v1/studies" in page
    assert "curl -F files=@a.png -F files=@b.dcm http://127.0.0.1:8000/v1/predictions" in page


@pytest.mark.parametrize("other", ["identity", "br, gzip;q=0", "gzip; q=0.0, *", "xgzip"])
@pytest.mark.parametrize("accepted", ["gzip", "br;q=1.0, GZIP;q=0.5"])
def test_the_runtime_is_sent_compressed_to_who_can_take_it(
    client: httpx.Client, accepted: str, other: str
) -> None:
    address = "/ort-wasm-simd-threaded.wasm"
    small = client.get(address, headers={"accept-encoding": accepted})
    plain = client.get(address, headers={"accept-encoding": other})
    assert small.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert small.content == plain.content
    assert int(small.headers["content-length"]) < len(plain.content) / 3
    assert plain.headers["content-type"] == "application/wasm"


@pytest.mark.parametrize("path", ["/../pyproject.toml", "/%2e%2e/x", "/model/", "/static/main.js"])
def test_nothing_else_is_served(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_the_pages_vectors_are_what_python_makes_now() -> None:
    """The other side, TypeScript against the same file, is `npm test`."""
    command = [sys.executable, str(ROOT / "scripts" / "vectors.py"), "--check"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


@pytest.mark.slow
def test_the_files_are_what_the_sources_make(tmp_path: Path) -> None:
    """Types, the port's vectors, and a build that equals the files in the package."""
    if shutil.which("npm") is None:
        pytest.skip("needs Node.js and npm")
    work = tmp_path / "frontend"
    ignored = shutil.ignore_patterns("node_modules")
    shutil.copytree(ROOT / "frontend", work, ignore=ignored)
    for bundle in ("default", "phantom"):
        weights = Path("src/tumorlens/weights") / bundle
        shutil.copytree(ROOT / weights, tmp_path / weights)
    installed = run("npm", "ci", "--no-audit", "--no-fund", folder=work)
    if installed.returncode != 0:
        pytest.skip(f"npm ci failed: {installed.stderr[-300:]}")
    for step in (("run", "check"), ("test",), ("run", "build")):
        found = run("npm", *step, folder=work)
        assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]
    built = tmp_path / "src" / "tumorlens" / "server" / "static"
    shipped = ROOT / "src" / "tumorlens" / "server" / "static"
    assert files(built) == files(shipped), "run scripts/frontend and commit what it builds"


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which(command[0])
    assert program is not None
    return subprocess.run(
        [program, *command[1:]], cwd=folder, capture_output=True, text=True, check=False
    )


def files(folder: Path) -> dict[str, bytes]:
    """Contents by name; compressed files by what they hold: compressors differ."""
    return {
        path.relative_to(folder).as_posix(): (
            gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_static_files_are_in_the_package() -> None:
    from tumorlens import bundle

    names = set(site.assets(bundle.load("phantom")))
    assert {"index.html", "main.js", "worker.js", "style.css"} <= names
