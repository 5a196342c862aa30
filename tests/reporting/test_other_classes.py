"""Answers of a network of forty classes, none of which means "no finding", in every form."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

pytest.importorskip("highdicom", reason="needs the pacs extra")

from tests.answers import predict_inputs

from tumorlens.imaging.raster import encode
from tumorlens.imaging.study import read_study
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.fusion import fuse_study
from tumorlens.inference.record import Prediction, VolumePrediction
from tumorlens.inference.volume import answer_image
from tumorlens.reporting import records, study_report, table
from tumorlens.reporting.dicom_answer import dicom_answer


@pytest.fixture(scope="module")
def forty(forty_bundle: Path) -> Classifier:
    return Classifier.load(forty_bundle, 1)


def test_an_image(forty: Classifier, head: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode.png(head))
    (answer,) = predict_inputs(forty, [path], explain=True)
    assert isinstance(answer, Prediction)
    assert (answer.decision, answer.tumor_probability) == ("classified", None)
    assert answer.heatmap is not None
    assert answer.heatmap.label == answer.label
    record = json.loads(records.json_line(answer))
    assert len(record["model"]["classes"]["members"]) == len(record["probabilities"]) == 40
    names = forty.classes.names
    header, row = (
        (records.csv_header(names) + records.csv_line(answer, names)).decode().splitlines()
    )
    assert set(names) <= set(header.split(","))
    assert row.startswith(str(path))
    drawn = table.render([answer], width=200)
    assert answer.summary in drawn
    assert "kind 39" not in drawn.splitlines()[0]  # no column for each of forty


def test_a_volume_and_a_study(
    forty: Classifier, write_series: Callable[..., list[bytes]], tmp_path: Path
) -> None:
    for number, data in enumerate(write_series()):
        (tmp_path / f"{number}.dcm").write_bytes(data)
    (image,) = read_study(tmp_path).images
    answered = answer_image(forty, image)
    answer = answered.answer
    assert isinstance(answer, VolumePrediction)
    assert answer.finding is not None
    study = fuse_study(forty, "s", [answer, answer], [image.facts, image.facts])
    assert study is not None
    assert study.label == answer.label
    report = dcmread(io.BytesIO(dicom_answer(answered)[0].data))
    words = str(report)
    assert "Probability of haemorrhage" in words
    assert "Neoplasm" not in words
    page = study_report.write(
        tmp_path / "r.html",
        [study_report.entry(answer, answered)],
        forty.bundle.info,
        datetime.now(UTC),
    )
    text = page.read_text("utf-8")
    assert "The network has 40 classes: haemorrhage, kind 1," in text
    assert "tumour" not in text.replace("tumorlens", "")
