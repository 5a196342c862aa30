"""What page, report and DICOM objects show of a volume."""

from typing import Final

from tumorlens.inference.record import REJECTED, ImageAnswer, VolumePrediction

MAP_CAPTION: Final = "the map of the network's evidence"


def displayed_slice(answer: ImageAnswer) -> int:
    """The decisive slice; 0 for a single image."""
    return answer.decisive_slice if isinstance(answer, VolumePrediction) else 0


def suspicion(volume: VolumePrediction, index: int) -> float:
    """Probability of any finding in a slice; 0 without an answer.

    If no class means "no finding": probability of the most probable class.
    """
    prediction = volume.slices[index]
    if not answered(volume, index):
        return 0.0
    if prediction.tumor_probability is None:
        return max((prediction.probabilities or {}).values(), default=0.0)
    return prediction.tumor_probability


def answered(volume: VolumePrediction, index: int) -> bool:
    """Whether a slice has an answer."""
    return volume.slices[index].decision not in (None, REJECTED)
