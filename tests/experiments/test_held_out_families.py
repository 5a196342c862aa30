from pathlib import Path

import msgspec
import numpy as np
import pytest
from experiments.held_out_families import Answers, decided, sequence_balanced_accuracy, summarize

from tumorlens import bundle
from tumorlens.bundle import ConformalThresholds, DecisionRule, Thresholds
from tumorlens.datasets.manifest import Record


def _record(label: str, sequence: str) -> Record:
    return Record("", label, "", "", "", 0, 0, "", "", "", sequence=sequence)


def test_figures_by_sequence_against_values_worked_out_by_hand() -> None:
    records = [
        _record("glioma", "T1"), _record("meningioma", "T1"), _record("notumor", "T1"),
        _record("notumor", "T1"), _record("tumor", "T2"),
    ]  # fmt: skip
    probabilities = np.array(
        [
            [0.7, 0.1, 0.1, 0.1],  # right kind
            [0.3, 0.1, 0.6, 0.0],  # missed, and a wrong kind given a tumour
            [0.0, 0.1, 0.9, 0.0],  # right
            [0.5, 0.1, 0.4, 0.0],  # false alarm, more probable than the missed tumour
            [0.0, 0.9, 0.1, 0.0],
        ]
    )
    named = np.array(["T1", "T1CE", "T1", "T1", "FLAIR"])
    every, first, second = summarize(Answers(records, probabilities, named))
    assert (first["sequence_correct"], second["sequence_correct"]) == (3 / 4, 0)
    assert [row["sequence"] for row in (every, first, second)] == ["all", "T1", "T2"]
    assert first["auroc"] == pytest.approx(3 / 4)
    assert (first["missed"], first["false_alarms"], first["kind_correct"]) == (0.5, 0.5, 0.5)
    assert (first["tumours"], first["healthy"]) == (2, 2)
    assert second["auroc"] is None
    assert second["false_alarms"] is None
    assert second["kind_correct"] is None
    # |0.9 - 1|, |0.4 - 1| + |0.6 - 0| in bins of their own, |0.1 - 0|
    assert every["presence_calibration_error"] == pytest.approx(
        (0.2 + 0.6 + 0.6 + 0.1) / 5, abs=0.05
    )


def test_what_is_reported_at_the_thresholds_against_values_worked_out_by_hand() -> None:
    records = [_record(label, "T1") for label in ("pituitary", "glioma", "notumor", "meningioma")]
    probabilities = np.array(
        [
            [0.8, 0.1, 0.1, 0.0],  # detected: the kind is named from 95%
            [0.1, 0.0, 0.9, 0.0],  # missed
            [0.0, 0.1, 0.9, 0.0],  # abstained: T2 asks for 95%
            [0.0, 0.97, 0.03, 0.0],  # classified
        ]
    )
    named = np.array(["T1", "T1", "T2", "T1"])
    rule = DecisionRule(
        tumor_threshold=0.8, notumor_threshold=0.85, kind_threshold=0.95,
        by_sequence={"T2": Thresholds(notumor_threshold=0.95, tumor_threshold=0.8)},
    )  # fmt: skip
    sets = ConformalThresholds(
        coverage=0.95, thresholds=(0.5,) * 4,
        by_decision={"detected": (0.9, 0.05, 0.9, 0.9), "abstained": (0.5,) * 4},
    )  # fmt: skip
    info = msgspec.structs.replace(bundle.load("default").info, decision=rule, prediction_sets=sets)
    assert decided(Answers(records, probabilities, named), info) == {
        "presence_correct": 2 / 4,
        "presence_wrong": 1 / 4,
        "missed": pytest.approx(1 / 3, abs=1e-4),
        "false_alarms": 0,
        "classified": 2 / 4,
        "classified_correct": 1 / 2,
        "held_back_sets_hold": 1 / 2,  # that of the abstained answer, not that of the detected
    }


def test_each_sequence_counts_alike_for_the_balanced_accuracy() -> None:
    nothing = np.zeros((3, 4))
    first = Answers(
        [_record("glioma", "T1"), _record("glioma", "T1"), _record("glioma", "DWI")],
        nothing, np.array(["T1", "T2", "T1"]),
    )  # fmt: skip
    second = Answers(
        [_record("glioma", "T1"), _record("glioma", "T1"), _record("glioma", "FLAIR")],
        nothing, np.array(["T1", "T1", "FLAIR"]),
    )  # fmt: skip
    # DWI is none of the sequences that the network names
    assert sequence_balanced_accuracy([first, second]) == pytest.approx((3 / 4 + 1) / 2)


def test_recipes_of_the_rotations_are_there() -> None:
    recipes = Path(__file__).parents[2] / "src/tumorlens/recipes"
    assert {"default", "finetune", "teacher", "folder", "paper", "phantom"} == {
        path.stem for path in recipes.glob("*.toml")
    }
