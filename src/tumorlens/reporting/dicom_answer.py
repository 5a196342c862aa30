"""An answer as DICOM objects: a structured report, and a secondary capture of the overlay."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tumorlens.errors import CorruptInputError, needing
from tumorlens.imaging.dicom.derived import Algorithm, DicomObject, SliceReference
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.study import readable_headers, source_headers
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.finding import center_of, stored_index
from tumorlens.inference.record import (
    REJECTED,
    Answer,
    Finding,
    ImageAnswer,
    ModelIdentity,
    StudyPrediction,
    VolumePrediction,
)
from tumorlens.inference.summary import headline
from tumorlens.inference.volume import Answered, slice_of
from tumorlens.reporting.answer_image import draw
from tumorlens.reporting.display import MAP_CAPTION, displayed_slice

if TYPE_CHECKING:
    from tumorlens.imaging.dicom.report import Reported


def is_dicom(image: MedicalImage) -> bool:
    """Whether ``image`` was read from DICOM files: no others have a modality."""
    return image.facts is not None and image.facts.modality is not None


def dicom_answer(answered: Answered) -> list[DicomObject]:
    """The report and, unless the answer is a rejection, a capture of the decisive slice.

    The image must come from DICOM (``is_dicom``). Raises ``InputError`` if its files cannot be
    referenced, ``MissingExtraError`` without the extra ``pacs``.
    """
    with needing("pacs", "writing DICOM"):
        from tumorlens.imaging.dicom.capture import capture
        from tumorlens.imaging.dicom.report import report

    image, answer = answered.image, answered.answer
    headers = source_headers(image.facts.stored if image.facts else ())
    index = displayed_slice(answer)
    reference = _stored_slice(image, answer)
    algorithm = algorithm_of(answer.model)
    reported = _reported(answer, reference, _notes(answer))
    objects = [report(headers, reported, algorithm, image.source)]
    plane = slice_of(image, index)
    # The middle slice may be blank.
    if answer.decision != REJECTED and plane.pixels.max() > plane.pixels.min():
        heatmap = answered.heatmap()
        png = draw(plane, answer, heatmap, image.facts)
        map_words = f". With {MAP_CAPTION}" if heatmap else ""
        text = f"{headline(answer)}{map_words}"
        objects.append(capture(headers, reference, png, text, algorithm, image.source))
    return objects


def dicom_study_answer(
    study: StudyPrediction, images: Sequence[MedicalImage], answers: Sequence[ImageAnswer]
) -> DicomObject:
    """The report of a study of several series; it references the slice of the decisive one.

    ``answers`` are those of ``images``, which must come from DICOM. Raises as ``dicom_answer``.
    """
    with needing("pacs", "writing DICOM"):
        from tumorlens.imaging.dicom.report import report

    of_each = [source_headers(image.facts.stored if image.facts else ()) for image in images]
    headers = [header for of_series in of_each for header in of_series]
    decisive = study.decisive_member
    index, frame = _stored_slice(images[decisive], answers[decisive])
    said = _reported(study, (sum(map(len, of_each[:decisive])) + index, frame), study.notes)
    return report(headers, said, algorithm_of(study.model), study.path, level="study")


def unusable_answer(
    classifier: Classifier, paths: Sequence[Path], reason: str
) -> DicomObject | None:
    """A report for the sender that no image of a study can be used, and why.

    ``paths`` are the files of the study; those without a readable header are ignored. None if all
    of them are objects that this package wrote. Raises ``InputError`` if no file can be
    referenced, ``MissingExtraError`` without the extra ``pacs``.
    """
    with needing("pacs", "writing DICOM"):
        from tumorlens.imaging.dicom.report import Reported, report

    headers, own = readable_headers(paths)
    if own and not headers:
        return None
    if not headers:
        raise CorruptInputError("no file has a readable header")
    said = Reported(
        decision=REJECTED, label=None, reason="", summary=reason, tumor_probability=None,
        probabilities={}, reference=(0, None), classes=classifier.classes,
    )  # fmt: skip
    return report(headers, said, algorithm_of(classifier.model), "study")


def algorithm_of(model: ModelIdentity) -> Algorithm:
    """The model, for DICOM objects."""
    return Algorithm(model.name, model.version, model.sha256)


def _stored_slice(image: MedicalImage, answer: ImageAnswer) -> SliceReference:
    """The stored slice that shows the decisive slice."""
    index = displayed_slice(answer)
    finding = answer.finding if isinstance(answer, VolumePrediction) else None
    position = finding.position_mm if finding else None
    index = stored_index(image, index, position or center_of(image, index))
    return index, image.facts.stored[index].frame if image.facts else None


def _reported(answer: Answer, reference: SliceReference, notes: tuple[str, ...]) -> "Reported":
    from tumorlens.imaging.dicom.report import Reported

    finding: Finding | None = getattr(answer, "finding", None)
    return Reported(
        decision=answer.decision,
        label=answer.label,
        summary=answer.summary,
        reason="" if answer.decision == REJECTED else answer.reason,
        tumor_probability=answer.tumor_probability,
        probabilities=answer.probabilities or {},
        side=finding.side if finding else None,
        reference=reference,
        notes=notes,
        classes=answer.model.class_set,
    )


def _notes(answer: ImageAnswer) -> tuple[str, ...]:
    if not isinstance(answer, VolumePrediction):
        return answer.notes
    finding = answer.finding
    notes = (f"{len(answer.slices)} slices were read.", *answer.notes)
    if finding is None:
        return notes
    where = f"The finding is in slices {finding.first + 1} to {finding.last + 1}, counted from 1."
    size: tuple[str, ...] = ()
    if finding.extent_mm is not None:
        x, y, z = finding.extent_mm
        size = (f"The map extends over about {x:.0f} x {y:.0f} x {z:.0f} mm.",)
    return (where, *size, *notes)
