"""Volumes, series and images in one stream of answers."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.answers import image, predict_inputs, told

from tumorlens import bundle
from tumorlens.errors import BlankImageError, CorruptInputError
from tumorlens.imaging import finder, reader
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.raster import encode
from tumorlens.imaging.study import read_study
from tumorlens.inference.brain_slices import Slices
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.fusion import study_path
from tumorlens.inference.record import Failure, Prediction, Result, VolumePrediction
from tumorlens.inference.stream import outcomes
from tumorlens.inference.volume import (
    Answered,
    Raw,
    answer_image,
    answer_whole,
    count_slices,
    slice_of,
)
from tumorlens.labels import CLASSES
from tumorlens.reporting.records import json_line

Gray = NDArray[np.uint8]
WriteSeries = Callable[..., list[bytes]]


def answered(
    classifier: Classifier, image: MedicalImage, batch_size: int = 16, *, explain: bool = False
) -> VolumePrediction:
    found = answer_image(classifier, image, batch_size, explain=explain).answer
    assert isinstance(found, VolumePrediction)
    return found


@pytest.fixture
def stack(head: Gray) -> MedicalImage:
    """Six slices that differ, the second blank."""
    pixels = np.stack([np.roll(head, 9 * shift, axis=0) for shift in range(6)]).astype(np.float32)
    pixels[1] = 7
    return MedicalImage(pixels, "v.tif", 8, "L")


@pytest.fixture
def folder(tmp_path: Path, head: Gray, write_series: WriteSeries) -> Path:
    """A DICOM series of five, a NIfTI volume, a TIFF of pages, an image, a damaged one."""
    study = tmp_path / "study"
    study.mkdir()
    for index, data in enumerate(write_series(5)):
        (study / f"c{9 - index}").write_bytes(data)
    voxels = np.moveaxis(np.stack([head] * 34), 0, 2)
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(study / "d.nii.gz")
    (study / "a").write_bytes(encode.png(head))
    (study / "b").write_bytes(encode.png(head)[:200])
    from PIL import Image

    pages = [Image.fromarray(head), Image.fromarray(head // 2)]
    pages[0].save(study / "e", "TIFF", save_all=True, append_images=pages[1:])
    return study


def test_every_slice_has_the_answer_that_it_has_alone(
    classifier: Classifier, stack: MedicalImage
) -> None:
    found = answered(classifier, stack, batch_size=4)
    assert [one.index for one in found.slices] == list(range(6))
    for index in (0, 2, 3, 4, 5):
        alone = classifier.predict(stack.pixels[index])
        assert found.slices[index].label == alone.label
        assert found.slices[index].probabilities == pytest.approx(alone.probabilities, abs=1e-5)
    blank = found.slices[1]
    assert (blank.label, blank.probabilities, blank.counted) == (None, None, False)
    assert blank.error is not None
    assert blank.error.kind == "blank"
    assert "v.tif slice 1" in blank.error.message
    shares = told(found)
    assert sum(shares.values()) == pytest.approx(1)
    assert found.label == max(shares, key=shares.__getitem__)
    note = "1 slice between the others is blank or rejected; the answer does not cover it"
    assert (found.series, found.notes, found.path) == (None, (note,), "v.tif")


def test_blank_slices_are_told(classifier: Classifier, stack: MedicalImage) -> None:
    """Those between others; at the ends, that the others show only part of the head."""

    def notes(*blank: int) -> tuple[str, ...]:
        pixels = np.tile(stack.pixels, (4, 1, 1))
        pixels[1::6] = pixels[::6]
        pixels[list(blank)] = 0
        return answered(classifier, MedicalImage(pixels, "v.tif", 8, "L")).notes

    assert notes() == ()
    (inside,) = notes(3, 4, 5, 6, 9)
    assert inside.startswith("5 slices between the others are blank or rejected")
    assert notes(*range(18)) == notes(*range(6, 24)) == ()
    (few,) = notes(*range(4), *range(8, 24))
    assert few.startswith("4 slices show only part of the head")


def test_nothing_but_blank_slices(classifier: Classifier) -> None:
    empty = MedicalImage(np.zeros((3, 40, 40), np.float32), "v.tif", 8, "L")
    with pytest.raises(BlankImageError, match=r"v\.tif: all slices are empty"):
        answered(classifier, empty)


def test_images_and_volumes_are_told_apart(
    classifier: Classifier, stack: MedicalImage, head: Gray
) -> None:
    image = MedicalImage(head.astype(np.float32), "a.png", 8, "L")
    assert isinstance(answer_image(classifier, image).answer, Prediction)
    assert isinstance(answer_image(classifier, stack).answer, VolumePrediction)


def test_a_folder_of_everything(classifier: Classifier, folder: Path) -> None:
    results = list(predict_inputs(classifier, finder.find(str(folder)).inputs))
    kinds = [(Path(result.path).name, type(result)) for result in results]
    assert kinds == [
        ("a", Prediction), ("b", Failure), ("study", VolumePrediction),
        ("d.nii.gz", VolumePrediction), ("e", VolumePrediction),
    ]  # fmt: skip
    counts = [len(result.slices) for result in results if isinstance(result, VolumePrediction)]
    assert counts == [5, 34, 2]


def test_what_cannot_be_shown_of_an_input_is_told_after_its_answer(
    classifier: Classifier, head: Gray, tmp_path: Path
) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encode.png(head))

    def observe(found: Answered) -> None:
        if found.answer.path.endswith("a.png"):
            raise CorruptInputError(f"{found.answer.path}: no room for its heatmap")

    found = outcomes(classifier, finder.find(str(tmp_path)).inputs, observers=[observe])
    results = [one.result for one in found]
    first, told, second = results
    assert [Path(result.path).name for result in results] == ["a.png", "a.png", "b.png"]
    assert isinstance(first, Prediction)
    assert isinstance(second, Prediction)
    assert isinstance(told, Failure)
    assert told.error.message.endswith("no room for its heatmap")


@pytest.mark.parametrize(
    ("paths", "whole"),
    [
        (["/s/a/1", "/s/a/2"], "/s/a"),
        (["/s/a", "/s/a"], "/s/a"),
        (["s/a/1", "s/b"], "s"),
        (["/s/a", "s/b"], "/s/a"),
        (["s3://bucket/a/1", "s3://bucket/a/2"], "s3://bucket/a"),
        ([], ""),
    ],
)
def test_a_study_is_named_by_what_its_series_have_in_common(paths: list[str], whole: str) -> None:
    expected = whole if "://" in whole else str(Path(whole)) * bool(whole)
    assert study_path([image(path) for path in paths]) == expected


def test_a_volume_is_rejected_where_all_of_its_slices_are_and_only_there(
    classifier: Classifier, stack: MedicalImage
) -> None:
    parts = answer_image(classifier, stack).parts

    def rejected(part: Raw) -> Raw:
        if isinstance(part, Failure):
            return part
        held = msgspec.structs.replace(part.prediction, decision="rejected", reason="no head")
        return part._replace(prediction=held)

    whole = answer_whole(classifier, stack, [rejected(part) for part in parts])
    assert (whole.decision, whole.label, whole.reason) == ("rejected", None, "no head")
    assert (whole.finding, whole.probabilities, whole.heatmap) == (None, None, None)
    assert whole.decisive_slice == 3
    one_left = answer_whole(classifier, stack, [*map(rejected, parts[:-1]), parts[-1]])
    assert one_left.decision != "rejected"
    assert [part.counted for part in one_left.slices] == [False] * 5 + [True]


def test_the_finding_leads_back_to_its_file(classifier: Classifier, folder: Path) -> None:
    (series,) = (image for image in read_study(folder).images if image.facts and image.depth == 5)
    # Random weights may see no tumour anywhere: a finding is then asked for of all classes.
    found = answered(classifier, series)
    assert found.series is not None
    assert (found.series.modality, found.series.plane) == ("MR", "axial")
    assert (found.series.series_instance_uid, found.series.slice_spacing_mm) == ("1.2.3", 5)
    assert [one.along_mm for one in found.slices] == [0, 5, 10, 15, 20]
    if found.label == "notumor":
        assert found.finding is None
        return
    assert found.finding is not None
    assert series.facts is not None
    middle = series.facts.slices[found.finding.middle]
    assert found.finding.path == middle.path
    assert found.finding.sop_instance_uid == middle.sop_instance_uid
    # 200 rows and 180 columns of 1 mm from (-90, -100): the place is inside the slice.
    assert found.finding.position_mm is not None
    x, y, z = found.finding.position_mm
    assert -90 <= x <= 89
    assert -100 <= y <= 99
    assert z == pytest.approx(middle.along_mm)


def test_the_plane_reaches_the_reader(classifier: Classifier, folder: Path) -> None:
    path = str(folder / "d.nii.gz")
    for plane, depth in (("axial", 34), ("coronal", 180), ("sagittal", 200)):
        (found,) = predict_inputs(classifier, [path], plane=plane)
        assert isinstance(found, VolumePrediction)
        assert len(found.slices) == depth == reader.read(path, plane).depth
        assert found.series is not None
        assert found.series.plane == plane


def test_a_series_with_a_missing_slice_answers_and_says_so(
    classifier: Classifier, folder: Path
) -> None:
    damaged = folder / "c7"
    damaged.write_bytes(damaged.read_bytes()[:-3000])
    for name in ("a", "b", "d.nii.gz", "e"):
        (folder / name).unlink()
    volume, failure = predict_inputs(classifier, finder.find(str(folder)).inputs)
    assert isinstance(volume, VolumePrediction)
    assert len(volume.slices) == 4
    assert any("could not be read" in note for note in volume.notes)
    assert isinstance(failure, Failure)
    assert (failure.path, failure.error.kind) == (str(damaged), "corrupt")


def test_slices_that_cannot_be_read_are_told_where_the_others_are_blank(
    classifier: Classifier, tmp_path: Path, write_series: Callable[..., list[bytes]]
) -> None:
    slices = write_series(4, PixelData=bytes(200 * 180 * 2))
    slices[3] = slices[3][:-3000]
    for index, data in enumerate(slices):
        (tmp_path / str(index)).write_bytes(data)
    blank, damaged = predict_inputs(classifier, finder.find(str(tmp_path)).inputs)
    assert isinstance(blank, Failure)
    assert isinstance(damaged, Failure)
    assert "all slices are empty" in blank.error.message
    assert (damaged.path, damaged.error.kind) == (str(tmp_path / "3"), "corrupt")


def test_the_record(classifier: Classifier, stack: MedicalImage) -> None:
    found: Result = answered(classifier, stack)
    line = json_line(found)
    assert line.count(b"\n") == 1
    record = json.loads(line)
    assert list(record) == [
        "path", "decision", "label", "summary", "reason", "tumor_probability", "probabilities",
        "prediction_set", "sequence", "finding", "decisive_slice", "is_upright_axial", "slices",
        "series", "model", "notes", "heatmap",
    ]  # fmt: skip
    assert list(record["slices"][0]) == [
        "index", "along_mm", "center_mm", "counted", "decision", "label", "reason",
        "tumor_probability", "probabilities", "prediction_set", "error",
    ]  # fmt: skip
    assert list(record["slices"][0]["probabilities"]) == list(CLASSES)
    assert record["slices"][1]["probabilities"] is None


def test_what_a_volume_does_not_exclude(classifier: Classifier, stack: MedicalImage) -> None:
    rule = bundle.ConformalThresholds(coverage=0.9, thresholds=(0.0, 1.0, 1.0, 1.0))
    info = msgspec.structs.replace(classifier.bundle.info, prediction_sets=rule)
    found = answered(Classifier(bundle.Bundle(info, classifier.bundle.model)), stack)
    assert found.prediction_set is not None
    assert "glioma" in found.prediction_set
    assert found.label in found.prediction_set
    assert [one.prediction_set is None for one in found.slices] == [n == 1 for n in range(6)]


def test_the_heatmap_of_a_finding(classifier: Classifier, stack: MedicalImage) -> None:
    """A tumour in the middle slice: the class that the whole is answered with, never another."""
    found = answer_image(classifier, stack, explain=True).answer
    assert isinstance(found, VolumePrediction)
    assert found.finding is not None
    assert found.heatmap is not None
    assert found.heatmap.label == found.label
    middle = classifier.prepare(slice_of(stack, found.finding.middle))
    assert found.heatmap == classifier.answer([middle])[0].heatmap(found.label)
    assert json.loads(json_line(found))["heatmap"]["peak"] == msgspec.to_builtins(
        found.heatmap.peak
    )
    strict = bundle.DecisionRule(tumor_threshold=1.0, notumor_threshold=1.0)
    info = msgspec.structs.replace(classifier.bundle.info, decision=strict)
    unsure = Classifier(bundle.Bundle(info, classifier.bundle.model))
    assert answered(unsure, stack, explain=True).heatmap is None


def test_an_unsure_volume_has_no_label_and_no_finding(
    classifier: Classifier, stack: MedicalImage
) -> None:
    strict = bundle.DecisionRule(tumor_threshold=1.0, notumor_threshold=1.0)
    info = msgspec.structs.replace(classifier.bundle.info, decision=strict)
    found = answered(Classifier(bundle.Bundle(info, classifier.bundle.model)), stack)
    assert (found.decision, found.label, found.finding) == ("abstained", None, None)
    assert found.reason.startswith("tumour ")
    counted = {one.index: one.tumor_probability or 0.0 for one in found.slices if one.counted}
    assert found.decisive_slice == max(counted, key=counted.__getitem__)
    assert {one.decision for one in found.slices if one.error is None} == {"abstained"}


@pytest.mark.parametrize("explain", [False, True])
def test_a_slice_that_came_twice_is_told_in_the_record(
    classifier: Classifier, tmp_path: Path, write_series: WriteSeries, explain: bool
) -> None:
    """What is left of two copies is a single image, not a volume."""
    for name in "ab":
        (tmp_path / name).write_bytes(write_series(1)[0])
    inputs = finder.find(str(tmp_path)).inputs
    (found,) = predict_inputs(classifier, inputs, explain=explain)
    assert isinstance(found, Prediction)
    told = "1 slice repeats the position of another and is left out"
    assert json.loads(json_line(found))["notes"] == [told]
    (alone,) = predict_inputs(classifier, [str(tmp_path / "a")], explain=explain)
    assert json.loads(json_line(alone))["notes"] == []


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_holds_an_image_at_least(classifier: Classifier, size: int) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        list(predict_inputs(classifier, [], batch_size=size))


def test_slices_count_that_are_of_the_brain_and_not_rejected(
    classifier: Classifier, stack: MedicalImage
) -> None:
    """Where none is, others stand in for them: outside the brain first, the rejected last."""
    parts = list(answer_image(classifier, stack).parts)

    def counted(brain: Sequence[int], rejected: Sequence[int]) -> list[int]:
        some = [
            part
            if isinstance(part, Failure) or k not in rejected
            else part._replace(
                prediction=msgspec.structs.replace(part.prediction, decision="rejected")
            )
            for k, part in enumerate(parts)
        ]
        inside = np.isin(np.arange(6), brain)
        found = count_slices(some, Slices(np.arange(0.0, 30.0, 5.0), inside, ""))
        return [int(k) for k in np.flatnonzero(found)]

    assert counted(brain=[0, 1, 2], rejected=[]) == [0, 2], "the second is blank"
    assert counted(brain=[0, 1, 2], rejected=[2, 5]) == [0]
    assert counted(brain=[1, 2], rejected=[2]) == [0, 3, 4, 5]
    assert counted(brain=[], rejected=[0]) == [2, 3, 4, 5]
    assert counted(brain=[0, 1, 2], rejected=range(6)) == [0, 2, 3, 4, 5]


def test_a_slice_by_itself_is_named_by_its_number_and_an_image_is_itself(
    stack: MedicalImage,
) -> None:
    one = slice_of(stack, 3)
    assert (one.source, one.is_volume, one.mode) == ("v.tif slice 3", False, "L")
    np.testing.assert_array_equal(one.pixels, stack.pixels[3])
    again = slice_of(one, 0)
    assert again.source == "v.tif slice 3"
    np.testing.assert_array_equal(again.pixels, one.pixels)
