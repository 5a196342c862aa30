"""A report that replaces an earlier one refers to it.

PredecessorDocumentsSequence, PS3.3 C.17.2: an archive keeps both, and a reader must see which one
is out of date.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from pydicom import dcmread
from pydicom.dataset import Dataset

from tumorlens.errors import InputError
from tumorlens.imaging.dicom.classes import REPORT
from tumorlens.imaging.dicom.derived import DicomObject, finished, making
from tumorlens.imaging.dicom.parse import parse


class _Report(msgspec.Struct, frozen=True):
    study: str
    series: str
    uid: str
    kind: str
    """Its SeriesDescription: the report of a series, or of a study."""
    images: frozenset[str]
    """SOPInstanceUIDs of its evidence."""
    sources: frozenset[str]
    """SeriesInstanceUIDs of its evidence."""
    replaced: frozenset[str]
    """SOPInstanceUIDs of the reports that it names."""
    is_empty: bool
    """It holds no number: no image could be used."""


def revised(objects: Sequence[DicomObject], delivered: Sequence[Path]) -> list[DicomObject]:
    """``objects``, but new reports refer to those of ``delivered`` that they replace.

    ``objects`` are the answer of a study, ``delivered`` the files of earlier reports of it. Files
    that cannot be read are passed over. A report that is made again is up to date, and one that
    another of ``delivered`` names was replaced before.
    """
    earlier = list(_readable(delivered))
    if not earlier:
        return list(objects)
    known = {report.uid for report in earlier}
    new_uids = {new.sop_instance_uid for new in objects}
    done = new_uids.union(*(report.replaced for report in earlier))
    old = [report for report in earlier if report.uid not in done]
    return [
        _referring(new, old)
        if new.sop_class_uid == REPORT and new.sop_instance_uid not in known
        else new
        for new in objects
    ]


def _readable(paths: Sequence[Path]) -> Iterator[_Report]:
    for path in paths:
        try:
            with making("report", path.name):
                yield _facts(parse(path.read_bytes(), path.name))
        except (InputError, OSError):
            continue


def _facts(report: Dataset) -> _Report:
    evidence = list(_references(report, "CurrentRequestedProcedureEvidenceSequence"))
    return _Report(
        study=str(report.StudyInstanceUID),
        series=str(report.SeriesInstanceUID),
        uid=str(report.SOPInstanceUID),
        kind=str(report.SeriesDescription),
        images=frozenset(image for _, image in evidence),
        sources=frozenset(series for series, _ in evidence),
        replaced=frozenset(uid for _, uid in _references(report, "PredecessorDocumentsSequence")),
        is_empty=not _has_numbers(report),
    )


def _references(report: Dataset, keyword: str) -> Iterator[tuple[str, str]]:
    """(SeriesInstanceUID, SOPInstanceUID) of what a sequence of references names."""
    for study in report.get(keyword, ()):
        for series in study.ReferencedSeriesSequence:
            for instance in series.ReferencedSOPSequence:
                yield str(series.SeriesInstanceUID), str(instance.ReferencedSOPInstanceUID)


def _has_numbers(item: Dataset) -> bool:
    return item.get("ValueType") == "NUM" or any(
        _has_numbers(child) for child in item.get("ContentSequence", ())
    )


def _referring(new: DicomObject, old: Sequence[_Report]) -> DicomObject:
    report = dcmread(io.BytesIO(new.data))
    if not (replaced := _replaced(_facts(report), old)):
        return new
    report.PredecessorDocumentsSequence = [_reference(other) for other in replaced]
    return finished(report)


def _replaced(report: _Report, old: Sequence[_Report]) -> list[_Report]:
    """Those of ``old`` with common images; else of the same series; else those of no image."""
    alike = [other for other in old if other.kind == report.kind]
    return (
        [other for other in alike if other.images & report.images]
        or [other for other in alike if other.sources & report.sources]
        or [other for other in alike if other.is_empty]
    )


def _reference(report: _Report) -> Dataset:
    """Hierarchical SOP Instance Reference, PS3.3 table C.17-3."""
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = REPORT
    instance.ReferencedSOPInstanceUID = report.uid
    series.SeriesInstanceUID = report.series
    series.ReferencedSOPSequence = [instance]
    study.StudyInstanceUID = report.study
    study.ReferencedSeriesSequence = [series]
    return study
