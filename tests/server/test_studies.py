"""``POST /v1/studies``: a series is answered as ``predict`` answers it."""

import io
import json
import tempfile
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.imaging import written
from tests.server.made import dicom, nifti

ROUTE = "/v1/studies"


@pytest.fixture(scope="module")
def series(head: NDArray[np.uint8]) -> dict[str, bytes]:
    """Eight slices of one series, named in a wrong order."""
    random = np.random.default_rng(0)
    return {
        f"DOE^JANE/{7 - place}": dicom(
            np.clip(head + random.normal(0, 20, head.shape), 0, 255).astype(np.uint16),
            position=4.0 * place,
        )
        for place in range(8)
    }


@pytest.mark.parametrize("packed", [False, True])
def test_a_series_is_answered_as_a_whole(
    client: httpx.Client, series: dict[str, bytes], packed: bool
) -> None:
    if packed:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, data in series.items():
                archive.writestr(name, data)
        files = [("files", ("study.zip", out.getvalue()))]
    else:
        files = [("files", (name, data)) for name, data in series.items()]
    before = set(Path(tempfile.gettempdir()).glob("tumorlens-*"))
    answer = client.post(ROUTE, files=files)
    assert answer.status_code == 200, answer.text
    (record,) = answer.json()["predictions"]
    assert len(record["slices"]) == 8
    assert set(record["probabilities"]) == {"glioma", "meningioma", "notumor", "pituitary"}
    assert tempfile.gettempdir() not in json.dumps(record)
    assert set(Path(tempfile.gettempdir()).glob("tumorlens-*")) == before


def test_a_volume_among_images(client: httpx.Client, head: NDArray[np.uint8], image: bytes) -> None:
    """``/v1/predictions`` takes whatever ``predict`` takes, volumes too."""
    volume = nifti(np.stack([head] * 3), "LPS", compressed=True)
    sent = [("files", ("head.nii.gz", volume)), ("files", ("a.png", image))]
    whole, single = client.post("/v1/predictions", files=sent).json()["predictions"]
    assert whole["path"] == "head.nii.gz"
    assert len(whole["slices"]) == 3
    assert "slices" not in single


def test_a_volume_in_each_of_its_formats(client: httpx.Client, head: NDArray[np.uint8]) -> None:
    voxels = np.stack([head] * 3, axis=2)
    made = {"a.nii.gz": written.nifti(voxels), "b.mgz": written.mgz(voxels),
            "c.nrrd": written.nrrd(voxels, encoding="gzip")}  # fmt: skip
    sent = [("files", item) for item in made.items()]
    found = client.post("/v1/predictions", files=sent).json()["predictions"]
    assert [one["path"] for one in found] == list(made)
    assert [one["probabilities"] for one in found] == [found[0]["probabilities"]] * 3


def test_a_study_without_images_is_a_422_with_the_clients_names(client: httpx.Client) -> None:
    answer = client.post(ROUTE, files=[("files", ("notes.txt", b"notes"))])
    assert answer.status_code == 422
    assert tempfile.gettempdir() not in answer.text


@pytest.mark.parametrize(
    ("form", "paths"),
    [
        ("ses-{}/{}.png", ["ses-1", "ses-2"]),
        ("sub-1_ses-{}_{}.png", ["sub-1_ses-1_a.png", "sub-1_ses-2_a.png"]),
    ],
)
def test_visits_are_told_apart_by_the_names_of_the_client(
    client: httpx.Client, image: bytes, form: str, paths: list[str]
) -> None:
    names = [form.format(visit, name) for visit in (1, 2) for name in "ab"]
    sent = [("files", (name, image)) for name in names]
    records = client.post(ROUTE, files=sent).json()["predictions"]
    studies = [record for record in records if "members" in record]
    assert [study["path"] for study in studies] == paths
    members = [[member["path"] for member in study["members"]] for study in studies]
    assert members == [names[:2], names[2:]]


def test_volumes_that_only_their_folders_tell_apart_are_separate(
    client: httpx.Client, series: dict[str, bytes], head: NDArray[np.uint8]
) -> None:
    """As on a disk, two heads of the same UIDs and positions are not mixed."""
    sent = [("files", (f"case0/{name}", data)) for name, data in series.items()]
    sent += [
        ("files", (f"case1/{place}", dicom(head.astype(np.uint16), position=4.0 * place)))
        for place in range(8)
    ]
    records = client.post(ROUTE, files=sent).json()["predictions"]
    assert [record["path"] for record in records] == ["case0/DOE^JANE", "case1"]
    assert [len(record["slices"]) for record in records] == [8, 8]
