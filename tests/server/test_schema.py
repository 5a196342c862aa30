"""The OpenAPI document is complete: a generator of requests finds no undocumented answer."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.server.wire import Start


def test_document(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    wanted = {"/v1/predictions", "/v1/models", "/healthz", "/readyz", "/metrics"}
    wanted |= {"/v1/studies"}
    assert set(document["paths"]) == wanted
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["description"]
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert set(response["content"]) == {"application/problem+json"}


def test_schemathesis_finds_nothing(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="needs the dev extra")
    # What an image is, no schema can say: random bytes in the right form are a documented 422.
    (tmp_path / "schemathesis.toml").write_text(
        '[checks.positive_data_acceptance]\nexpected-statuses = ["2xx", 422]\n'
    )
    program = Path(sys.executable).parent / "schemathesis"
    with start(limits={"body_seconds": 5.0}) as url:
        found = subprocess.run(
            [str(program), "run", f"{url}/openapi.json", "--max-examples", "25", "--seed", "1",
             "--phases", "examples,coverage,fuzzing", "--no-color"],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
    assert found.returncode == 0, found.stdout[-6000:]
