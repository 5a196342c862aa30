"""The published schema is the one made from the structs, and every record keeps to it."""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.answers import predict_inputs

from tumorlens.bundle import Bundle, ConformalThresholds
from tumorlens.errors import CorruptInputError
from tumorlens.imaging.finder import find
from tumorlens.imaging.raster import encode
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import Failure, Result
from tumorlens.reporting import records


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("write_record_schema")


@pytest.fixture
def schema() -> Any:
    text = files("tumorlens").joinpath("schemas/record.schema.json").read_text(encoding="utf-8")
    return json.loads(text)


@pytest.fixture
def results(
    classifier: Classifier, tmp_path: Path, head: NDArray[np.uint8],
    write_series: Callable[..., list[bytes]],
) -> list[Result]:  # fmt: skip
    (tmp_path / "a.png").write_bytes(encode.png(head))
    (tmp_path / "damaged.png").write_bytes(encode.png(head)[:300])
    for index, data in enumerate(write_series(4)):
        (tmp_path / f"{index}.dcm").write_bytes(data)
    for name in ("twice.dcm", "again.dcm"):
        (tmp_path / name).write_bytes(write_series(1, series="1.2.9")[0])
    inputs = find(str(tmp_path)).inputs
    rule = ConformalThresholds(coverage=0.9, thresholds=(0.1, 0.1, 0.1, 0.1))
    info = msgspec.structs.replace(classifier.bundle.info, prediction_sets=rule)
    leaving_open = Classifier(Bundle(info, classifier.bundle.model))
    plain = list(predict_inputs(classifier, inputs))
    refused = [
        msgspec.structs.replace(
            one,
            decision="rejected",
            label=None,
            reason="no head",
            probabilities=None,
            tumor_probability=None,
        )
        for one in plain
        if not isinstance(one, Failure)
    ]
    shown = list(predict_inputs(classifier, inputs, explain=True))
    plain += predict_inputs(leaving_open, inputs)
    return [*plain, *refused, *shown, Failure.from_error("x", CorruptInputError("x: damaged"))]


def test_the_published_schema_is_current(schema: Any, script: ModuleType) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    made = json.loads(json.dumps(script.record_schema()))
    assert schema == made, "run scripts/write_record_schema.py"


def test_the_page_has_the_same_types(script: ModuleType) -> None:
    page = Path(__file__).parents[2] / "frontend" / "src" / "record.ts"
    assert page.read_text("utf-8") == script.record_types(), "run scripts/write_record_schema.py"


def test_the_server_has_the_same_schemas(script: ModuleType) -> None:
    schemas = pytest.importorskip("tumorlens.server.schemas", reason="needs the serve extra")
    components = schemas.record_components()
    defined = json.dumps(script.record_schema()["$defs"])
    ours = json.loads(defined.replace("#/$defs/", schemas.COMPONENTS))
    same = [name for name in ours if name in components]
    assert set(same) == set(ours)
    assert [components[name] for name in same] == [ours[name] for name in same]
    served = dict(components["ImagePrediction"]["properties"])
    assert served.pop("preview")
    assert served == components["Prediction"]["properties"]


def test_every_record_keeps_to_it(schema: Any, results: list[Result]) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    written = [json.loads(records.json_line(result)) for result in results]
    kinds = [set(one) & {"error", "slices"} for one in written]
    assert [{"error"} in kinds, {"slices"} in kinds, set() in kinds] == [True] * 3
    assert any(one.get("heatmap") for one in written)
    for one in written:
        validator.validate(one)
    answered = [one for one in written if "error" not in one]
    assert any(one["prediction_set"] for one in answered)
    assert {bool(one["notes"]) for one in answered if "slices" not in one} == {True, False}
    assert any(part["prediction_set"] for one in answered for part in one.get("slices", ()))
    assert {"prediction_set": None}.items() <= answered[0].items()


@pytest.mark.parametrize(
    "change",
    [
        {"decision": "certain"},
        {"extra": 1},
        {"probabilities": "high"},
        {"prediction_set": "all"},
        {"tumor_probability": 1.5},
    ],
)
def test_other_things_are_not_records(
    schema: Any, results: list[Result], change: dict[str, Any]
) -> None:
    wrong = json.loads(records.json_line(results[-2])) | change
    assert not jsonschema.Draft202012Validator(schema).is_valid(wrong)
