"""Volumes for the page's tests: answers of slices, and Python's answer for the whole.

Written and checked by scripts/vectors.py. The answers of slices are synthetic, so no image is
needed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np

from tumorlens.bundle import Bundle, ConformalThresholds, DecisionRule, FusionRule
from tumorlens.errors import BlankImageError
from tumorlens.imaging.facts import AcquisitionFacts, SliceFacts
from tumorlens.imaging.image import MedicalImage
from tumorlens.inference.aggregation import AggregationConfig, aggregate
from tumorlens.inference.brain_slices import judge_slices
from tumorlens.inference.classifier import Classifier, PreparedImage, RawPrediction
from tumorlens.inference.fusion import fuse_study
from tumorlens.inference.gate import REFUSAL
from tumorlens.inference.record import (
    Failure,
    Prediction,
    SeriesFacts,
    SlicePrediction,
    VolumePrediction,
)
from tumorlens.inference.volume import answer_whole
from tumorlens.labels import CLASSES
from tumorlens.preprocessing import Square
from tumorlens.reporting import records

TARGET: Final = Path(__file__).resolve().parent.parent / "frontend" / "test" / "volumes.json"
DECISION: Final = DecisionRule(tumor_threshold=0.7, notumor_threshold=0.66, kind_threshold=0.9)
SETS: Final = ConformalThresholds(
    coverage=0.95,
    thresholds=(0.041, 0.014, 0.31, 0.088),
    by_decision={"abstained": (0.05, 0.05, 0.05, 0.05)},
)
FUSION: Final = FusionRule(weights={"T1": 0.825, "FLAIR": 1.0})
DIGITS: Final = 6
_SIDE: Final = 32

Row = list[float] | Literal["blank", "refused"]
"""Probabilities of a slice in the order of the classes, or why it has none."""
Volume = tuple[str, list[Row], list[float | None] | None]
"""Name, slices, where they lie on the normal in millimetres."""


def write() -> None:
    """Write the file, a line a volume."""
    lines = ",\n".join(json.dumps(case) for case in cases())
    rules = json.dumps({"decision": rule(DECISION), "prediction_sets": rule(SETS)})
    heads = ",\n".join(json.dumps(one) for one in profiles())
    several = ",\n".join(json.dumps(one) for one in studies())
    text = (
        f'{{"rules": {rules},\n"profiles": [\n{heads}\n],\n"volumes": [\n{lines}\n],\n'
        f'"studies": [\n{several}\n]}}\n'
    )
    TARGET.write_text(text, encoding="utf-8")


def made() -> dict[str, Any]:
    """What the file should hold."""
    rules = {"decision": rule(DECISION), "prediction_sets": rule(SETS)}
    return {
        "rules": rules, "profiles": list(profiles()), "volumes": list(cases()),
        "studies": list(studies()),
    }  # fmt: skip


def rule(one: DecisionRule | ConformalThresholds) -> Any:
    """As bundle.json has it."""
    return msgspec.to_builtins(one)


def cases() -> Iterator[dict[str, Any]]:
    """Each volume with its whole."""
    network = Classifier.load("phantom", threads=1).bundle
    info = msgspec.structs.replace(network.info, decision=DECISION, prediction_sets=SETS)
    classifier = Classifier(Bundle(info, network.model), threads=1)
    for name, rows, along in volumes():
        yield {
            "name": name,
            "along_mm": along,
            "slices": rows,
            "whole": whole(classifier, rows, along),
        }


def whole(
    classifier: Classifier, rows: list[Row], along: list[float | None] | None
) -> dict[str, Any]:
    """What Python answers, as in its record but with every digit; or its error."""
    places = tuple(SliceFacts("v", along_mm=at) for at in along or ())
    facts = AcquisitionFacts(slices=places) if along else None
    pixels = np.zeros((len(rows), _SIDE, _SIDE), np.float32)
    image = MedicalImage(pixels, "v", 8, "L", facts=facts)
    answers = [_answer(classifier, row) for row in rows]
    try:
        found = answer_whole(classifier, image, answers)
    except BlankImageError as error:
        return records.record(Failure.of("v", error))
    kept = (
        "decision", "label", "summary", "reason", "tumor_probability", "probabilities",
        "prediction_set", "decisive_slice",
    )  # fmt: skip
    record = {key: value for key, value in records.record(found).items() if key in kept}
    if record["probabilities"] is not None:
        record["probabilities"] = found.probabilities
    place = found.finding
    return record | {"finding": None if place is None else [place.first, place.middle, place.last]}


def studies() -> Iterator[dict[str, Any]]:
    """Series of studies, with Python's answer for all of them together."""
    network = Classifier.load("phantom", threads=1).bundle
    info = msgspec.structs.replace(
        network.info, decision=DECISION, volume_decisions={}, prediction_sets=SETS, fusion=FUSION
    )
    classifier = Classifier(Bundle(info, network.model), threads=1)
    sees, weak = [0.02] * 6 + [0.95] * 5 + [0.02] * 9, [0.05] * 7 + [0.6] * 4 + [0.05] * 9
    fine = np.repeat([0.02, 0.9, 0.1], [20, 20, 20]).tolist()
    up, left = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    tilted = np.array([0.0, np.sin(0.2), np.cos(0.2)])
    flair = series(classifier, "t2 flair", sees, up)
    t1 = series(classifier, "t1 se", weak, up)
    for name, members in {
        "parallel": [flair, t1],
        "tilted and finer": [flair, series(classifier, "t1 se", fine, tilted, apart=1.7)],
        "another plane": [flair, series(classifier, "t2 tse", weak, left)],
        "a false alarm elsewhere": [
            flair, series(classifier, "t1 se", [0.02] * 15 + [0.7] * 4 + [0.02], up)
        ],
        "two of one sequence": [flair, t1, series(classifier, "t1 tse", weak, up, first=12.0)],
        "a series alone reports a tumour": [
            flair, *(series(classifier, f"t{k} tse", [0.01] * 20, up, frame=str(k)) for k in (1, 2))
        ],
    }.items():  # fmt: skip
        found = fuse_study(classifier, "study", members)
        yield {
            "name": name,
            "fusion": msgspec.to_builtins(FUSION),
            "series": [msgspec.to_builtins(one) for one in members],
            "together": msgspec.to_builtins(found),
        }


def series(
    classifier: Classifier, description: str, suspicion: list[float], normal: Any,
    apart: float = 5.0, first: float = 0.0, frame: str = "1",
) -> VolumePrediction:  # fmt: skip
    """A series whose slices suspect a glioma so much."""
    rows = [np.array([share, 0.0, 1.0 - share, 0.0], np.float64) for share in suspicion]
    along = np.asarray(first + apart * np.arange(len(rows)), dtype=np.float64)
    slices = tuple(
        SlicePrediction(
            index=index, along_mm=float(along[index]), counted=index > 0,
            center_mm=tuple((along[index] * normal).tolist()),
            probabilities=dict(zip(CLASSES, row.tolist(), strict=True)),
        )
        for index, row in enumerate(rows)
    )  # fmt: skip
    whole = aggregate(np.stack(rows)[1:], along[1:], AggregationConfig()).probabilities
    nothing: dict[str, Any] = dict.fromkeys(SeriesFacts.__struct_fields__)
    facts = {"description": description, "scanning_sequence": (), "plane": "oblique",
             "frame_of_reference_uid": frame}  # fmt: skip
    return VolumePrediction(
        path=description, finding=None, decisive_slice=0, slices=slices,
        series=SeriesFacts(**nothing | facts), model=classifier.model,
        **classifier.conclude(whole, whole="other")._asdict(),
    )  # fmt: skip


def _answer(classifier: Classifier, row: Row) -> RawPrediction | Failure:
    if row == "blank":
        return Failure.of("v", BlankImageError("v: every pixel has the same value"))
    probabilities = (
        np.full(len(CLASSES), 1 / len(CLASSES)) if isinstance(row, str) else np.array(row)
    )
    concluded = classifier.conclude(probabilities, REFUSAL if row == "refused" else "")
    prediction = Prediction(path="v", model=classifier.model, **concluded._asdict())
    cam = np.zeros((len(CLASSES), 2, 2), np.float32)
    seen = np.zeros((_SIDE, _SIDE), np.uint8)
    prepared = PreparedImage("v", seen, Square(0, 0, _SIDE), (_SIDE, _SIDE))
    return RawPrediction(prediction, prepared, cam, probabilities)


def profiles() -> Iterator[dict[str, Any]]:
    """Heads of several shapes and spacings: which slices are of the brain."""
    head = [1.0 - (1.0 - min(depth, 85.0) / 85.0) ** 2 for depth in range(0, 200, 5)]
    neck = [*head[:24], 0.7, 0.6, 0.55, 0.9, 1.3, 1.4]
    given: dict[str, tuple[list[float], float, int]] = {
        "a whole head, downwards": (head, 5.0, -1),
        "a whole head, upwards": (head[::-1], 5.0, 1),
        "shoulders": (neck, 5.0, -1),
        "a spacing of 1 mm that cannot be right": (head, 1.0, -1),
        "a spacing of 40 mm that cannot be right": (head, 40.0, -1),
        "a slab": ([1.0] * 9, 3.0, 1),
        "another plane": (head[:20] + head[:20][::-1], 4.5, 0),
        "nothing": ([0.0] * 4, 5.0, 1),
    }
    for name, (profile, spacing, up) in given.items():
        along = np.arange(len(profile), dtype=np.float64) * spacing
        found = judge_slices(np.array(profile), along, up, is_stated=True)
        yield {
            "name": name,
            "profile": profile,
            "along_mm": along.tolist(),
            "up": up,
            "in_brain": found.in_brain.tolist(),
            "expected_mm": found.along_mm.tolist(),
            "note": found.spacing_note,
        }


def volumes() -> Iterator[Volume]:
    """What readers and patients come with, and what makes two programs differ."""
    lesion = [0.02, 0.1, 0.7, 0.9, 0.95, 0.85, 0.4, 0.05, 0.01]
    yield "tumour", glioma(lesion), spaced(9, 5.0)
    yield "head first", glioma(lesion), [*reversed(spaced(9, 5.0))]
    blanks: list[Row] = ["blank", *glioma(lesion[:4]), "blank", *glioma(lesion[4:]), "blank"]
    yield "blank slices around the finding and within", blanks, spaced(12, 5.0)
    refused: list[Row] = ["refused", "refused", *glioma(lesion), "refused"]
    yield "refused slices count for nothing", refused, spaced(12, 5.0)
    yield "one slice", glioma([0.8]), [12.5]
    yield "two slices", glioma([0.9, 0.7]), spaced(2, 6.0)
    yield "two slices far apart", glioma([0.9, 0.7]), spaced(2, 40.0)
    strong, uneven = [0.1, 0.9, 0.97, 0.99, 0.95, 0.9, 0.3], [0.0, 1.2, 4.0, 9.5, 11.0, 30.0, 33.3]
    yield "uneven spacing", glioma(strong), list(uneven)
    yield "a gap within the finding", glioma(strong), [0.0, 5.0, 10.0, 15.0, 60.0, 65.0, 70.0]
    yield "all at one place", glioma(lesion), [7.0] * 9
    yield "unknown spacing", glioma(lesion), None
    yield "one place unknown", glioma(lesion), [*spaced(8, 1.0), None]
    yield "thick slices", glioma(lesion), spaced(9, 20.0)
    yield "no tumour", glioma([0.01, 0.05, 0.1, 0.02]), spaced(4, 5.0)
    yield "one odd slice", glioma([0.0] * 6 + [1.0] + [0.0] * 6), spaced(13, 5.0)
    yield "not sure of a tumour", glioma([0.1, 0.6, 0.7, 0.65, 0.6, 0.2]), spaced(6, 5.0)
    yield "not sure of no tumour", glioma([0.4, 0.4, 0.4, 0.4, 0.1]), spaced(5, 5.0)
    yield "all refused", ["refused"] * 5, spaced(5, 5.0)
    yield "all refused or blank", ["blank", "refused", "refused"], spaced(3, 5.0)
    yield "all blank", ["blank", "blank"], spaced(2, 5.0)
    twice = [0.0, 0.875, 0.875, 0.875, 0.875, 0.0, 0.0, 0.0]
    yield "the first of two equal runs", glioma(twice * 2), spaced(16, 10.0)
    yield "the first of two equal classes", [[0.5, 0.5, 0.0, 0.0]] * 4, spaced(4, 10.0)
    yield "the middle between two slices", glioma([0.0, 1.0, 1.0, 0.0]), spaced(4, 20.0)
    for seed, (depth, spacing) in enumerate(((60, 1.0), (24, 5.0), (155, 1.0), (30, 3.3))):
        yield (
            f"random, {depth} slices {spacing} mm apart",
            random(seed, depth),
            spaced(depth, spacing),
        )


def glioma(probabilities: list[float]) -> list[Row]:
    """Slices with these probabilities of glioma; the rest is no tumour."""
    return [[share, 0.0, round(1 - share, DIGITS), 0.0] for share in probabilities]


def spaced(depth: int, spacing: float) -> list[float | None]:
    """Places ``spacing`` millimetres apart, as readers round them."""
    return [round(index * spacing, 4) for index in range(depth)]


def random(seed: int, depth: int) -> list[Row]:
    """A head with a tumour of one class somewhere, a few slices blank or refused."""
    rng = np.random.default_rng([17, seed])
    kind, middle, reach = rng.choice([0, 1, 3]), rng.uniform(0.3, 0.7) * depth, 0.15 * depth
    logits = rng.normal(0, 0.7, (depth, len(CLASSES)))
    logits[:, CLASSES.index("notumor")] += 2
    logits[:, kind] += 6 * np.exp(-(((np.arange(depth) - middle) / reach) ** 2))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows: list[Row] = [row.round(DIGITS).tolist() for row in probabilities]
    for place, why in zip(rng.permutation(depth)[:4], ("blank", "refused") * 2, strict=True):
        rows[place] = "blank" if why == "blank" else "refused"
    return rows
