"""Which slice stands for an answer, and what of it is shown."""

from typing import Final

from tumorlens.inference.record import REJECTED, ImageAnswer, VolumePrediction

MAP_CAPTION: Final = "the map of where the network sees tumour"


def displayed_slice(answer: ImageAnswer) -> int:
    """The slice that decides; 0 of a picture. The same in page, report and DICOM."""
    return answer.decisive_slice if isinstance(answer, VolumePrediction) else 0


def suspicion(volume: VolumePrediction, index: int) -> float:
    """Probability of any tumour in a slice; 0 of one that does not count."""
    return volume.slices[index].tumor_probability or 0.0 if answered(volume, index) else 0.0


def answered(volume: VolumePrediction, index: int) -> bool:
    """Whether a slice has an answer of its own."""
    return volume.slices[index].decision not in (None, REJECTED)
