"""What an evaluation says to programs, and in the terminal: every image, and no number too many."""

import csv
import dataclasses
import io
import json

import msgspec
import numpy as np
import pytest
from tests.answers import shares
from tests.evaluated import evaluated, few, record

from tumorlens.bundle import ConformalThresholds
from tumorlens.cli import evaluation_tables
from tumorlens.evaluation import record as records
from tumorlens.evaluation.controls import Control
from tumorlens.evaluation.evaluator import Evaluation
from tumorlens.evaluation.resampling import Estimate
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import BRAIN_TUMORS, ClassInfo, ClassSet
from tumorlens.reporting import evaluation_report

SICK = [
    (record("=stroke.png", "other_pathology"), shares(glioma=0.7)),
    (record("ms.png", "other_pathology"), shares(glioma=0.1)),
    (record("ct.png", "not_brain_mri"), shares(glioma=0.6)),
]


def rows_of(evaluation: Evaluation) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(records.predictions_csv(evaluation).decode())))


def test_images_of_other_diseases_are_in_the_predictions_after_all_others(
    classifier: Classifier,
) -> None:
    rows = rows_of(few(classifier, others=SICK))
    assert [row["label"] for row in rows] == ["glioma"] * 6 + [image.label for image, _ in SICK]
    assert [row["predicted"] for row in rows[5:]] == ["notumor", "glioma", "notumor", "glioma"]
    assert "fold" not in rows[0]
    first = {"path": "0/0.png", "group": "g0", "sha256": b"0/0.png".hex()}
    assert rows[0].items() >= (first | {"glioma": "0.900000", "notumor": "0.100000"}).items()
    stroke = rows[6]
    assert stroke["path"] == "'=stroke.png", "a spreadsheet must not compute it"
    assert stroke["group"] == f"image_{stroke['sha256']}"


def test_pooled_predictions_name_the_fold_that_gave_them(classifier: Classifier) -> None:
    rows = rows_of(few(classifier, others=SICK, folds=("fold 0", "fold 1")))
    assert [row["fold"] for row in rows] == ["fold 0", "fold 1"] * 3 + [""] * 3


def test_a_class_called_as_a_column_keeps_its_own(classifier: Classifier) -> None:
    members = tuple(ClassInfo(name=name, display_name=name) for name in ("label", "fold", "cyst"))
    classes = ClassSet(members=members)
    given = {"label": 0.5, "fold": 0.3, "cyst": 0.2}
    (row,) = rows_of(evaluated(classifier, [(record("a.png", "cyst"), given)], classes=classes))
    assert (row["label"], row["predicted"]) == ("cyst", "label")
    assert row["probability_label"] == "0.500000"
    assert row["probability_fold"] == "0.300000"
    assert row["cyst"] == "0.200000"


def test_answers_are_counted_by_label_with_other_diseases_at_the_end(
    classifier: Classifier,
) -> None:
    table = records.answers(few(classifier, others=SICK))
    assert list(table) == ["glioma", "other_pathology", "not_brain_mri"]
    none = dict.fromkeys(BRAIN_TUMORS.names, 0)
    assert table["glioma"] == none | {"glioma": 3, "notumor": 3}
    assert table["other_pathology"] == none | {"glioma": 1, "notumor": 1}
    assert table["not_brain_mri"] == none | {"glioma": 1}


def test_the_record_counts_images_with_a_copy_in_training(classifier: Classifier) -> None:
    found = records.as_dict(few(classifier, twins=[True] + [False] * 5))
    assert (found["n"], found["n_groups"]) == (6, 3)
    assert (found["n_with_training_duplicate"], found["n_of_training_groups"]) == (1, 0)
    ((name, subset),) = found["subsets"].items()
    assert (name, subset["n"], subset["n_groups"]) == (name, 5, 3)
    assert subset["metrics"]["accuracy"] == {"value": 0.4, "low": None, "high": None}
    assert found["metrics"]["per_class"]["glioma"]["sensitivity"]["value"] == 0.5
    assert found["metrics"]["per_class"]["pituitary"]["sensitivity"]["value"] is None


def test_folds_state_the_mean_and_the_deviation_of_their_accuracies(
    classifier: Classifier,
) -> None:
    """The first fold gets all that is found, the second all that is missed."""
    training = {"split": {"name": "mine", "sha256": "5" * 64}}
    info = msgspec.structs.replace(classifier.bundle.info, training=training)
    trained = Classifier(dataclasses.replace(classifier.bundle, info=info), threads=1)
    found = records.as_dict(few(trained, folds=("fold 0", "fold 1")))
    assert [fold["fold"] for fold in found["folds"]] == ["fold 0", "fold 1"]
    over = found["accuracy_over_folds"]
    assert (over["mean"], over["deviation"]) == (0.5, pytest.approx(np.sqrt(0.5), abs=1e-6))
    assert (over["low"], over["high"]) == (None, None), "of three groups"
    alone = records.as_dict(few(classifier))
    assert (alone["folds"], alone["accuracy_over_folds"]) == ([], None)


def test_a_control_keeps_the_whole_apart_from_the_subsets(classifier: Classifier) -> None:
    accuracy = {"all": Estimate(0.5, 0.4, 0.6), "without_twins": Estimate(0.25, np.nan, np.nan)}
    control = Control("hash_neighbour", "what it does", np.zeros(6, np.int64), accuracy)
    evaluation = dataclasses.replace(few(classifier), controls=(control,))
    stated = json.loads(records.to_json(evaluation))["controls"]["hash_neighbour"]
    assert stated == {
        "description": "what it does",
        "accuracy": {"value": 0.5, "low": 0.4, "high": 0.6},
        "subsets": {"without_twins": {"accuracy": {"value": 0.25, "low": None, "high": None}}},
    }
    assert evaluation_report.comparison(evaluation)[1:] == [
        ("control: most similar training image", accuracy)
    ]


@pytest.mark.parametrize(
    ("folds", "bundles", "said"),
    [(("",), "tiny", "this bundle"), (("a", "b"), "2 bundles", "these bundles, pooled")],
)
def test_one_bundle_and_several_are_told_apart(
    classifier: Classifier, folds: tuple[str, ...], bundles: str, said: str
) -> None:
    evaluation = few(classifier, folds=folds)
    assert evaluation.title == bundles
    assert evaluation_report.comparison(evaluation)[0][0] == said


@pytest.mark.parametrize(
    ("groups", "said"),
    [(9, "no intervals: fewer than 10 groups"), (10, "95% intervals over groups")],
)
def test_a_table_says_whether_it_has_intervals(
    classifier: Classifier, groups: int, said: str
) -> None:
    assert evaluation_tables.intervals(groups) == said
    low = few(classifier, groups).estimates["accuracy"].low
    assert np.isnan(low) == said.startswith("no intervals"), "the words are those of the numbers"


def test_other_diseases_are_told_by_what_they_were_answered_with(
    classifier: Classifier, tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "160")
    page = tmp_path_factory.getbasetemp() / "index.html"
    evaluation_tables.print_tables(few(classifier, others=SICK, twins=[True] + [False] * 5), page)
    shown = capsys.readouterr().out
    assert (
        "3 images of other diseases, for which no answer is correct: 2 glioma, 1 no tumour."
    ) in " ".join(shown.split())
    assert "6 images, 3 groups" in shown
    assert "5 images" not in shown, "a subset without intervals is only in the report"
    evaluation_tables.print_tables(few(classifier, 11, twins=[True] + [False] * 21), page)
    shown = capsys.readouterr().out
    assert "21 images, 11 groups" in shown
    assert "other diseases" not in shown


def test_sets_of_several_bundles_are_not_measured(classifier: Classifier) -> None:
    """Each bundle has its own thresholds, so that no coverage is stated for all."""
    rule = ConformalThresholds(coverage=0.95, thresholds=(0.15, 0.0, 0.0, 0.0))
    info = msgspec.structs.replace(classifier.bundle.info, prediction_sets=rule)
    with_sets = Classifier(dataclasses.replace(classifier.bundle, info=info), threads=1)
    assert records.prediction_sets(few(with_sets, folds=("a", "b"))) is None
    assert records.as_dict(few(classifier))["prediction_sets"] is None
    alone = records.prediction_sets(few(with_sets))
    assert alone is not None
    assert (alone.whole.images, alone.whole.coverage.value, alone.whole.size.value) == (6, 1.0, 4.0)


def test_an_evaluation_of_other_findings_is_called_after_them() -> None:
    assert evaluation_report.titles()["missed_tumor_rate"] == "Missed tumours"
    abscess = msgspec.structs.replace(BRAIN_TUMORS, finding="abscess")
    other = evaluation_report.titles(abscess)
    assert other["missed_tumor_rate"] == "Missed abscesses"
    assert other | {"missed_tumor_rate": "Missed tumours"} == evaluation_report.titles()
