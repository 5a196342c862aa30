"""An answer as DICOM objects: a structured report, and a secondary capture of the overlay."""

from typing import TYPE_CHECKING

from tumorlens.errors import MissingExtraError
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.study import source_headers
from tumorlens.inference import explanation
from tumorlens.inference.classifier import Classifier, Prediction
from tumorlens.inference.decision import REJECTED
from tumorlens.inference.display import displayed_slice, headline
from tumorlens.inference.volume import VolumePrediction, explain_slice, slice_of
from tumorlens.labels import DISPLAY_NAMES

if TYPE_CHECKING:
    from tumorlens.imaging.dicom.derived import DicomObject


def is_dicom(image: MedicalImage) -> bool:
    """Whether objects can refer to ``image``: it is DICOM, and every slice has its UID."""
    slices = image.facts.slices if image.facts else ()
    return bool(slices) and all(place.sop_instance_uid for place in slices)


def dicom_answer(
    classifier: Classifier, image: MedicalImage, answer: Prediction | VolumePrediction
) -> "list[DicomObject]":
    """The report and, unless the answer is a refusal, the overlay of the slice it points at.

    ``image`` must come from DICOM (``is_dicom``). Raises ``InputError`` where its files cannot be
    referred to, ``MissingExtraError`` without the extra ``pacs``.
    """
    try:
        from tumorlens.imaging.dicom.capture import capture
        from tumorlens.imaging.dicom.derived import Algorithm
        from tumorlens.imaging.dicom.report import Reported, report
    except ModuleNotFoundError as error:
        raise MissingExtraError("writing DICOM", "pacs") from error

    slices = image.facts.slices if image.facts else ()
    headers = source_headers(slices)
    index = displayed_slice(answer, image.depth)
    shown = index, slices[index].frame
    said = Reported(
        decision=answer.decision,
        label=answer.label,
        reason=answer.reason,
        probabilities={} if answer.decision == REJECTED else answer.probabilities,
        shown=shown,
        notes=_notes(answer),
    )
    model = answer.model
    algorithm = Algorithm(model.name, model.version, model.sha256)
    made = [report(headers, said, algorithm, image.source)]
    if answer.decision != REJECTED and (drawn := _overlay(classifier, image, index, answer.label)):
        png, evidence = drawn
        text = f"{headline(answer)}. Map: evidence for {DISPLAY_NAMES[evidence]}"
        made.append(capture(headers, shown, png, text, algorithm, image.source))
    return made


def _overlay(
    classifier: Classifier, image: MedicalImage, shown: int, label: str | None
) -> tuple[bytes, str] | None:
    """The overlay, and the class that its map is for."""
    plane = slice_of(image, shown)
    # The slice in the middle may be a blank one, which no forward pass takes.
    if not plane.pixels.max() > plane.pixels.min():
        return None
    found = explain_slice(classifier, image, shown, label)
    return (explanation.overlay(plane, found, image.facts), found.label) if found else None


def _notes(answer: Prediction | VolumePrediction) -> tuple[str, ...]:
    if isinstance(answer, Prediction):
        return answer.notes
    found = answer.finding
    told = (f"{len(answer.slices)} slices were read.", *answer.notes)
    if found is None:
        return told
    where = f"The finding lies in slices {found.first + 1} to {found.last + 1}, counted from 1."
    return (where, *told)
