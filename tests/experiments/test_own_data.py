"""What the study of own data takes from the images at hand."""

from collections import Counter
from pathlib import Path

from experiments.own_data import DATA_SETS, OwnData, chosen, kind_and_sequence, yes_or_no

from tumorlens.datasets.manifest import Manifest, Record


def record(name: str, label: str, source: str, patient: str, sequence: str = "") -> Record:
    return Record(name, label, "", name, "", 1, 1, "L", patient, source, patient, sequence=sequence)


def test_a_few_images_of_each_patient_up_to_the_limit() -> None:
    records = [
        record(f"{p}-{k}.png", "glioma", "tcga_lgg_110", f"P{p}")
        for p in range(9)
        for k in range(9)
    ]
    own = OwnData("few", "more", yes_or_no, images=10, folds=2, epochs=1)
    rows = list(chosen(own, Manifest(tuple(records), Path("images"))))
    assert set(Counter(patient for _, patient, _ in rows).values()) == {5}
    assert len(rows) == 10
    assert {label for label, _, _ in rows} == {"yes"}
    assert {path.parent.name for _, _, path in rows} == {"images"}


def test_classes_of_the_data_sets() -> None:
    assert yes_or_no(record("a", "notumor", "tcga_lgg_110", "P")) == "no"
    assert yes_or_no(record("a", "notumor", "abide_mid", "P")) is None
    assert kind_and_sequence(record("a", "glioma", "tcga_lgg_110", "P", "T1CE")) == "glioma_T1CE"
    assert kind_and_sequence(record("a", "glioma", "tcga_lgg_110", "P", "T2")) is None
    assert len({own.name for own in DATA_SETS}) == 3
