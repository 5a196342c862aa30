"""Thresholds for whole heads, fitted and judged."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from experiments.volume_rule import cross_validate
from numpy.typing import NDArray

from tumorlens.bundle import DecisionRule
from tumorlens.errors import DatasetError
from tumorlens.evaluation.whole_heads import (
    LEAST_NOTUMOR,
    WholeHead,
    answer_list,
    fit_volume_decisions,
)
from tumorlens.imaging.raster import encode
from tumorlens.inference.classifier import Classifier

SLICES = DecisionRule(tumor_threshold=0.9, notumor_threshold=0.95, kind_threshold=0.97)


def head(group: str, label: str, tumor: float) -> WholeHead:
    shares = (tumor * 0.98, tumor * 0.02, 1 - tumor, 0.0)
    return WholeHead(f"{group}.nii", group, group, label, "axial", "axial", shares)


HEADS = [
    *(head(f"h{k}", "notumor", 0.1 + 0.02 * k) for k in range(10)),
    *(head(f"t{k}", "glioma", 0.9 + 0.01 * k) for k in range(5)),
]


def test_thresholds_lie_between_healthy_and_sick() -> None:
    rules = fit_volume_decisions(HEADS, SLICES, "a test")
    assert set(rules) == {"axial"}
    rule = rules["axial"]
    assert (rule.tumor_threshold, rule.notumor_threshold) == (0.5, LEAST_NOTUMOR)
    assert (rule.kind_threshold, rule.chosen_on) == (0.97, "a test")
    assert fit_volume_decisions(HEADS[:10], SLICES) == {}, "healthy ones alone say nothing"


def test_each_head_is_judged_without_its_group() -> None:
    told = cross_validate([*HEADS, head("odd", "notumor", 0.95)], SLICES)
    assert told[:10].tolist() == ["notumor"] * 10
    assert told[10:15].tolist() != ["notumor"] * 5
    assert told[-1] == "tumor", "its own group does not warn of it"


def test_a_list_is_answered(tiny_bundle: Path, tmp_path: Path, head: NDArray[np.uint8]) -> None:
    voxels = np.moveaxis(np.stack([head] * 6), 0, 2)
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / "a.nii.gz")
    rows = "file,class,set,family,patient\na.nii.gz,notumor,ours,f,p\na.nii.gz,mask,ours,f,p\n"
    (tmp_path / "list.csv").write_text(rows)
    classifier = Classifier.load(tiny_bundle, threads=1)
    (found,) = answer_list(classifier, tmp_path / "list.csv", ["axial"])
    assert (found.group, found.label, found.kind) == ("ours", "notumor", "axial")
    assert sum(found.probabilities) == pytest.approx(1)
    for name in ("ours", "f"):
        assert not answer_list(classifier, tmp_path / "list.csv", ["axial"], [name])
    with pytest.raises(DatasetError, match="cannot be read"):
        answer_list(classifier, tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    (tmp_path / "a.png").write_bytes(encode.png(head))
    (tmp_path / "flat.csv").write_text(rows.replace("a.nii.gz", "a.png"))
    with pytest.raises(DatasetError, match=r"a\.png: a single image, not a volume"):
        answer_list(classifier, tmp_path / "flat.csv", ["axial"])
    with pytest.raises(DatasetError, match="needs the columns"):
        answer_list(classifier, tmp_path / "bad.csv")


def test_each_kind_of_volume_has_its_own_thresholds_and_rejected_ones_have_no_say() -> None:
    other = [one._replace(kind="other") for one in HEADS]
    assert set(fit_volume_decisions([*HEADS, *other], SLICES)) == {"axial", "other"}
    odd = head("odd", "notumor", 0.99)
    alone = fit_volume_decisions(HEADS, SLICES)
    assert fit_volume_decisions([*HEADS, odd._replace(rejected=True)], SLICES) == alone
    assert fit_volume_decisions([*HEADS, odd], SLICES) != alone


def test_false_alarms_are_limited_by_patients_not_by_volumes() -> None:
    tumors = HEADS[10:]
    axial = [head(f"h{k}", "notumor", 0.5 + 0.01 * k) for k in range(39)]
    both = [*axial, *(one._replace(plane="sagittal") for one in axial)]
    for healthy, highest in ((axial, 0.87), (axial[1:], 0.88), (both, 0.87)):
        # Of 39 patients one may reach the threshold, of 38 none: one more is always expected.
        rule = fit_volume_decisions([*tumors, *healthy], SLICES)["axial"]
        assert rule.tumor_threshold == pytest.approx(highest, abs=1e-9)


def test_a_lenient_rule_for_slices_lowers_no_threshold_of_a_volume() -> None:
    wrong = [head(f"w{k}", "meningioma", 0.9) for k in range(3)]
    own = fit_volume_decisions([*HEADS, *wrong], DecisionRule())["axial"].kind_threshold
    assert own > 0.0
    assert fit_volume_decisions([*HEADS, *wrong], SLICES)["axial"].kind_threshold == max(own, 0.97)


def test_tumours_are_of_their_patient_and_healthy_heads_of_their_set(
    tiny_bundle: Path, tmp_path: Path, head: NDArray[np.uint8]
) -> None:
    voxels = np.moveaxis(np.stack([head] * 4), 0, 2)
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / "a.nii.gz")
    names = ("glioma", "notumor", "tumor_unspecified", "other_tumor", "other_pathology", "mask")
    rows = "".join(f"a.nii.gz,{name},ours,f,p\n" for name in names)
    (tmp_path / "list.csv").write_text(f"file,class,set,family,patient\n{rows}")
    classifier = Classifier.load(tiny_bundle, threads=1)
    found = answer_list(classifier, tmp_path / "list.csv", ["axial"])
    assert [(one.label, one.group, one.patient) for one in found] == [
        ("glioma", "p", "p"), ("notumor", "ours", "p"), ("tumor", "p", "p"), ("tumor", "p", "p"),
    ]  # fmt: skip
