from pathlib import Path

import numpy as np
import pytest
from experiments.held_out_families import summarize

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
    every, first, second = summarize(records, probabilities, named)
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


def test_recipes_of_the_rotations_are_there() -> None:
    recipes = Path(__file__).parents[2] / "src/tumorlens/recipes"
    assert {"default", "finetune", "teacher", "folder", "paper", "phantom"} == {
        path.stem for path in recipes.glob("*.toml")
    }
