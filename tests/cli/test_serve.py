"""``tumorlens serve`` and ``tumorlens web``: what they refuse, and what they write."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tumorlens.cli import serve, web
from tumorlens.errors import install_command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "use --token-file, or --open"),
        (["--host", "scanner.example"], "use --token-file, or --open"),
        (["--max-files", "100", "--queue", "99"], "--max-files must not be more than --queue"),
        (["--port", "70000"], "70000"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str) -> None:
    found = CliRunner().invoke(serve.command, arguments)
    assert found.exit_code == 2
    assert words in " ".join(found.output.split())


@pytest.mark.parametrize(
    "text",
    ["", "# a comment\n", "short\n", "a-long-enough-token-1\nshort",
     "a-long-enough-tökén"],
)  # fmt: skip
def test_weak_tokens_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text, encoding="utf-8")
    found = CliRunner().invoke(serve.command, ["--token-file", str(path)])
    assert found.exit_code == 2
    assert "at least 16 characters" in found.output


def test_a_token_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(b"\xef\xbb\xbfa-long-enough-token-1\r\n")
    # Read before the usage error that keeps it from starting.
    wrong = ["--max-files", "2", "--queue", "1"]
    found = CliRunner().invoke(serve.command, ["--token-file", str(path), *wrong])
    assert "--max-files must not be" in " ".join(found.output.split())


def test_without_the_extra_it_says_what_to_install() -> None:
    """In an interpreter that cannot find the extra's packages."""
    script = """
import sys
sys.modules["uvicorn"] = None
sys.argv = ["tumorlens", "serve"]
from tumorlens.cli.main import main
main()
"""
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert found.returncode == 5
    assert install_command("serve") in found.stderr
    assert "Traceback" not in found.stderr


def test_an_address_in_use_is_one_line(tiny_bundle: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "tumorlens", "serve", "--bundle", str(tiny_bundle)]
        found = subprocess.run(
            [*command, "--port", port], capture_output=True, text=True, check=False, timeout=60
        )
    assert found.returncode == 1
    assert "Traceback" not in found.stderr
    assert f"port {port} of 127.0.0.1 is in use" in found.stderr
    assert "--port" in found.stderr


def test_web_build(tmp_path: Path, tiny_bundle: Path) -> None:
    folder = tmp_path / "site"
    found = CliRunner().invoke(web.command, ["build", str(folder), "--bundle", str(tiny_bundle)])
    assert found.exit_code == 0
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    wanted = {"index.html", "main.js", "worker.js", "style.css", "licences.txt"}
    wanted |= {"ort-wasm-simd-threaded.wasm", "model/model.onnx", "model/bundle.json"}
    assert wanted <= names
    assert (folder / "model" / "model.onnx").read_bytes() == (
        tiny_bundle / "model.onnx"
    ).read_bytes()
    assert (folder / "ort-wasm-simd-threaded.wasm").read_bytes()[:4] == b"\0asm"
    assert "https://" not in (folder / "index.html").read_text("utf-8")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_endless_tokens_are_refused() -> None:
    found = CliRunner().invoke(serve.command, ["--token-file", "/dev/zero"])
    assert found.exit_code == 2
    assert "is larger than" in found.stderr
