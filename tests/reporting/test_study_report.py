"""One study as one HTML file: what it says together, and that it asks nobody for anything."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.answers import REASON, image, member, study
from tests.answers import volume as of_volume

from tumorlens.bundle import Bundle, ConformalThresholds, DecisionRule
from tumorlens.errors import CorruptInputError
from tumorlens.imaging import reader
from tumorlens.imaging.image import MedicalImage
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import (
    Failure,
    Finding,
    SequenceAnswer,
    SlicePrediction,
    VolumePrediction,
)
from tumorlens.inference.session import Outputs
from tumorlens.inference.volume import Answered, answer_image, slice_of
from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.reporting.study_report import Entry, entry, strip, write

Gray = NDArray[np.uint8]
MADE = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
FAILED = Entry(Failure.from_error("x.png", CorruptInputError("x.png: damaged")))


def test_words_of_an_entry_are_those_of_its_record() -> None:
    one = Entry(image(decision="detected"))
    assert (one.result.decision, one.headline) == ("detected", "Tumour detected, kind uncertain")
    assert (FAILED.result.decision, FAILED.headline) == ("failed", "Failed")
    assert FAILED.result.summary == "x.png: damaged"


@pytest.fixture
def volume(head: Gray) -> MedicalImage:
    """Eight slices that differ, the second blank."""
    pixels = np.stack([np.roll(head, 9 * shift, axis=0) for shift in range(8)]).astype(np.float32)
    pixels[1] = 7
    return MedicalImage(pixels, "folder/v.tif", 8, "L")


def _entry_of(classifier: Classifier, image: MedicalImage) -> Entry:
    answered = answer_image(classifier, image)
    return entry(answered.answer, answered)


def test_a_volume_is_drawn_at_its_finding(classifier: Classifier, volume: MedicalImage) -> None:
    answered = answer_image(classifier, volume, explain=True)
    answer = answered.answer
    assert isinstance(answer, VolumePrediction)
    assert answer.finding is not None
    made = entry(answer, answered)
    plain, overlaid = made.images
    assert f"Slice {answer.finding.middle + 1} of 8, the middle of the finding" in plain.caption
    assert plain.source.startswith("data:image/jpeg;base64,")
    assert overlaid.source.startswith("data:image/png;base64,")
    bars = strip(answer)
    assert [bar.kind for bar in bars].count("middle") == 1
    assert bars[answer.finding.middle].kind == "middle"
    assert (bars[1].kind, bars[1].height) == ("none", 0.0)
    assert bars[-1].left + bars[-1].width == pytest.approx(1.0)
    assert dict(made.facts)["Slices"] == "8, distance not stated"


def test_what_is_unsure_shows_its_most_suspicious_slice(
    classifier: Classifier, volume: MedicalImage
) -> None:
    strict = DecisionRule(tumor_threshold=1.0, notumor_threshold=1.0)
    info = msgspec.structs.replace(classifier.bundle.info, decision=strict)
    careful = Classifier(Bundle(info, classifier.bundle.model))
    answered = answer_image(careful, volume, explain=True)
    answer = answered.answer
    assert isinstance(answer, VolumePrediction)
    suspicions = [one.tumor_probability or 0.0 for one in answer.slices if one.counted]
    place = answer.decisive_slice + 1
    assert answer.slices[place - 1].tumor_probability == max(suspicions)
    made = entry(answer, answered)
    assert made.headline == "Abstained"
    caption = made.images[0].caption
    assert f"Slice {place} of 8, the most suspicious one; this slice alone: tumour " in caption


def test_a_refused_image_has_no_heatmap(classifier: Classifier, head: Gray) -> None:
    image = MedicalImage(head.astype(np.float32), "a.png", 8, "L")
    answered = answer_image(classifier, image)
    answer = answered.answer
    refused = msgspec.structs.replace(answer, decision="rejected", label=None, reason="no head")
    assert len(entry(refused, answered._replace(answer=refused)).images) == 1
    assert entry(answer, answered, with_images=False).images == ()


def test_the_file_says_all_and_asks_nobody(
    classifier: Classifier, volume: MedicalImage, tmp_path: Path
) -> None:
    rule = ConformalThresholds(
        coverage=0.9, thresholds=(0.0, 0.0, 1.0, 1.0), chosen_on="squares validation"
    )
    info = msgspec.structs.replace(classifier.bundle.info, prediction_sets=rule)
    open_minded = Classifier(Bundle(info, classifier.bundle.model))
    answered = answer_image(open_minded, volume, explain=True)
    answer = answered.answer
    held = [Entry(image(decision="abstained")), Entry(image(decision="rejected"))]
    entries = [entry(answer, answered), *held, FAILED]
    page = write(tmp_path / "report.html", entries, info, MADE).read_text("utf-8")
    assert "http://" not in page
    assert "https://" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#entry-)", page)
    assert "default-src 'none'" in page
    for words in (
        RESEARCH_NOTICE, "2026-01-02 03:04 UTC", classifier.model.sha256, "Not excluded:",
        "squares validation", "x.png: damaged", f"{REASON.capitalize()}.", "Rejected",
    ):  # fmt: skip
        assert words in page
    assert page.count('class="strip"') == 1
    for number, one in enumerate(entries, start=1):
        assert f'href="#entry-{number}"' in page
        assert f'id="entry-{number}"' in page
        assert one.result.summary.replace(">", "&gt;") in page


def test_names_from_files_are_text(
    classifier: Classifier, volume: MedicalImage, tmp_path: Path
) -> None:
    answered = answer_image(classifier, volume)
    evil = msgspec.structs.replace(answered.answer, path="<script>alert(1)</script>")
    answered = answered._replace(answer=evil)
    made = write(tmp_path / "r.html", [entry(evil, answered)], classifier.bundle.info, MADE)
    assert "<script" not in made.read_text("utf-8")


def test_facts_of_a_series(
    classifier: Classifier, tmp_path: Path, write_series: Callable[..., list[bytes]]
) -> None:
    from tumorlens.imaging.study import read_study

    tags = {"SeriesDescription": "t1 tra", "ContrastBolusAgent": "Gd", "SequenceName": "*tfl3d1"}
    for index, data in enumerate(write_series(5, **tags)):
        (tmp_path / f"{index}.dcm").write_bytes(data)
    (image,) = read_study(tmp_path).images
    made = _entry_of(classifier, image)
    facts = dict(made.facts)
    assert made.name == "t1 tra"
    assert facts["Contrast agent"] == "Gd"
    assert facts["Sequence"] == "*tfl3d1"
    assert facts["Slices"] == "5, 5 mm apart"
    assert facts["Pixel spacing"] == "1 × 1 mm"
    assert "Phantom" not in str(made)  # the patient's name


def test_images_name_the_sides_that_their_file_states(
    classifier: Classifier, head: Gray, write_dicom: Callable[..., bytes]
) -> None:
    """The same pixels, from a file that says where they lie in the patient and from one not."""
    made = []
    for tags in ({}, {"ImageOrientationPatient": None}):
        image = reader.read_bytes(write_dicom(head, **tags))
        made.append(_entry_of(classifier, image).images)
    for stated, unknown in zip(*made, strict=True):
        assert stated.source != unknown.source
    assert "Left edge: R; top edge: A" in made[0][0].caption
    assert "Left is" not in made[1][0].caption


class _Counting(Classifier):
    """Counts the images that the network sees."""

    seen = 0

    def forward(self, batch: Gray) -> Outputs:
        self.seen += len(batch)
        return super().forward(batch)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_a_heatmap_of_a_volume_costs_no_second_pass(
    classifier: Classifier, volume: MedicalImage, threshold: float
) -> None:
    rule = DecisionRule(tumor_threshold=threshold, notumor_threshold=1.0)
    info = msgspec.structs.replace(classifier.bundle.info, decision=rule)
    counting = _Counting(Bundle(info, classifier.bundle.model))
    answered = answer_image(counting, volume)
    assert counting.seen == 7  # one of the eight is blank
    assert len(entry(answered.answer, answered).images) == 2
    assert counting.seen == 7
    assert isinstance(answered.answer, VolumePrediction)
    plane = slice_of(volume, answered.answer.decisive_slice)
    (again,) = counting.answer([counting.prepare(plane)])
    assert answered.heatmap() == again.heatmap()


def test_a_study_says_what_each_of_its_series_contributes() -> None:
    used, blank = member("folder/t1", 1.0, 0.851, "T1"), member("folder/b", 0.0, None, None)
    whole = entry(study(used, member("folder/loc", 0.0, 0.99, "T2"), blank))
    assert whole.images == ()
    assert whole.facts == (
        ("t1", "T1: tumour 85.1%, weight 1"),
        ("loc", "T2: tumour 99.0%, weight 0"),
        ("b", "unknown sequence: no answer, weight 0"),
    )


def test_what_failed_has_an_entry_without_facts() -> None:
    failure = Failure.from_error("x.png", CorruptInputError("x.png: damaged"))
    made = entry(failure)
    assert made == Entry(failure)
    assert (made.name, made.summary) == ("x.png", "damaged")


_MIDDLE = "relative to the origin of coordinates"


@pytest.mark.parametrize(
    ("known", "fact"),
    [
        ({}, ("Finding", "slices 4 to 7, middle 5")),
        ({"last": 3, "middle": 3}, ("Finding", "slice 4")),
        ({"side": "left"}, ("Side", "left")),
        ({"side": "midline"}, ("Side", "near the midline")),
        (
            {"extent_mm": (31.4, 20.0, 12.6)},
            ("Extent of the map", "about 31 × 20 mm in the slice, 13 mm across slices"),
        ),
        (
            {"position_mm": (12.4, -30.0, 5.0)},
            ("Middle", f"12 mm left, 30 mm anterior, 5 mm superior, {_MIDDLE}"),
        ),
        (
            {"position_mm": (-12.4, 30.0, -5.0)},
            ("Middle", f"12 mm right, 30 mm posterior, 5 mm inferior, {_MIDDLE}"),
        ),
        ({"path": "folder/3.dcm"}, ("File of the middle slice", "3.dcm")),
        (
            {"path": "a.zip", "member": "s/3", "frame": 2},
            ("File of the middle slice", "a.zip/s/3, frame 2"),
        ),
    ],
)
def test_a_finding_is_described_from_where_the_patient_is(
    known: dict[str, Any], fact: tuple[str, str]
) -> None:
    """Coordinates of DICOM grow to the left, the back and the head of the patient."""
    finding = Finding(**{"first": 3, "middle": 4, "last": 6} | known)
    image = MedicalImage(np.zeros((8, 4, 6), np.float32), "v.nii", 8, "L")
    answer = of_volume(finding=finding, depth=8)
    facts = entry(answer, Answered(image, answer, ()), with_images=False).facts
    assert fact in facts
    assert ("Pixels", "4 × 6, 8 bits, L") in facts
    stated = {name for name, _ in facts} - {"File", "Pixels", "Slices", "Finding"}
    assert stated == {fact[0]} - {"Finding"}, "what is not known is left out"


def test_the_predicted_sequence_is_told_as_predicted() -> None:
    head = MedicalImage(np.zeros((8, 4, 6), np.float32), "v.nii", 8, "L")
    answer = of_volume(depth=8, sequence=SequenceAnswer(name="T1", probability=0.974))
    facts = dict(entry(answer, Answered(head, answer, ()), with_images=False).facts)
    assert facts["Predicted sequence"] == "T1 (97%)"


def test_each_bar_of_the_strip_says_what_its_slice_is() -> None:
    slices = [
        SlicePrediction(
            index=k, along_mm=None, counted=k != 1, decision="detected" if k else None,
            tumor_probability=k / 10,
        )
        for k in range(7)
    ]  # fmt: skip
    found = of_volume(depth=7, finding=Finding(first=3, middle=4, last=5))
    bars = strip(msgspec.structs.replace(found, slices=tuple(slices)))
    assert [bar.kind for bar in bars] == [
        "none", "uncounted", "outside", "inside", "middle", "inside", "outside",
    ]  # fmt: skip
    assert [bar.height for bar in bars] == [k / 10 for k in range(7)]
    assert [bar.left for bar in bars] == pytest.approx([k / 7 for k in range(7)])


def test_a_volume_that_is_refused_is_shown_in_its_middle(
    classifier: Classifier, volume: MedicalImage
) -> None:
    answered = answer_image(classifier, volume)
    refused = msgspec.structs.replace(
        answered.answer, decision="rejected", label=None, finding=None, heatmap=None
    )
    (drawn,) = entry(refused, answered._replace(answer=refused)).images
    assert drawn.caption.endswith(" of 8, the middle of the volume.")


def test_an_entry_is_called_by_its_series_or_its_file() -> None:
    assert Entry(study(member("folder/t1", 1.0, 0.9, "T1"))).name == "The study as a whole: study"
    assert Entry(image("folder/a.png")).name == "a.png"
    assert Entry(of_volume("folder/v.nii")).name == "v.nii"
