"""Reports and captures open again, point where they should, and pass a validator."""

import io
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

pytest.importorskip("highdicom", reason="needs the pacs extra")

from tumorlens.errors import CorruptInputError
from tumorlens.imaging.dicom.derived import DicomObject, uid_of
from tumorlens.imaging.dicom.identification import identification
from tumorlens.imaging.study import read_study
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.fusion import fuse_examinations
from tumorlens.inference.record import VolumePrediction
from tumorlens.inference.volume import answer_image
from tumorlens.labels import CLASSES, RESEARCH_NOTICE
from tumorlens.reporting.dicom_answer import dicom_answer, dicom_study_answer, is_dicom

_SR = "1.2.840.10008.5.1.4.1.1.88.34"
_SC = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def folder(tmp_path: Path, write_series: Callable[..., list[bytes]]) -> Path:
    for index, data in enumerate(write_series(5, PatientID="P1", PatientName="Phan^Tom")):
        (tmp_path / f"{index}.dcm").write_bytes(data)
    return tmp_path


def _answers(classifier: Classifier, folder: Path, **changes: object) -> list[DicomObject]:
    image = read_study(folder).images[0]
    assert is_dicom(image)
    answered = answer_image(classifier, image)
    changed = msgspec.structs.replace(answered.answer, **changes)
    return dicom_answer(answered._replace(answer=changed))


def _opened(made: DicomObject) -> Dataset:
    dataset: Dataset = dcmread(io.BytesIO(made.data))
    return dataset


def _items(dataset: Dataset) -> list[Dataset]:
    found = list(dataset.get("ContentSequence", ()))
    return found + [deep for item in found for deep in _items(item)]


def test_the_report_names_the_answer_the_model_and_its_sources(
    classifier: Classifier, folder: Path
) -> None:
    report = _opened(_answers(classifier, folder)[0])
    assert report.SOPClassUID == _SR
    assert (report.StudyInstanceUID, report.PatientID) == ("1.2", "P1")
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    referred = {
        image.ReferencedSOPInstanceUID
        for keyword in (
            "CurrentRequestedProcedureEvidenceSequence",
            "PertinentOtherEvidenceSequence",
        )
        for study in report.get(keyword, ())
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    }
    assert referred == {f"1.2.3.{number}" for number in range(1, 6)}
    items = _items(report)
    texts = [item.TextValue for item in items if item.ValueType == "TEXT"]
    assert RESEARCH_NOTICE in texts
    assert f"model sha256 {classifier.model.sha256}" in texts
    measured = {
        item.ConceptNameCodeSequence[0].CodeValue: item.MeasuredValueSequence[0]
        for item in items
        if item.ValueType == "NUM"
    }
    assert set(measured) == {f"p-{name}" for name in (*CLASSES, "tumor")}
    shares = {name: float(value.NumericValue) for name, value in measured.items()}
    assert shares["p-tumor"] == pytest.approx(1 - shares["p-notumor"], abs=1e-5)
    units = {value.MeasurementUnitsCodeSequence[0].CodeValue for value in measured.values()}
    assert units == {"1"}


@pytest.mark.parametrize(
    ("decision", "label", "presence"),
    [*(("classified", name, "52101004") for name in CLASSES if name != "notumor"),
     ("classified", "notumor", "272519000"), ("detected", None, "52101004"),
     ("abstained", None, "82334004")],
)  # fmt: skip
def test_presence_and_kind_are_coded(
    classifier: Classifier, folder: Path, decision: str, label: str | None, presence: str
) -> None:
    report = _opened(_answers(classifier, folder, label=label, decision=decision, finding=None)[0])
    codes = {
        item.ConceptCodeSequence[0].get("CodeValue")
        for item in _items(report)
        if item.ValueType == "CODE"
    }
    assert ("108369006" in codes) == (presence == "52101004"), "the finding is a neoplasm"
    assert codes & {"52101004", "272519000", "82334004"} == {presence}
    assert decision in codes
    assert codes & set(CLASSES) == ({label} if label else set())


def test_a_refusal_has_a_reason_and_neither_probabilities_nor_overlay(
    classifier: Classifier, folder: Path
) -> None:
    changes = {
        "label": None, "decision": "rejected", "reason": "no head", "summary": "Rejected: no head.",
        "finding": None, "probabilities": None, "tumor_probability": None,
    }  # fmt: skip
    (made,) = _answers(classifier, folder, **changes)
    items = _items(_opened(made))
    assert not [item for item in items if item.ValueType == "NUM"]
    assert "Rejected: no head." in [item.TextValue for item in items if item.ValueType == "TEXT"]


def test_the_capture_refers_to_the_slice_it_shows(classifier: Classifier, folder: Path) -> None:
    answer = answer_image(classifier, read_study(folder).images[0]).answer
    assert isinstance(answer, VolumePrediction)
    capture = _opened(_answers(classifier, folder, finding=None)[1])
    assert (capture.SOPClassUID, capture.StudyInstanceUID) == (_SC, "1.2")
    assert (
        capture.SourceImageSequence[0].ReferencedSOPInstanceUID
        == f"1.2.3.{answer.decisive_slice + 1}"
    )
    assert "RESEARCH ONLY" in capture.SeriesDescription
    pixels = capture.pixel_array
    assert pixels.shape == (capture.Rows, capture.Columns, 3)
    assert pixels.std() > 1


def test_of_what_is_unsure_both_show_the_most_suspicious_slice(
    classifier: Classifier, folder: Path
) -> None:
    image = read_study(folder).images[0]
    answer = answer_image(classifier, image).answer
    assert isinstance(answer, VolumePrediction)
    sure = dict.fromkeys(CLASSES, 0.0) | {"notumor": 1.0}
    slices = [msgspec.structs.replace(one, probabilities=sure) for one in answer.slices]
    doubt = dict.fromkeys(CLASSES, 0.25)
    slices[3] = msgspec.structs.replace(slices[3], probabilities=doubt)
    unsure = {"decision": "abstained", "label": None, "finding": None, "slices": tuple(slices)}
    report, capture = (_opened(made) for made in _answers(classifier, folder, **unsure))
    assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    (pointed,) = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in _items(report)
        if item.ValueType == "IMAGE"
    }
    assert pointed == "1.2.3.4"


def test_the_overlay_says_what_its_map_shows(classifier: Classifier, folder: Path) -> None:
    glioma, other = (
        _opened(_answers(classifier, folder, label=label, finding=None)[1]).pixel_array
        for label in ("glioma", "pituitary")
    )
    line = slice(-48, -24)  # above the research notice
    assert (glioma[line] != other[line]).any()
    assert (glioma[-24:] == other[-24:]).all()


def test_the_same_study_and_model_make_the_same_objects(
    classifier: Classifier, folder: Path, write_series: Callable[..., list[bytes]]
) -> None:
    first = [made.sop_instance_uid for made in _answers(classifier, folder)]
    assert [made.sop_instance_uid for made in _answers(classifier, folder)] == first
    (folder / "5.dcm").write_bytes(write_series(6, PatientID="P1")[5])
    assert not set(first) & {made.sop_instance_uid for made in _answers(classifier, folder)}


def test_uids_are_valid_and_differ() -> None:
    uids = {uid_of("a", "b"), uid_of("ab"), uid_of("a", "b", "")}
    assert len(uids) == 3
    assert all(len(uid) <= 64 and uid.startswith("2.25.") for uid in uids)


def test_a_source_without_study_cannot_be_referred_to(
    classifier: Classifier, tmp_path: Path, write_dicom: Callable[..., bytes], head: object
) -> None:
    (tmp_path / "one.dcm").write_bytes(write_dicom(head, StudyInstanceUID=None))
    with pytest.raises(CorruptInputError, match="StudyInstanceUID"):
        _answers(classifier, tmp_path)


@pytest.mark.filterwarnings("ignore:The value length", "ignore:Invalid value")
@pytest.mark.parametrize("uid", ["1." + "9" * 80, "1.2 3"])
def test_a_source_of_an_impossible_uid_cannot_be_referred_to(
    classifier: Classifier, tmp_path: Path, write_dicom: Callable[..., bytes], head: object,
    uid: str,
) -> None:  # fmt: skip
    (tmp_path / "one.dcm").write_bytes(write_dicom(head, StudyInstanceUID=uid))
    with pytest.raises(CorruptInputError, match="StudyInstanceUID is not a UID of at most 64"):
        _answers(classifier, tmp_path)


@pytest.mark.parametrize("keyword", ["ReferringPhysicianName", "PatientName"])
def test_two_names_where_there_is_one_cost_no_report(
    classifier: Classifier, folder: Path, keyword: str
) -> None:
    for file in folder.iterdir():
        dataset = dcmread(file)
        dataset.add_new(keyword, "PN", "Doe^A\\Roe^B")
        dataset.save_as(file)
    for made in map(_opened, _answers(classifier, folder)):
        assert str(made[keyword].value) == "Doe^A, Roe^B"


def test_images_of_a_makers_own_class_are_reported_as_such(
    classifier: Classifier, folder: Path
) -> None:
    own = "1.3.46.670589.5.0.10"
    for file in folder.iterdir():
        dataset = dcmread(file)
        dataset.SOPClassUID = own
        dataset.file_meta.MediaStorageSOPClassUID = UID(own)
        dataset.save_as(file)
    report, overlay = map(_opened, _answers(classifier, folder))
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    evidence = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert {one.ReferencedSOPClassUID for one in evidence} == {own}
    assert overlay.SourceImageSequence[0].ReferencedSOPClassUID == own
    assert report.PatientID == overlay.PatientID == "P1"


def test_a_frame_of_a_multi_frame_file_is_named(
    classifier: Classifier, tmp_path: Path, write_dicom: Callable[..., bytes],
    head: NDArray[np.uint8],
) -> None:  # fmt: skip
    (tmp_path / "many.dcm").write_bytes(write_dicom(np.stack([head // 2, head // 3, head])))
    report, capture = map(_opened, _answers(classifier, tmp_path, finding=None))
    assert capture.SourceImageSequence[0].ReferencedFrameNumber == 2
    (pointed,) = (item for item in _items(report) if item.ValueType == "IMAGE")
    assert pointed.ReferencedSOPSequence[0].ReferencedFrameNumber == 2


@pytest.mark.parametrize("packed", [False, True])
def test_our_objects_in_a_study_are_passed_over_not_faulty(
    classifier: Classifier, folder: Path, tmp_path_factory: pytest.TempPathFactory, packed: bool
) -> None:
    for number, made in enumerate(_answers(classifier, folder)):
        (folder / f"answer-{number}").write_bytes(made.data)
    where = folder
    if packed:
        target = tmp_path_factory.mktemp("packed") / "study"
        where = Path(shutil.make_archive(str(target), "zip", folder))
    study = read_study(where)
    assert [image.depth for image in study.images] == [5]
    assert (study.failures, study.skipped, study.own) == ([], 0, 2)


NAMES = {
    "Japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    "Korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "Chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
    "Cyrillic": ("ISO_IR 144", "Люксембург^Роза"),
    "Greek": ("ISO_IR 126", "Διονυσιος"),
    "Hebrew": ("ISO_IR 138", "שרון^דבורה"),
    "Arabic": ("ISO_IR 127", "قباني^لنزار"),
    "Latin": ("ISO_IR 100", "Äneas^Rüdiger"),
    "Polish": ("ISO_IR 101", "Wałęsa^Łucja"),
    "Unicode": ("ISO_IR 192", "Wang^XiaoDong=王^小東=Вáнг"),
}


def _with_raw(folder: Path, sets: bytes, name: bytes) -> None:
    """Put bytes into the header as they are, whatever the standard says of them."""
    for file in folder.iterdir():
        dataset = dcmread(file)
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.PatientName = "X" * (len(name) + len(name) % 2)
        dataset.save_as(file)
        data = file.read_bytes()
        data = data.replace(
            b"X" * (len(name) + len(name) % 2), name.ljust(len(name) + len(name) % 2)
        )
        file.write_bytes(data.replace(b"ISO_IR 100", sets.ljust(10)))


@pytest.mark.parametrize("script", NAMES)
def test_names_arrive_as_they_were(classifier: Classifier, folder: Path, script: str) -> None:
    """In report and overlay, in a character set that these state."""
    character_set, name = NAMES[script]
    for file in folder.iterdir():
        dataset = dcmread(file)
        dataset.SpecificCharacterSet, dataset.PatientName = character_set, name
        dataset.ReferringPhysicianName = name
        dataset.save_as(file)
    for made in map(_opened, _answers(classifier, folder)):
        assert str(made.PatientName) == str(made.ReferringPhysicianName) == name
        assert made.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize("sets", [b"UTF-8", b"utf8", b"ISO IR 192", b""])
def test_character_sets_that_the_standard_does_not_have(
    classifier: Classifier, folder: Path, sets: bytes
) -> None:
    _with_raw(folder, sets, "Müller^Änne=王".encode())
    for made in map(_opened, _answers(classifier, folder)):
        assert str(made.PatientName) == "Müller^Änne=王"


@pytest.mark.parametrize(
    ("sets", "name", "codec"),
    [
        (b"ISO_IR 100", "Müller^王", "utf-8"),
        (b"KLINGON", "Müller", "utf-8"),
        (b"ISO_IR 149", "홍^길동", "euc-kr"),
        (b"EUC-KR", "홍^길동", "euc-kr"),
        (b"CP1251", "Петров^Иван", "cp1251"),
        (b"SHIFT_JIS", "山田^太郎", "shift_jis"),
        (b"ISO_IR 166", "นามสกุล", "tis-620"),
        (b"ISO_IR 148", "Çavuşoğlu", "iso8859-9"),
        (b"iso_ir 144", "Иванов", "iso8859-5"),
        (b"", "Müller", "latin-1"),
    ],
)
def test_character_sets_that_are_wrong_or_misspelt(sets: bytes, name: str, codec: str) -> None:
    assert identification(_named(sets, name.encode(codec))).PatientName == name


def test_escape_sequences_in_each_part_of_a_name() -> None:
    given = b"\x1b$)A" + "张".encode("gb2312") + b"^\x1b$)A" + "小东".encode("gb2312")
    header = _named(b"\\ISO 2022 IR 58", b"Zhang^XiaoDong=" + given)
    assert identification(header).PatientName == "Zhang^XiaoDong=张^小东"


def _named(sets: bytes, name: bytes) -> Dataset:
    """A header as it is read: its text not decoded yet."""
    header = Dataset()
    for keyword, kind, value in (
        ("SpecificCharacterSet", "CS", sets), ("PatientName", "PN", name),
    ):  # fmt: skip
        padded = value + b" " * (len(value) % 2)
        tag = Tag(keyword)
        header[tag] = RawDataElement(tag, kind, len(padded), padded, 0, False, True)
    return header


ODD = {
    "PatientBirthDate": b"1960", "StudyDate": b"01/02/20", "StudyTime": b"25:61:99",
    "PatientSex": b"unknown", "PatientAge": b"old", "PatientWeight": b"about 70",
    "PatientBirthTime": b"noon",
}  # fmt: skip


def _header_of(keyword: str) -> bytes:
    """Tag and value representation, explicit little endian."""
    tag = Tag(keyword)
    return struct.pack("<HH2s", tag.group, tag.element, dictionary_VR(keyword).encode())


@pytest.mark.parametrize("keyword", ODD)
def test_what_of_the_patient_is_malformed_costs_no_report(
    classifier: Classifier, folder: Path, keyword: str
) -> None:
    for file in folder.iterdir():
        dataset = dcmread(file)
        dataset.add_new(keyword, dictionary_VR(keyword), "")
        dataset.save_as(file)
        odd = ODD[keyword] + b" " * (len(ODD[keyword]) % 2)
        head = _header_of(keyword)
        data = file.read_bytes()
        assert data.count(head + bytes(2)) == 1
        file.write_bytes(data.replace(head + bytes(2), head + len(odd).to_bytes(2, "little") + odd))
    report, overlay = map(_opened, _answers(classifier, folder))
    assert report.PatientID == overlay.PatientID == "P1"
    assert not report.get(keyword)


def test_captures_of_other_makers_are_images_of_their_own(
    classifier: Classifier, folder: Path
) -> None:
    capture = _opened(_answers(classifier, folder)[1])
    capture.Manufacturer = "another maker"
    capture.save_as(folder / "capture")
    study = read_study(folder)
    assert sorted(image.is_volume for image in study.images) == [False, True]
    assert (study.failures, study.own) == ([], 0)


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="needs dciodvfy of dicom3tools")
def test_the_objects_conform_to_the_standard(classifier: Classifier, folder: Path) -> None:
    for made in _answers(classifier, folder):
        file = folder / "made"
        file.write_bytes(made.data)
        told = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False)
        assert "Error" not in told.stderr, told.stderr
        assert told.returncode == 0


@pytest.mark.parametrize("decisive", [0, 1])
def test_the_report_of_a_study_refers_to_a_slice_of_the_decisive_series(
    classifier: Classifier,
    tmp_path: Path,
    write_series: Callable[..., list[bytes]],
    decisive: int,
) -> None:
    for series in ("1.2.3", "1.2.4"):
        for index, data in enumerate(write_series(5, series=series)):
            (tmp_path / f"{series}.{index}.dcm").write_bytes(data)
    images = read_study(tmp_path).images
    answers = [answer_image(classifier, image).answer for image in images]
    ((study, indices),) = fuse_examinations(classifier, "study", answers, [i.facts for i in images])
    assert indices == [0, 1]
    study = msgspec.structs.replace(study, decisive_member=decisive)
    report = _opened(dicom_study_answer(study, images, answers))
    shown = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in _items(report)
        if item.ValueType == "IMAGE"
    }
    assert {uid.rpartition(".")[0] for uid in shown} == {("1.2.3", "1.2.4")[decisive]}
