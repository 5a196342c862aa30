"""A new report names those that it replaces, and no others."""

import io
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

pytest.importorskip("highdicom", reason="needs the pacs extra")

from tumorlens.imaging.dicom.derived import Algorithm, DicomObject
from tumorlens.imaging.dicom.report import Reported, report
from tumorlens.imaging.dicom.revision import revised

_MODEL = Algorithm("tiny", "1", "a" * 64)
_OTHER_MODEL = Algorithm("tiny", "2", "b" * 64)
_Make = Callable[..., DicomObject]


@pytest.fixture
def make(write_series: Callable[..., list[bytes]]) -> _Make:
    """Reports of images of a series; ``empty`` that none of them can be used."""

    def make(
        images: Iterable[int], series: str = "1.2.3", model: Algorithm = _MODEL, *,
        empty: bool = False, level: str = "series",
    ) -> DicomObject:  # fmt: skip
        files = write_series(9, series=series)
        headers = [dcmread(io.BytesIO(files[index])) for index in images]
        said = Reported(
            decision="rejected" if empty else "abstained", label=None, reason="", summary="s",
            tumor_probability=None if empty else 0.5, probabilities={}, reference=(0, None),
        )  # fmt: skip
        return report(headers, said, model, "test", level=level)

    return make


@pytest.fixture
def replaced(tmp_path: Path) -> Callable[..., list[set[str]]]:
    """UIDs of the reports of ``delivered`` that each of ``made`` names."""

    def replaced(made: list[DicomObject], delivered: list[DicomObject]) -> list[set[str]]:
        paths = [tmp_path / f"{number}.dcm" for number in range(len(delivered))]
        for path, one in zip(paths, delivered, strict=True):
            path.write_bytes(one.data)
        return [_named(dcmread(io.BytesIO(one.data))) for one in revised(made, paths)]

    return replaced


def _named(dataset: Dataset) -> set[str]:
    return {
        str(one.ReferencedSOPInstanceUID)
        for study in dataset.get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }


_Replaced = Callable[[list[DicomObject], list[DicomObject]], list[set[str]]]


def test_of_two_stacks_of_a_series_the_one_that_grew(make: _Make, replaced: _Replaced) -> None:
    before, other, after = make([0, 1]), make([4, 5]), make([0, 1, 2])
    assert replaced([after, other], [before, other]) == [{before.sop_instance_uid}, set()]
    beside = make([6, 7])  # a third stack, of images that no report had
    assert replaced([before, beside], [before]) == [set(), set()]


def test_that_of_another_model_too(make: _Make, replaced: _Replaced) -> None:
    before, after = make([0, 1]), make([0, 1, 2], model=_OTHER_MODEL)
    assert replaced([after], [before]) == [{before.sop_instance_uid}]


def test_that_no_image_can_be_used_whichever_they_were(make: _Make, replaced: _Replaced) -> None:
    before = make([0], "1.2.4", empty=True)
    assert replaced([make([0, 1])], [before]) == [{before.sop_instance_uid}]


def test_a_series_that_is_no_longer_answered_is_not_replaced_by_that_of_another(
    make: _Make, replaced: _Replaced
) -> None:
    assert replaced([make([0, 1])], [make([0], "1.2.4")]) == [set()]


def test_a_report_of_the_study_does_not_replace_that_of_a_series(
    make: _Make, replaced: _Replaced
) -> None:
    assert replaced([make([0, 1, 2], level="study")], [make([0, 1])]) == [set()]


def test_a_damaged_file_of_an_earlier_report_costs_only_the_reference(
    make: _Make, tmp_path: Path
) -> None:
    before, after = make([0, 1]), make([0, 1, 2])
    path = tmp_path / "before.dcm"
    for data in (b"", b"no DICOM", before.data[:500], bytes(1000)):
        path.write_bytes(data)
        assert revised([after], [path, tmp_path / "none.dcm"]) == [after]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools")
def test_a_validator_finds_no_error(make: _Make, tmp_path: Path) -> None:
    path = tmp_path / "before.dcm"
    path.write_bytes(make([0, 1]).data)
    (after,) = revised([make([0, 1, 2])], [path])
    path.write_bytes(after.data)
    told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    assert "PredecessorDocumentsSequence" in str(dcmread(path).dir())
    assert not [line for line in told.stderr.splitlines() if line.startswith("Error")]
