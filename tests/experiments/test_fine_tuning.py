"""What the study of fine-tuning draws and counts."""

from pathlib import Path

import numpy as np
import pytest
from experiments.fine_tuning import drawn_split, figures, summarize

from tumorlens.datasets.manifest import Manifest, Record


def test_patients_learn_or_test() -> None:
    records = tuple(
        Record(f"{p}-{k}.png", "glioma", "", f"{p}-{k}", "", 1, 1, "L", f"P{p:02d}", "s")
        for p in range(26)
        for k in range(15)
    )
    split = drawn_split(Manifest(records, Path()), 100, seed=0)
    counts = split.info.counts
    assert 100 <= counts["train"] + counts["validation"] < 115
    assert counts["validation"] == 15
    other = drawn_split(Manifest(records, Path()), 100, seed=1)
    assert {r.part for r in other.rows} == {"train", "validation", "test"}
    assert other.rows != split.rows


def test_figures_are_of_the_weighted_images() -> None:
    healthy = np.array([False, False, True, True])
    tumor = np.array([0.9, 0.2, 0.0, 0.6])
    even, first, none = figures(
        healthy, tumor, np.array([[1.0, 1, 1, 1], [2, 0, 1, 0], [0, 0, 1, 1]])
    )
    assert even.tolist() == [0.5, 0.75]
    assert first.tolist() == [1.0, 1.0]
    assert np.isnan(none).all()


def test_differences_are_paired() -> None:
    sure, unsure = 0.9, 0.1
    answers = [
        {
            "patient": f"P{k // 2}",
            "label": ("glioma", "notumor")[k % 2],
            "unchanged": unsure,
            "fine-tuned": (sure, unsure)[k % 2],
            "from-scratch": unsure,
        }
        for k in range(40)
    ]
    found = summarize(answers)
    assert (found["test_images"], found["test_patients"]) == (40, 20)
    for other in ("unchanged", "from-scratch"):
        gained = found["figures"][f"fine-tuned minus {other}"]["balanced_accuracy"]
        assert gained["value"] == pytest.approx(0.5)
        assert gained["low"] == pytest.approx(0.5)
