"""How an answer is shown to people: its name, and the slice that stands for a volume."""

from typing import Final

from tumorlens.inference.classifier import Prediction
from tumorlens.inference.decision import ABSTAINED, REJECTED
from tumorlens.inference.volume import VolumePrediction
from tumorlens.labels import DISPLAY_NAMES, NO_TUMOR

_HELD: Final = {ABSTAINED: "Not sure", REJECTED: "Refused"}


def headline(answer: Prediction | VolumePrediction) -> str:
    """``Glioma``, ``No tumour``, ``Not sure``, ``Refused``."""
    if answer.label is None:
        return _HELD[answer.decision]
    return DISPLAY_NAMES[answer.label].capitalize()


def displayed_slice(answer: Prediction | VolumePrediction, depth: int) -> int:
    """The middle of the finding; the most suspicious slice of what is unsure; else the middle."""
    if isinstance(answer, VolumePrediction):
        if answer.finding is not None:
            return answer.finding.middle
        if answer.decision == ABSTAINED:
            return max(range(depth), key=lambda place: suspicion(answer, place))
    return depth // 2


def suspicion(volume: VolumePrediction, index: int) -> float:
    """Probability of any tumour in a slice; 0 of one without an answer."""
    if not answered(volume, index):
        return 0.0
    return 1.0 - volume.slices[index].probabilities[NO_TUMOR]


def answered(volume: VolumePrediction, index: int) -> bool:
    """Whether a slice counts for the whole: refused ones do only where all are."""
    one = volume.slices[index]
    return one.error is None and (one.decision != REJECTED or volume.decision == REJECTED)
