"""A study without one usable image: whoever sent it is told so, and why."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from tests.pacs.archives import REPORT
from tests.pacs.machines import answer_here

from tumorlens import bundle
from tumorlens.imaging.dicom import codes
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import REJECTED
from tumorlens.labels import BRAIN_TUMORS
from tumorlens.pacs import operate
from tumorlens.pacs.spool import SENT, Spool
from tumorlens.pacs.worker import Worker


class _Kept:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.objects: list[tuple[str, Dataset]] = []

    def send(self, path: Path, sop_class_uid: str) -> None:
        self.objects.append((sop_class_uid, dcmread(path)))


@pytest.fixture
def classifier(tiny_bundle: Path) -> Classifier:
    return Classifier(bundle.load(str(tiny_bundle)))


@pytest.fixture
def answer(spool: Spool, classifier: Classifier) -> Callable[..., list[Dataset]]:
    def answer(*files: bytes) -> list[Dataset]:
        for number, data in enumerate(files):
            spool.accept("1.2", f"1.2.{number}", data)
        kept = _Kept()
        Worker(spool, answer_here(classifier), kept, quiet_s=0, keep_s=3600).once()
        assert [one.state for one in operate.statuses(spool)] == [SENT]
        assert all(kind == REPORT for kind, _ in kept.objects)
        return [dataset for _, dataset in kept.objects]

    return answer


def _texts(dataset: Dataset) -> str:
    """All texts and meanings of codes in a report."""
    found: list[str] = []

    def visit(item: Dataset) -> None:
        found.append(str(item.get("TextValue", "")))
        found.extend(str(code.CodeMeaning) for code in item.get("ConceptCodeSequence", []))
        for child in item.get("ContentSequence", []):
            visit(child)

    visit(dataset)
    return "\n".join(found)


_CASES: list[tuple[str, dict[str, Any], str]] = [
    ("blank", {}, "1 without contrast"),
    ("head", {"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"},
     "1 not magnetic resonance"),
    ("head", {"Rows": 20, "Columns": 20}, "1 "),
    ("head", {"PixelData": None}, "1 no image in a known format"),
]  # fmt: skip


@pytest.mark.parametrize(("pixels", "tags", "why"), _CASES)
def test_the_report_says_that_no_image_can_be_used_and_why(
    answer: Callable[..., list[Dataset]], caplog: pytest.LogCaptureFixture,
    write_dicom: Callable[..., bytes], head: NDArray[np.uint8],
    pixels: str, tags: dict[str, Any], why: str,
) -> None:  # fmt: skip
    image = head if pixels == "head" else np.zeros_like(head)
    (report,) = answer(write_dicom(image, PatientName="Nobody^Known", PatientID="ID7", **tags))
    assert (report.StudyInstanceUID, report.PatientID) == ("1.2", "ID7")
    texts = _texts(report)
    assert "No image of this study can be used (" in texts
    assert why in texts
    assert codes.decision(REJECTED, BRAIN_TUMORS).meaning in texts
    assert "no image can be used; a report with the reason is sent" in caplog.text


def test_one_that_cannot_be_read_at_all_is_told_in_the_log(
    answer: Callable[..., list[Dataset]], caplog: pytest.LogCaptureFixture
) -> None:
    assert answer(b"no DICOM") == []
    assert "no image can be used, and no report can be made" in caplog.text


def test_unreadable_files_do_not_hide_those_that_say_whose_they_are(
    answer: Callable[..., list[Dataset]], write_dicom: Callable[..., bytes],
    head: NDArray[np.uint8],
) -> None:  # fmt: skip
    (report,) = answer(b"no DICOM", write_dicom(np.zeros_like(head), PatientID="ID7"))
    assert report.PatientID == "ID7"


def test_our_own_answers_that_come_back_are_not_answered(
    answer: Callable[..., list[Dataset]], classifier: Classifier, tmp_path: Path,
    write_dicom: Callable[..., bytes], head: NDArray[np.uint8],
) -> None:  # fmt: skip
    (report,) = answer(write_dicom(np.zeros_like(head)))
    out = io.BytesIO()
    report.save_as(out)
    other = Spool(tmp_path / "other")
    other.accept("1.2", "1.2.9", out.getvalue())
    kept = _Kept()
    Worker(other, answer_here(classifier), kept, quiet_s=0, keep_s=3600).once()
    assert kept.objects == []
    assert other.counts() == {SENT: 1}
