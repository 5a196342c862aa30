"""Records of answers for tests, short to write."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from tumorlens.imaging.input import Input
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import (
    Decision,
    Finding,
    ModelIdentity,
    Prediction,
    Result,
    SeriesFacts,
    SeriesWeight,
    SlicePrediction,
    StudyPrediction,
    VolumePrediction,
)
from tumorlens.inference.stream import outcomes
from tumorlens.inference.summary import summarize
from tumorlens.labels import CLASSES, NO_TUMOR, ClassInfo, ClassSet

MODEL = ModelIdentity(name="tiny", version="1.2", sha256="0123456789ab" + "f" * 52)
REASON = "why it is held back"


def predict_inputs(
    classifier: Classifier, inputs: Iterable[Input | str | Path], **settings: Any
) -> Iterator[Result]:
    """The results of ``outcomes`` alone."""
    return (outcome.result for outcome in outcomes(classifier, inputs, **settings))


def shares(**given: float) -> dict[str, float]:
    """Probabilities of all classes; what ``given`` leaves over is no tumour, or else is shared."""
    rest = 1.0 - sum(given.values())
    others = [name for name in CLASSES if name not in given]
    if NO_TUMOR in others:
        return {name: given.get(name, rest if name == NO_TUMOR else 0.0) for name in CLASSES}
    return {name: given.get(name, rest / max(1, len(others))) for name in CLASSES}


def concluded(
    decision: Decision, label: str | None, probabilities: dict[str, float]
) -> dict[str, Any]:
    """The fields that every record of an answer has."""
    rejected = decision == "rejected"
    reason = "" if decision == "classified" else REASON
    return {
        "decision": decision,
        "label": label,
        "summary": summarize(decision, label, probabilities, reason),
        "reason": reason,
        "tumor_probability": None if rejected else 1.0 - probabilities[NO_TUMOR],
        "probabilities": None if rejected else probabilities,
    }


def image(
    path: str = "a.png",
    decision: Decision = "classified",
    label: str | None = None,
    probabilities: dict[str, float] | None = None,
    **more: Any,
) -> Prediction:
    """An answer for an image; ``label`` defaults to glioma where it is classified."""
    named = label or ("glioma" if decision == "classified" else None)
    given = probabilities or shares(**{named or "glioma": 0.85})
    return Prediction(path=path, model=MODEL, **concluded(decision, named, given), **more)


def volume(
    path: str = "study",
    decision: Decision = "classified",
    label: str | None = None,
    finding: Finding | None = None,
    depth: int = 240,
    probabilities: dict[str, float] | None = None,
    **more: Any,
) -> VolumePrediction:
    """An answer for a volume of unusable slices."""
    named = label or ("pituitary" if decision == "classified" else None)
    given = probabilities or shares(**{named or "pituitary": 0.85})
    slices = tuple(SlicePrediction(index=index, along_mm=None) for index in range(depth))
    return VolumePrediction(
        path=path,
        finding=finding,
        decisive_slice=finding.middle if finding else depth // 2,
        slices=slices,
        model=MODEL,
        **{"series": None, **more},
        **concluded(decision, named, given),
    )


def series(description: str) -> SeriesFacts:
    """Facts of a series that states little."""
    empty: dict[str, Any] = dict.fromkeys(SeriesFacts.__struct_fields__)
    return SeriesFacts(**empty | {"modality": "MR", "description": description,
                                  "scanning_sequence": ()})  # fmt: skip


def told(answer: Prediction | VolumePrediction | SlicePrediction) -> dict[str, float]:
    """Its probabilities, which are there."""
    assert answer.probabilities is not None
    return answer.probabilities


OWN_WORDS: Final = ClassSet(
    members=(
        ClassInfo(name="glioma", display_name="glial growth"),
        ClassInfo(name="meningioma", display_name="meningeal growth"),
        ClassInfo(name="notumor", display_name="plain head"),
        ClassInfo(name="pituitary", display_name="pituitary growth"),
    ),
    no_finding="notumor",
    finding="growth",
)
"""The classes of the phantoms, in words of their own."""


def study(*members: SeriesWeight, decisive: int = 0) -> StudyPrediction:
    """A study's answer: a glioma, as the decisive one of ``members`` says."""
    return StudyPrediction(
        path="study", study_instance_uid="1.2", finding=None, members=members,
        decisive_member=decisive, model=MODEL,
        **concluded("classified", "glioma", shares(glioma=0.85)),
    )  # fmt: skip


def member(path: str, weight: float, tumor: float | None, sequence: str | None) -> SeriesWeight:
    """A series of a study."""
    return SeriesWeight(
        path=path, series_instance_uid=None, sequence=sequence, weight=weight,
        tumor_probability=tumor,
    )  # fmt: skip
