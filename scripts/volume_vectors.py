"""Volumes for the page's tests: answers of slices, and Python's answer for the whole.

Written and checked by scripts/vectors.py. The answers of slices are synthetic, so no image is
needed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np

from tumorlens.bundle import Bundle, ConformalThresholds, DecisionRule, FusionRule
from tumorlens.errors import BlankImageError
from tumorlens.imaging.facts import AcquisitionFacts, SliceFacts
from tumorlens.imaging.image import MedicalImage
from tumorlens.inference.aggregation import aggregate
from tumorlens.inference.brain_slices import judge_slices
from tumorlens.inference.classifier import Classifier, PreparedImage, RawPrediction
from tumorlens.inference.fusion import fuse_study
from tumorlens.inference.gate import REFUSAL
from tumorlens.inference.record import (
    Failure,
    Finding,
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
VOLUME_DECISIONS: Final = {
    "axial": DecisionRule(tumor_threshold=0.95, notumor_threshold=0.9, kind_threshold=0.95)
}
FUSION: Final = FusionRule(weights={"T1": 0.825, "FLAIR": 1.0})
DIGITS: Final = 6
_SIDE: Final = 32

Row = list[float] | Literal["blank", "refused"]
"""Probabilities of a slice in the order of the classes, or why it has none."""


class Volume(NamedTuple):
    """A volume as its files and the network describe it."""

    name: str
    slices: list[Row]
    along_mm: list[float | None] | None
    """Where they lie on the normal."""
    description: str | None = None
    sequences: list[list[float]] | None = None
    """Logits of ``labels.SEQUENCES`` of each slice."""


def write() -> None:
    """Write the file, a line a volume."""
    lines = ",\n".join(json.dumps(case) for case in cases())
    rules = json.dumps(all_rules())
    heads = ",\n".join(json.dumps(profile) for profile in profiles())
    several = ",\n".join(json.dumps(study) for study in studies())
    text = (
        f'{{"rules": {rules},\n"profiles": [\n{heads}\n],\n"volumes": [\n{lines}\n],\n'
        f'"studies": [\n{several}\n]}}\n'
    )
    TARGET.write_text(text, encoding="utf-8")


def expected() -> dict[str, Any]:
    """What the file should hold."""
    return {
        "rules": all_rules(), "profiles": list(profiles()), "volumes": list(cases()),
        "studies": list(studies()),
    }  # fmt: skip


def all_rules() -> Any:
    """As bundle.json has them."""
    return msgspec.to_builtins({
        "decision": DECISION, "volume_decisions": VOLUME_DECISIONS, "prediction_sets": SETS,
    })  # fmt: skip


def ruled(**values: Any) -> Classifier:
    """A network with the rules, and with other ``values`` of its bundle."""
    network = Classifier.load("phantom", threads=1).bundle
    info = msgspec.structs.replace(
        network.info, decision=DECISION, volume_decisions=VOLUME_DECISIONS, prediction_sets=SETS,
        **values,
    )  # fmt: skip
    return Classifier(Bundle(info, network.model), threads=1)


def cases() -> Iterator[dict[str, Any]]:
    """Each volume with its whole."""
    classifier = ruled()
    for volume in volumes():
        yield volume._asdict() | {"whole": whole(classifier, volume)}


def whole(classifier: Classifier, volume: Volume) -> dict[str, Any]:
    """What Python answers, as in its record but with every digit; or its error."""
    facts_of_slices = tuple(SliceFacts("v", along_mm=at) for at in volume.along_mm or ())
    facts = AcquisitionFacts(slices=facts_of_slices, series_description=volume.description)
    pixels = np.zeros((len(volume.slices), _SIDE, _SIDE), np.float32)
    image = MedicalImage(
        pixels, "v", 8, "L", facts=facts if facts_of_slices else None, remarks=("a note",)
    )
    answers = [
        _answer(classifier, row, volume.sequences[index] if volume.sequences else None)
        for index, row in enumerate(volume.slices)
    ]
    try:
        prediction = answer_whole(classifier, image, answers)
    except BlankImageError as error:
        return records.record(Failure.from_error("v", error))
    fields = (
        "decision", "label", "summary", "reason", "tumor_probability", "probabilities",
        "prediction_set", "decisive_slice", "is_upright_axial", "sequence", "notes",
    )  # fmt: skip
    record = {key: value for key, value in records.record(prediction).items() if key in fields}
    if record["probabilities"] is not None:
        record["probabilities"] = prediction.probabilities
    record["sequence"] = msgspec.to_builtins(prediction.sequence)
    finding = prediction.finding
    return record | {
        "finding": None if finding is None else [finding.first, finding.middle, finding.last]
    }


def studies() -> Iterator[dict[str, Any]]:
    """Series of studies, with Python's answer for all of them together."""
    classifier = ruled(fusion=FUSION)
    sees, weak = [0.02] * 6 + [0.95] * 5 + [0.02] * 9, [0.05] * 7 + [0.6] * 4 + [0.05] * 9
    fine = np.repeat([0.02, 0.9, 0.1], [20, 20, 20]).tolist()
    up, left = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    tilted = np.array([0.0, np.sin(0.2), np.cos(0.2)])
    flair = series(classifier, "t2 flair", sees, up)
    t1 = series(classifier, "t1 se", weak, up)
    upright = [
        series(classifier, f"{words} tra", sees, up, is_upright_axial=True)
        for words in ("t1 se", "t2 flair")
    ]
    showing = [
        series(classifier, words, suspicion, up, finding=Finding(first=first, middle=8, last=10))
        for words, suspicion, first in (
            ("t1 se", sees, 6),
            ("t2 flair", sees, 7),
            ("t2 tse", weak, 8),
        )
    ]
    rejected = msgspec.structs.replace(
        t1, path="r", decision="rejected", tumor_probability=None, probabilities=None
    )
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
        "a series reaches beyond the one with the most slices": [
            series(classifier, "t1 se", [0.02] * 12, up),
            series(classifier, "t2 flair", [0.02] * 7 + [0.95] * 3, up, apart=8.0),
        ],
        "one reaches beyond it at both ends, from the top down": [
            series(classifier, "t1 se", [0.02] * 12, up, first=20.0),
            series(classifier, "t2 flair", [0.9, 0.8, *[0.1] * 8], up, apart=-9.0, first=90.0),
            series(classifier, "t2 tse", [0.5] * 6, up, apart=25.0, first=-15.0),
        ],
        "a series shows the finding best": [t1, *showing],
        "one is rejected": [flair, rejected, t1],
        "all are axial and upright": upright,
        "one of them is not": [upright[0], flair],
        "localizers beside it": [
            flair, *(series(classifier, f"scout {k}", [0.01] * 3, left) for k in (1, 2, 3))
        ],
        "maps beside it": [
            flair, *(series(classifier, f"map {k}", [0.01] * 20, up) for k in (1, 2))
        ],
        "localizers alone": [series(classifier, f"scout {k}", [0.9] * 3, left) for k in (1, 2)],
    }.items():  # fmt: skip
        outside_training = [member.path.startswith("map") for member in members]
        facts = [AcquisitionFacts(outside_training=is_outside) for is_outside in outside_training]
        together = fuse_study(classifier, "study", members, facts)
        yield {
            "name": name,
            "fusion": msgspec.to_builtins(FUSION),
            "series": [msgspec.to_builtins(member) for member in members],
            "outside_training": outside_training,
            "together": msgspec.to_builtins(together),
        }


def series(
    classifier: Classifier, description: str, suspicion: list[float], normal: Any,
    apart: float = 5.0, first: float = 0.0, frame: str = "1", is_upright_axial: bool = False,
    finding: Finding | None = None,
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
    whole = aggregate(np.stack(rows)[1:], along[1:]).probabilities
    nothing: dict[str, Any] = dict.fromkeys(SeriesFacts.__struct_fields__)
    facts = {
        "description": description,
        "scanning_sequence": (),
        "plane": "oblique",
        "frame_of_reference_uid": frame,
        "series_instance_uid": f"1.2.{int.from_bytes(description.encode(), 'big')}",
    }
    return VolumePrediction(
        path=description, finding=finding, decisive_slice=0, slices=slices,
        is_upright_axial=is_upright_axial,
        series=SeriesFacts(**nothing | facts), model=classifier.model,
        **classifier.conclude(whole, whole="axial" if is_upright_axial else "other")._asdict(),
    )  # fmt: skip


def _answer(
    classifier: Classifier, row: Row, sequence: list[float] | None
) -> RawPrediction | Failure:
    if row == "blank":
        return Failure.from_error("v", BlankImageError("v: every pixel has the same value"))
    probabilities = (
        np.full(len(CLASSES), 1 / len(CLASSES)) if isinstance(row, str) else np.array(row)
    )
    concluded = classifier.conclude(probabilities, REFUSAL if row == "refused" else "")
    prediction = Prediction(path="v", model=classifier.model, **concluded._asdict())
    cam = np.zeros((len(CLASSES), 2, 2), np.float32)
    pixels = np.zeros((_SIDE, _SIDE), np.uint8)
    prepared = PreparedImage("v", pixels, Square(0, 0, _SIDE), (_SIDE, _SIDE))
    logits = None if sequence is None else np.array(sequence, np.float32)
    return RawPrediction(prediction, prepared, cam, probabilities, sequence=logits)


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
        judged = judge_slices(np.array(profile), along, up, is_stated=True)
        yield {
            "name": name,
            "profile": profile,
            "along_mm": along.tolist(),
            "up": up,
            "in_brain": judged.in_brain.tolist(),
            "expected_mm": judged.along_mm.tolist(),
            "note": judged.spacing_note,
            "coverage_note": judged.coverage_note,
        }


def volumes() -> Iterator[Volume]:
    """What readers and patients come with, and what makes two programs differ."""
    lesion = [0.02, 0.1, 0.7, 0.9, 0.95, 0.85, 0.4, 0.05, 0.01]
    yield Volume("tumour", glioma(lesion), spaced(9, 5.0))
    yield Volume("head first", glioma(lesion), [*reversed(spaced(9, 5.0))])
    blanks: list[Row] = ["blank", *glioma(lesion[:4]), "blank", *glioma(lesion[4:]), "blank"]
    yield Volume("blank slices around the finding and within", blanks, spaced(12, 5.0))
    refused: list[Row] = ["refused", "refused", *glioma(lesion), "refused"]
    yield Volume("refused slices count for nothing", refused, spaced(12, 5.0))
    yield Volume("one slice", glioma([0.8]), [12.5])
    yield Volume("two slices", glioma([0.9, 0.7]), spaced(2, 6.0))
    yield Volume("two slices far apart", glioma([0.9, 0.7]), spaced(2, 40.0))
    strong, uneven = [0.1, 0.9, 0.97, 0.99, 0.95, 0.9, 0.3], [0.0, 1.2, 4.0, 9.5, 11.0, 30.0, 33.3]
    yield Volume("uneven spacing", glioma(strong), list(uneven))
    yield Volume(
        "a gap within the finding", glioma(strong), [0.0, 5.0, 10.0, 15.0, 60.0, 65.0, 70.0]
    )
    yield Volume("all at one place", glioma(lesion), [7.0] * 9)
    yield Volume("unknown spacing", glioma(lesion), None)
    yield Volume("one place unknown", glioma(lesion), [*spaced(8, 1.0), None])
    yield Volume("thick slices", glioma(lesion), spaced(9, 20.0))
    yield Volume("no tumour", glioma([0.01, 0.05, 0.1, 0.02]), spaced(4, 5.0))
    yield Volume("one odd slice", glioma([0.0] * 6 + [1.0] + [0.0] * 6), spaced(13, 5.0))
    yield Volume("not sure of a tumour", glioma([0.1, 0.6, 0.7, 0.65, 0.6, 0.2]), spaced(6, 5.0))
    yield Volume("not sure of no tumour", glioma([0.4, 0.4, 0.4, 0.4, 0.1]), spaced(5, 5.0))
    yield Volume("all refused", ["refused"] * 5, spaced(5, 5.0))
    yield Volume("all refused or blank", ["blank", "refused", "refused"], spaced(3, 5.0))
    yield Volume("all blank", ["blank", "blank"], spaced(2, 5.0))
    twice = [0.0, 0.875, 0.875, 0.875, 0.875, 0.0, 0.0, 0.0]
    yield Volume("the first of two equal runs", glioma(twice * 2), spaced(16, 10.0))
    yield Volume("the first of two equal classes", [[0.5, 0.5, 0.0, 0.0]] * 4, spaced(4, 10.0))
    yield Volume("the middle between two slices", glioma([0.0, 1.0, 1.0, 0.0]), spaced(4, 20.0))
    yield from with_sequences(lesion)
    for seed, (depth, spacing) in enumerate(((60, 1.0), (24, 5.0), (155, 1.0), (30, 3.3))):
        yield Volume(
            f"random, {depth} slices {spacing} mm apart",
            random(seed, depth),
            spaced(depth, spacing),
        )


def with_sequences(lesion: list[float]) -> Iterator[Volume]:
    """Slices whose sequences the network tells, with headers that agree and that do not."""
    along = spaced(9, 5.0)
    flair, unsure = [0.0, 0.0, 0.5, 5.0, 0.0], [1.0, 1.2, 0.2, 0.0, 0.1]
    # T2 or T1CE of each slice by itself, T1 of all of them together.
    divided = [[2.9, 0.0, 3.0, 0.0, 0.0]] * 5 + [[2.6, 3.0, 0.0, 0.0, 0.0]] * 4
    yield Volume("together they look like what none does", glioma(lesion), along, None, divided)
    yield Volume("header and slices agree", glioma(lesion), along, "t2 flair", [flair] * 9)
    yield Volume("header and slices disagree", glioma(lesion), along, "t1 se", [flair] * 9)
    yield Volume("the header alone is sure", glioma([0.01] * 9), along, "t1 se", [unsure] * 9)
    refused: list[Row] = ["refused"] * 9
    yield Volume("all refused, header and slices disagree", refused, along, "t1 se", [flair] * 9)
    partly_refused: list[Row] = ["blank", "refused", "refused", *glioma(lesion[3:])]
    mixed = [[9.0, 0.0, 0.0, 0.0, 0.0]] * 3 + [flair] * 6
    yield Volume("those of refused slices do not count", partly_refused, along, "t2 flair", mixed)


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
    for index, why in zip(rng.permutation(depth)[:4], ("blank", "refused") * 2, strict=True):
        rows[index] = "blank" if why == "blank" else "refused"
    return rows
