"""Which classes a set of labels stands for."""

import msgspec
import pytest

from tumorlens.labels import (
    BRAIN_TUMORS,
    LABELS,
    OTHER_PATHOLOGY,
    ClassInfo,
    ClassSet,
    class_set,
)


@pytest.mark.parametrize(
    ("labels", "names", "no_finding"),
    [
        (LABELS, BRAIN_TUMORS.names, "notumor"),
        (["yes", "no"], ("no", "yes"), "no"),
        (["tumor", "notumor"], ("notumor", "tumor"), "notumor"),
        (["pituitary", "glioma", "meningioma"], ("glioma", "meningioma", "pituitary"), None),
        (["glioma", "tumor", "notumor"], ("glioma", "notumor"), "notumor"),
        (["Normal", "cyst", "abscess", OTHER_PATHOLOGY], ("Normal", "abscess", "cyst"), "Normal"),
        (["glioma_t1", "glioma_t2", "no_t1"], ("glioma_t1", "glioma_t2", "no_t1"), None),
    ],
)
def test_classes_follow_from_labels(
    labels: list[str], names: tuple[str, ...], no_finding: str | None
) -> None:
    found = class_set(labels)
    assert (found.names, found.no_finding) == (names, no_finding)
    assert [found.names[i] for i in found.kinds] == [name for name in names if name != no_finding]


@pytest.mark.parametrize("labels", [["yes"], [OTHER_PATHOLOGY], ["normal", "healthy", "cyst"]])
def test_labels_that_are_no_classes(labels: list[str]) -> None:
    with pytest.raises(ValueError, match=r"two classes|both mean"):
        class_set(labels)


def test_a_vague_label_is_right_for_every_kind() -> None:
    assert BRAIN_TUMORS.correct_classes("tumor") == (0, 1, 3)
    assert BRAIN_TUMORS.correct_classes("not_brain_mri") == ()
    own = class_set(["tumor", "notumor"])
    assert own.correct_classes("tumor") == (1,)
    assert own.unknown(["glioma", "tumor", "other_pathology"]) == ["glioma"]
    alone = class_set(["glioma", "pituitary"])
    assert alone.unknown(["tumor"]) == ["tumor"]


def test_a_class_set_that_contradicts_itself() -> None:
    a, b = (ClassInfo(name=name, display_name=name) for name in "ab")
    for members, no_finding in (((a, a), None), ((a, b), "c"), ((a,), None)):
        with pytest.raises(ValueError, match=r"name|no_finding|two classes"):
            ClassSet(members=members, no_finding=no_finding)


@pytest.mark.parametrize(
    ("word", "said"), [("tumour", "a tumour"), ("abscess", "an abscess"), ("Edema", "an Edema")]
)
def test_the_article_of_a_finding(word: str, said: str) -> None:
    assert msgspec.structs.replace(BRAIN_TUMORS, finding=word).a_finding == said


@pytest.mark.parametrize(
    ("word", "several"),
    [("tumour", "tumours"), ("abscess", "abscesses"), ("metastasis", "metastases"),
     ("anomaly", "anomalies"), ("X-ray sign", "X-ray signs")],
)  # fmt: skip
def test_several_findings(word: str, several: str) -> None:
    assert msgspec.structs.replace(BRAIN_TUMORS, finding=word).findings == several


def test_numbered_classes_are_in_the_order_of_their_numbers() -> None:
    numbered = [f"grade {number}" for number in range(1, 12)]
    assert class_set(reversed(numbered)).names == tuple(numbered)
    assert class_set(["10", "2", "02"]).names == ("02", "2", "10")
