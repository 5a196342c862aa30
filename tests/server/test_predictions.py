"""``POST /v1/predictions`` says what ``tumorlens predict`` says, to many clients at once."""

import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.answers import predict_inputs
from tests.server.made import dicom

from tumorlens.imaging import reader
from tumorlens.imaging.raster import encode
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.reporting import records

ROUTE = "/v1/predictions"


def test_the_same_record_as_the_command_line(
    client: httpx.Client, tiny_bundle: Path, tmp_path: Path, image: bytes
) -> None:
    path = tmp_path / "scan.png"
    path.write_bytes(image)
    (expected,) = predict_inputs(Classifier.load(tiny_bundle, threads=1), [path])
    answer = client.post(ROUTE, files={"files": ("scan.png", image)})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["notice"] == RESEARCH_NOTICE
    line = json.loads(records.json_line(expected))
    assert body["predictions"] == [line | {"path": "scan.png", "preview": None}]


def test_many_files_in_their_order_and_a_bad_one_stops_no_other(
    client: httpx.Client, image: bytes, head: NDArray[np.uint8]
) -> None:
    blank = encode.png(np.full_like(head, 9))
    sent = [("a.png", image), ("b.png", image[:400]), ("c.png", blank), ("a.png", image)]
    answer = client.post(ROUTE, files=[("files", one) for one in sent])
    assert answer.status_code == 200
    made = answer.json()["predictions"]
    assert [one["path"] for one in made] == ["a.png", "b.png", "c.png", "a.png"]
    kinds = [one.get("error", {}).get("kind") for one in made]
    assert kinds == [None, "corrupt", "blank", None]


def test_no_usable_file_is_a_problem_that_says_why(client: httpx.Client) -> None:
    answer = client.post(ROUTE, files={"files": ("notes.txt", b"notes")})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == "urn:tumorlens:problem:no_usable_file"
    assert body["detail"].startswith("notes.txt: is not an image")
    assert body["predictions"][0]["error"]["kind"] == "unsupported_format"


@pytest.mark.parametrize("mode", ["grid", "1"])
def test_heatmap(client: httpx.Client, image: bytes, head: NDArray[np.uint8], mode: str) -> None:
    answer = client.post(ROUTE, params={"heatmap": mode}, files={"files": ("a.png", image)})
    (record,) = answer.json()["predictions"]
    heatmap = record["heatmap"]
    assert heatmap["label"] == record["label"]
    assert np.max(heatmap["grid"]) == 1
    assert 0 <= heatmap["peak"]["row"] < head.shape[0]
    if mode == "1":
        with Image.open(io.BytesIO(base64.b64decode(heatmap["overlay_png"]))) as drawn:
            assert min(drawn.size) > 300
    else:
        assert heatmap["overlay_png"] is None


def test_preview_gives_every_intensity_back(client: httpx.Client, head: NDArray[np.uint8]) -> None:
    deep = head.astype(np.uint16) * np.uint16(200) + np.uint16(77)
    files = {"files": ("deep.tif", encode.tiff(deep))}
    answer = client.post(ROUTE, params={"preview": "true"}, files=files)
    preview = answer.json()["predictions"][0]["preview"]
    shown = reader.read_bytes(base64.b64decode(preview["png"])).pixels
    scale = (preview["high"] - preview["low"]) / 65535
    np.testing.assert_allclose(shown * scale + preview["low"], deep, atol=1)
    assert preview["sides"] is None


def test_preview_says_which_side_is_which(client: httpx.Client, head: NDArray[np.uint8]) -> None:
    sagittal = dicom(head.astype(np.uint16), directions="0\\1\\0\\0\\0\\-1")
    files = {"files": ("a.dcm", sagittal)}
    answer = client.post(ROUTE, params={"preview": "true"}, files=files)
    sides = answer.json()["predictions"][0]["preview"]["sides"]
    assert sides == {"left": "A", "right": "P", "top": "H", "bottom": "F"}


def test_concurrent_clients_each_get_their_own_answer(
    client: httpx.Client, head: NDArray[np.uint8]
) -> None:
    """Thirty-two different images at once: each answer is that of its image alone."""
    random = np.random.default_rng(0)
    images = [
        encode.png(np.clip(head + random.normal(0, 30, head.shape), 0, 255).astype(np.uint8))
        for _ in range(32)
    ]

    def ask(place: int) -> dict[str, float]:
        answer = client.post(ROUTE, files={"files": (f"{place}.png", images[place])})
        (record,) = answer.json()["predictions"]
        assert record["path"] == f"{place}.png"
        shares: dict[str, float] = record["probabilities"]
        return shares

    alone = [ask(place) for place in range(32)]
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(ask, range(32))) == alone


def test_names_are_repeated_and_never_opened(client: httpx.Client, image: bytes) -> None:
    names = ["../../etc/passwd", "/etc/shadow", "C:\\con", "a\tb.png", "日本.png", "%00.png", "."]
    answer = client.post(ROUTE, files=[("files", (name, image)) for name in names])
    made = answer.json()["predictions"]
    assert all("label" in one for one in made)
    assert made[0]["path"] == names[0]
    assert made[4]["path"] == names[4]
