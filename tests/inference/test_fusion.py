"""Several series of a study say one thing together."""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.answers import image, predict_inputs, series, shares, told, volume

from tumorlens.bundle import Bundle, DecisionRule, FusionRule
from tumorlens.imaging.facts import AcquisitionFacts
from tumorlens.imaging.finder import find
from tumorlens.imaging.raster.encode import png
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.evidence import fuse
from tumorlens.inference.examinations import (
    SEVERAL_FOLDERS,
    SEVERAL_PATIENTS,
    SEVERAL_VISITS,
    examinations,
)
from tumorlens.inference.fusion import LESS_TELLING, fuse_study
from tumorlens.inference.record import (
    Finding,
    ImageAnswer,
    Prediction,
    StudyPrediction,
    VolumePrediction,
)
from tumorlens.reporting.records import json_line

RULE = DecisionRule(tumor_threshold=0.8, notumor_threshold=0.9, kind_threshold=0.9)


@pytest.fixture
def careful(classifier: Classifier) -> Classifier:
    fusion = FusionRule(weights={"T1": 0.5})
    info = msgspec.structs.replace(classifier.bundle.info, decision=RULE, fusion=fusion)
    return Classifier(Bundle(info, classifier.bundle.model), threads=1)


def fused(
    classifier: Classifier,
    answers: Sequence[ImageAnswer],
    facts: Sequence[AcquisitionFacts | None] | None = None,
) -> StudyPrediction | None:
    """``fuse_study``, of files that state nothing unless ``facts`` are given."""
    return fuse_study(classifier, "s", answers, facts or [None] * len(answers))


def test_log_odds_are_averaged_by_weight() -> None:
    sure, none = np.array([0.9, 0, 0.1, 0]), np.array([0.05, 0.05, 0.9, 0])
    assert fuse([sure, none], [1, 1])[2] == pytest.approx(0.5)
    assert fuse([sure, none], [3, 1])[2] == pytest.approx(0.25)
    assert fuse([sure], [0.2]) == pytest.approx(sure)
    assert fuse([sure, none], [1, 1]).sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="no series has a weight"):
        fuse([sure], [0.0])


def test_the_kind_is_named_by_who_sees_the_tumour() -> None:
    sees, unsure = np.array([0.98, 0, 0.02, 0]), np.array([0.02, 0.1, 0.88, 0])
    fused = fuse([sees, unsure], [1, 1])
    assert fused[0] > 5 * fused[1]


def test_series_of_one_sequence_share_its_weight(careful: Classifier) -> None:
    flair = volume("f", "detected", probabilities=shares(glioma=0.99), series=series("t2 flair"))
    weak = [
        volume(f"t{k}", "abstained", probabilities=shares(glioma=0.4), series=series("t1 se"))
        for k in range(4)
    ]
    few, many = (fused(careful, [flair, *weak[:n]]) for n in (1, 4))
    assert few is not None
    assert many is not None
    assert few.tumor_probability == pytest.approx(many.tumor_probability)
    assert [one.sequence for one in few.members] == ["FLAIR", "T1"]
    assert [one.weight for one in many.members] == [1.0, *[0.125] * 4]


def test_a_rejected_series_is_not_used(careful: Classifier) -> None:
    ill = image("a", probabilities=shares(glioma=0.97))
    also = image("b", probabilities=shares(glioma=0.95))
    found = fused(careful, [ill, image("c", "rejected"), also])
    assert found is not None
    assert (found.decision, found.label) == ("classified", "glioma")
    assert [one.weight for one in found.members] == [1.0, 0.0, 1.0]
    assert found.notes == ("1 of 3 series are not used",)
    assert fused(careful, [ill, image("c", "rejected")]) is None


@pytest.mark.parametrize(("less_telling", "stated"), [
    (image, None),
    (functools.partial(volume, depth=3), None),
    (volume, AcquisitionFacts(outside_training=True)),
])  # fmt: skip
def test_localizers_and_maps_do_not_outvote_a_whole_head(
    careful: Classifier,
    less_telling: Callable[..., Prediction | VolumePrediction],
    stated: AcquisitionFacts | None,
) -> None:
    head = volume("h", label="glioma", probabilities=shares(glioma=0.97), series=series("t1 se"))
    none = [
        less_telling(name, label="notumor", probabilities=shares(glioma=0.001)) for name in "abc"
    ]
    study = fused(careful, [*none, head], [stated, stated, stated, AcquisitionFacts()])
    assert study is not None
    assert (study.decision, study.label) == ("classified", "glioma")
    assert [one.weight for one in study.members] == [0.0, 0.0, 0.0, 0.5]
    assert study.notes == ("3 of 4 series are not used", LESS_TELLING)


def test_a_localizer_that_shows_a_tumour_is_not_passed_over(careful: Classifier) -> None:
    healthy = volume(label="notumor", probabilities=shares(glioma=0.01))
    study = fused(careful, [healthy, image(probabilities=shares(glioma=0.97))])
    assert study is not None
    assert study.decision == "abstained"


def test_the_series_that_shows_the_finding_best_decides(careful: Classifier) -> None:
    found = Finding(first=3, middle=5, last=7)
    plain, flair = series("t1 se"), series("t2 flair")
    t1 = volume("a", probabilities=shares(glioma=0.99), label="glioma", finding=found, series=plain)
    best = volume(
        "b", probabilities=shares(glioma=0.9), label="glioma", finding=found, series=flair
    )
    shows_none = volume("c", "abstained", probabilities=shares(glioma=0.95), series=flair)
    study = fused(careful, [volume("d", "rejected"), shows_none, t1, best])
    assert study is not None
    assert study.finding == found
    assert study.members[study.decisive_member].path == "a"  # a weight of 0.5, but twice of FLAIR
    healthy = [image(name, label="notumor", probabilities=shares(glioma=0.01)) for name in "ab"]
    none = fused(careful, [image("c", "rejected"), *healthy])
    assert none is not None
    assert none.finding is None
    assert none.members[none.decisive_member].weight > 0


@pytest.mark.parametrize("upright", [True, False])
def test_whole_head_thresholds_hold_for_upright_axial_series(
    careful: Classifier, upright: bool
) -> None:
    strict = DecisionRule(tumor_threshold=0.99, notumor_threshold=0.99, kind_threshold=0.99)
    rules = {"axial": RULE, "other": strict}
    info = msgspec.structs.replace(careful.bundle.info, volume_decisions=rules)
    whole = Classifier(Bundle(info, careful.bundle.model), threads=1)
    ill = [
        volume(
            name, probabilities=shares(glioma=0.95), label="glioma", is_upright_axial=is_axial,
            series=series("t1 se"),
        )
        for name, is_axial in (("a", True), ("b", upright))
    ]  # fmt: skip
    study = fused(whole, ill)
    assert study is not None
    assert (study.decision == "classified") == upright


def test_no_study_is_free_of_tumour_while_a_series_reports_one(careful: Classifier) -> None:
    ill = image("a", "detected", probabilities=shares(glioma=0.81))
    healthy = [image(f"h{k}", label="notumor", probabilities=shares(glioma=0.01)) for k in "123"]
    found = fused(careful, [ill, *healthy])
    assert found is not None
    assert (found.decision, found.label) == ("abstained", None)
    assert "by themselves, report a tumour" in found.reason
    alone = fused(careful, healthy)
    assert alone is not None
    assert alone.label == "notumor"


@pytest.mark.parametrize("study", [None, "folder"])
def test_the_study_goes_before_its_series(
    classifier: Classifier, tmp_path: Path, write_series: Callable[..., list[bytes]],
    study: str | None,
) -> None:  # fmt: skip
    for name, uid in (("a", "1.2.7"), ("b", "1.2.8")):
        for index, data in enumerate(write_series(4, series=uid)):
            (tmp_path / f"{name}{index}.dcm").write_bytes(data)
    results = list(predict_inputs(classifier, find(str(tmp_path)).inputs, study=study))
    assert [type(one) for one in results] == [StudyPrediction, VolumePrediction, VolumePrediction]
    whole, *parts = results
    assert isinstance(whole, StudyPrediction)
    assert whole.study_instance_uid == "1.2"
    assert [one.path for one in whole.members] == [one.path for one in parts]
    assert json.loads(json_line(whole))["members"][0]["weight"] == 1.0
    for part in parts:
        assert isinstance(part, VolumePrediction)
        assert sum(told(part).values()) == pytest.approx(1)


def test_localizers_do_not_count_beside_a_series(
    classifier: Classifier, tmp_path: Path, write_series: Callable[..., list[bytes]]
) -> None:
    for name, uid in (("t2 tse", "1.2.7"), ("localizer", "1.2.8"), ("survey", "1.2.9")):
        for index, data in enumerate(write_series(6, series=uid, SeriesDescription=name)):
            (tmp_path / f"{name}{index}.dcm").write_bytes(data)
    (whole, *_) = predict_inputs(classifier, find(str(tmp_path)).inputs)
    assert isinstance(whole, StudyPrediction)
    weights = {one.series_instance_uid: one.weight for one in whole.members}
    assert weights == {"1.2.7": 1.0, "1.2.8": 0.0, "1.2.9": 0.0}
    assert LESS_TELLING in whole.notes


def test_studies_whose_files_lie_between_each_other(
    classifier: Classifier, tmp_path: Path, write_series: Callable[..., list[bytes]]
) -> None:
    for name, study, uid in (
        ("a", "1.2", "7"),
        ("b", "1.3", "7"),
        ("c", "1.2", "8"),
        ("d", "1.3", "8"),
    ):
        slices = write_series(4, series=f"{study}.{uid}", StudyInstanceUID=study)
        for index, data in enumerate(slices):
            (tmp_path / f"{name}{index}.dcm").write_bytes(data)
    results = list(predict_inputs(classifier, find(str(tmp_path)).inputs))
    studies = [one for one in results if isinstance(one, StudyPrediction)]
    assert [one.study_instance_uid for one in studies] == ["1.2", "1.3"]
    assert [[one.series_instance_uid for one in study.members] for study in studies] == [
        ["1.2.7", "1.2.8"],
        ["1.3.7", "1.3.8"],
    ]


@pytest.mark.parametrize("study", [None, "folder"])
def test_series_of_two_patients_are_not_one_study(
    classifier: Classifier, tmp_path: Path, write_series: Callable[..., list[bytes]],
    study: str | None,
) -> None:  # fmt: skip
    for patient, uid in (("A", "7"), ("B", "8"), ("A", "9"), ("C", "10"), ("B", "11")):
        slices = write_series(4, series=f"1.2.{uid}", StudyInstanceUID="1.2", PatientID=patient)
        for index, data in enumerate(slices):
            (tmp_path / f"{uid}-{index}.dcm").write_bytes(data)
    results = list(predict_inputs(classifier, find(str(tmp_path)).inputs, study=study))
    studies = [one for one in results if isinstance(one, StudyPrediction)]
    members = [sorted(one.series_instance_uid or "" for one in found.members) for found in studies]
    assert sorted(members) == [["1.2.11", "1.2.8"], ["1.2.7", "1.2.9"]]
    assert all(found.notes[-1] == SEVERAL_PATIENTS for found in studies)
    assert sorted(Path(found.path).name for found in studies) == ["11-0.dcm", "7-0.dcm"]
    assert len(results) == 2 + 5


def test_volumes_that_only_their_folders_tell_apart_are_not_one_study(
    classifier: Classifier, tmp_path: Path, write_series: Callable[..., list[bytes]]
) -> None:
    for folder, own in (("a", "1.2.7"), ("b", "1.2.8")):
        (tmp_path / folder).mkdir()
        tags = {"SeriesInstanceUID": "1.2.7", "StudyInstanceUID": "1.2", "PatientID": "A"}
        for index, data in enumerate(write_series(4, series=own, **tags)):
            (tmp_path / folder / f"{index}.dcm").write_bytes(data)
    results = list(predict_inputs(classifier, find(str(tmp_path)).inputs))
    assert [Path(one.path).name for one in results] == ["a", "b"]
    assert all(isinstance(one, VolumePrediction) for one in results)


@pytest.mark.parametrize(
    ("days", "visits"),
    [
        (["20210304", "20210305", "20210304"], ["012"]),
        (["20210304", "20210310", "20210304", "20210311", ""], ["02", "13"]),
        (["20210304", "20210305", "20210306", "20210307"], ["01", "23"]),
        (["", "", "20210304"], ["012"]),
        (["20201231", "20220101", ""], []),
    ],
)
@pytest.mark.parametrize("keyword", ["AcquisitionDate", "SeriesDate", "StudyDate"])
def test_series_of_several_visits_are_not_one_study(
    classifier: Classifier, tmp_path: Path, write_series: Callable[..., list[bytes]],
    days: list[str], visits: list[str], keyword: str,
) -> None:  # fmt: skip
    for place, day in enumerate(days):
        slices = write_series(
            4, series=f"1.2.{place}", StudyInstanceUID="1.2", **({keyword: day} if day else {})
        )
        for index, data in enumerate(slices):
            (tmp_path / f"{place}-{index}.dcm").write_bytes(data)
    results = list(predict_inputs(classifier, find(str(tmp_path)).inputs))
    studies = [one for one in results if isinstance(one, StudyPrediction)]
    uids = [[one.series_instance_uid for one in study.members] for study in studies]
    assert uids == [[f"1.2.{place}" for place in visit] for visit in visits]
    assert all((SEVERAL_VISITS in study.notes) == (visits != ["012"]) for study in studies)
    assert len(results) == len(studies) + len(days)


@pytest.mark.parametrize(
    ("names", "studies", "note"),
    [
        (
            ["ses-01/a", "ses-01/b", "ses-02/a", "ses-02/b"],
            {"ses-01": 2, "ses-02": 2}, SEVERAL_VISITS,
        ),
        (
            [f"sub-1_ses-{visit}_{kind}" for visit in (1, 2) for kind in ("T2w", "T1w")],
            {"sub-1_ses-1_T1w.png": 2, "sub-1_ses-2_T1w.png": 2}, SEVERAL_VISITS,
        ),
        (
            ["sub-1_ses-1_T1w", "sub-1_ses-1_T2w", "sub-1_ses-2_T1w"],
            {"sub-1_ses-1_T1w.png": 2}, SEVERAL_VISITS,
        ),
        (
            ["ses-1_a", "ses-1_b", "x/ses-2_a", "x/ses-2_b"],
            {"ses-1_a.png": 2, "x": 2}, SEVERAL_VISITS,
        ),
        (
            ["sub-1/a", "sub-1/b", "sub-2/a", "sub-2/b"],
            {"sub-1": 2, "sub-2": 2}, SEVERAL_PATIENTS,
        ),
        (["ses-01/a", "ses-01/b", "c"], {"": 3}, None),
    ],
)  # fmt: skip
def test_bids_sessions_and_subjects_are_not_one_study(
    classifier: Classifier, tmp_path: Path, head: NDArray[np.uint8],
    names: list[str], studies: dict[str, int], note: str | None,
) -> None:  # fmt: skip
    for name in names:
        file = tmp_path / f"{name}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(png(head))
    results = list(predict_inputs(classifier, find(str(tmp_path)).inputs, study=str(tmp_path)))
    found = [one for one in results if isinstance(one, StudyPrediction)]
    assert {one.path: len(one.members) for one in found} == {
        str(tmp_path / folder): count for folder, count in studies.items()
    }
    assert all(study.notes[-1:] == ((note,) if note else ()) for study in found)


def test_folders_that_only_their_names_tell_apart_are_answered_separately() -> None:
    folders = ["case0", None, "case1", None]
    facts = [AcquisitionFacts(patient="P", folder=folder) for folder in folders]
    found = examinations(["a", "b", "c", "d"], facts)
    assert [part.indices for part in found] == [[0], [1, 3], [2]]
    assert {part.notes for part in found} == {(SEVERAL_FOLDERS,)}
    assert [part.indices for part in examinations(["a", "b"], facts[:2])] == [[0, 1]]


@pytest.mark.parametrize("tumor", [0.97, 0.02])
def test_a_missing_or_mislabelled_series_does_no_harm(careful: Classifier, tumor: float) -> None:
    def one(name: str, words: str) -> VolumePrediction:
        label = "glioma" if tumor > 0.5 else "notumor"
        return volume(name, label=label, probabilities=shares(glioma=tumor), series=series(words))

    complete = [one("a", "t1 se"), one("b", "t1 se post gd"), one("c", "t2 flair")]
    whole = fused(careful, complete)
    assert whole is not None
    assert whole.decision == "classified"
    missing = [fused(careful, [*complete[:k], *complete[k + 1 :]]) for k in range(3)]
    mislabelled = fused(careful, [*complete[:2], one("c", "t1 se")])
    nameless = fused(careful, [*complete[:2], one("c", "localizer 12")])
    for study in (*missing, mislabelled, nameless):
        assert study is not None
        assert (study.decision, study.label) == (whole.decision, whole.label)
        assert study.tumor_probability == pytest.approx(whole.tumor_probability)


def test_a_sequence_that_counts_nothing_is_not_used(classifier: Classifier) -> None:
    fusion = FusionRule(weights={"T2": 0.0})
    info = msgspec.structs.replace(classifier.bundle.info, decision=RULE, fusion=fusion)
    deaf = Classifier(Bundle(info, classifier.bundle.model), threads=1)
    t1 = volume("a", probabilities=shares(glioma=0.95), label="glioma", series=series("t1 se"))
    t2 = volume("b", "abstained", probabilities=shares(glioma=0.5), series=series("t2 tse"))
    study = fused(deaf, [t1, t2])
    assert study is not None
    assert study.tumor_probability == pytest.approx(0.95)
    assert [(one.sequence, one.weight) for one in study.members] == [("T1", 1.0), (None, 0.0)]
    assert study.notes == ("1 of 2 series are not used",)
    assert fused(deaf, [t2, t2]) is None, "nothing is left to answer with"


def test_series_of_unknown_sequence_each_stand_for_themselves(careful: Classifier) -> None:
    nameless = [volume(name, probabilities=shares(glioma=0.9)) for name in "abc"]
    study = fused(careful, nameless)
    assert study is not None
    assert [one.weight for one in study.members] == [1.0, 1.0, 1.0]
    assert [one.sequence for one in study.members] == [None, None, None]


@pytest.mark.parametrize(
    ("uids", "expected"), [(("1.2", "1.2"), "1.2"), (("1.2", "1.3"), None), ((None, None), None)]
)
def test_a_study_has_the_uid_that_all_its_series_state(
    careful: Classifier, uids: tuple[str | None, ...], expected: str | None
) -> None:
    parts = [
        volume(
            f"v{k}", probabilities=shares(glioma=0.95),
            series=msgspec.structs.replace(series("t1"), study_instance_uid=uid),
        )
        for k, uid in enumerate(uids)
    ]  # fmt: skip
    study = fused(careful, parts)
    assert study is not None
    assert study.study_instance_uid == expected


def test_images_alone_are_answered_by_the_rule_for_images(classifier: Classifier) -> None:
    """The rules for whole heads hold where there is a volume."""
    strict = DecisionRule(tumor_threshold=0.99, notumor_threshold=0.99, kind_threshold=0.99)
    info = msgspec.structs.replace(
        classifier.bundle.info, decision=RULE, volume_decisions={"axial": strict, "other": strict}
    )
    both = Classifier(Bundle(info, classifier.bundle.model), threads=1)
    ill = shares(glioma=0.95)
    images = fused(both, [image(name, probabilities=ill) for name in "ab"])
    volumes = fused(both, [volume(name, probabilities=ill) for name in "ab"])
    assert images is not None
    assert volumes is not None
    assert (images.decision, volumes.decision) == ("classified", "abstained")
