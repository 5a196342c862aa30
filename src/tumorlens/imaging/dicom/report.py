"""A structured report of one answer: Comprehensive 3D SR with a TID 1500 measurement report.

PS3.3 A.35.13 and PS3.16 TID 1500, made with highdicom (extra ``pacs``).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import highdicom as hd
import msgspec
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from tumorlens.imaging.dicom import codes as coded
from tumorlens.imaging.dicom.derived import (
    MANUFACTURER,
    RESEARCH,
    Algorithm,
    DicomObject,
    SliceReference,
    as_mr,
    finished,
    identity,
    making,
    prepared,
    state_classes,
    uid_of,
)
from tumorlens.labels import BRAIN_TUMORS, RESEARCH_NOTICE, ClassSet

SERIES_NUMBER: Final = 9101
_LONGEST_TEXT: Final = 1024


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says."""

    decision: str
    label: str | None
    reason: str
    summary: str
    """The answer in a sentence: the first comment."""
    tumor_probability: float | None
    probabilities: Mapping[str, float]
    """Keyed by class; empty where they mean nothing."""
    side: str | None = None
    """``left``, ``right`` or ``midline``; None where it is not known."""
    reference: SliceReference
    classes: ClassSet = BRAIN_TUMORS
    notes: Sequence[str] = ()
    """Sentences for a person: which slices hold the finding, gaps, duplicates."""


def report(
    headers: Sequence[Dataset],
    said: Reported,
    algorithm: Algorithm,
    source: str,
    *,
    level: str = "series",
) -> DicomObject:
    """Write the report of a series or, by ``level``, of a study with the headers of its series.

    ``headers`` are those of its slices, in order, without pixels (one for each slice; those of a
    multi-frame file repeat). Raises ``CorruptInputError`` where they cannot be referred to.
    """
    with making("report", source):
        referable = [prepared(header, source) for header in headers]
        sources = list({str(header.SOPInstanceUID): header for header in referable}.values())
        pointed = referable[said.reference[0]]
        kind = "report" if level == "series" else f"{level} report"
        identifiers = identity(kind, SERIES_NUMBER, sources, algorithm)
        content = sr.MeasurementReport(
            observation_context=_observer(algorithm),
            procedure_reported=coded.PROCEDURE,
            imaging_measurements=[
                _group(pointed, said, algorithm, identifiers["sop_instance_uid"])
            ],
            title=codes.DCM.ImagingMeasurementReport,
        )
        document = sr.Comprehensive3DSR(
            evidence=[as_mr(header) for header in sources],
            content=content[0],
            is_complete=True,
            is_final=False,  # preliminary: no person has looked at it
            series_description=f"tumorlens {level} {RESEARCH}",
            **identifiers,
        )
        state_classes(document, sources)
        return finished(document)


def _observer(algorithm: Algorithm) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID(uid_of("device", algorithm.sha256)),
        name="tumorlens",
        manufacturer_name=MANUFACTURER,
        model_name=algorithm.name,
        serial_number=algorithm.sha256[:16],
    )
    context = sr.ObserverContext(codes.DCM.Device, device)
    return sr.ObservationContext(observer_device_context=context)


def _group(
    pointed: Dataset, said: Reported, algorithm: Algorithm, instance_uid: str
) -> sr.MeasurementsAndQualitativeEvaluations:
    """One group (TID 1501): decision, class, probabilities, and the slice they point at."""
    _, frame = said.reference
    frames = None if frame is None else [frame]
    side = coded.SIDES[said.side] if said.side else None
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid_of("answer", instance_uid), "tumorlens answer"
        ),
        finding_type=coded.finding_type(said.decision, said.label, said.classes),
        algorithm_id=sr.AlgorithmIdentification(
            f"tumorlens {algorithm.name}", algorithm.version, [f"model sha256 {algorithm.sha256}"]
        ),
        finding_sites=[sr.FindingSite(coded.site(said.label), laterality=side)],
        measurements=_measurements(said),
        qualitative_evaluations=_evaluations(said),
        source_images=[
            sr.SourceImageForMeasurementGroup(pointed.SOPClassUID, pointed.SOPInstanceUID, frames)
        ],
    )
    for sentence in (said.summary, RESEARCH_NOTICE, said.reason, *said.notes):
        if sentence:
            text = sr.TextContentItem(
                coded.COMMENT, sentence[:_LONGEST_TEXT], sr.RelationshipTypeValues.CONTAINS
            )
            group[0].ContentSequence.append(text)
    return group


def _measurements(said: Reported) -> list[sr.Measurement]:
    members = {member.name: member for member in said.classes.members}
    pairs = [
        (coded.probability(members[name]), value) for name, value in said.probabilities.items()
    ]
    if said.tumor_probability is not None:
        pairs.insert(0, (coded.finding_probability(said.classes), said.tumor_probability))
    return [sr.Measurement(name, round(value, 6), coded.NO_UNITS) for name, value in pairs]


def _evaluations(said: Reported) -> list[sr.QualitativeEvaluation]:
    """Status and decision; then the two levels: whether there is a tumour, and of which kind."""
    pairs = [
        (coded.STATUS, coded.RESEARCH),
        (coded.DECISION, coded.decision(said.decision, said.classes)),
    ]
    presence = coded.presence(said.decision, said.label, said.classes)
    if presence is not None:
        pairs.append((coded.question(said.classes), presence))
    if said.label is not None:
        (member,) = (member for member in said.classes.members if member.name == said.label)
        pairs.append((coded.CLASS, coded.label(member)))
    return [sr.QualitativeEvaluation(name, value) for name, value in pairs]
