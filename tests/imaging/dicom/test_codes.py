"""The coded words of reports: standard where there is a code, private where there is none."""

import msgspec
import pytest
from pydicom.sr.codedict import codes as standard
from tests.answers import OWN_WORDS

from tumorlens.imaging.dicom import codes
from tumorlens.inference.record import CLASSIFIED, DETECTED, Decision
from tumorlens.labels import BRAIN_TUMORS, ClassInfo, ClassSet, Code, class_set

KINDS_ALONE = class_set(["glioma", "meningioma"])


@pytest.mark.parametrize(
    ("decision", "label", "meaning"),
    [
        ("classified", "glioma", "Present"),
        ("classified", "notumor", "Absent"),
        ("detected", None, "Present"),
        ("abstained", None, "Indeterminate"),
        ("rejected", None, None),
    ],
)
def test_whether_a_tumour_is_present(
    decision: Decision, label: str | None, meaning: str | None
) -> None:
    found = codes.presence(decision, label, BRAIN_TUMORS)
    assert (found and found.meaning) == meaning
    assert codes.presence(decision, label, KINDS_ALONE) is None, "nothing else can be present"
    neoplasm = codes.finding_type(decision, label, BRAIN_TUMORS)
    assert neoplasm is (codes.NEOPLASM if meaning == "Present" else None)


@pytest.mark.parametrize("decision", [CLASSIFIED, DETECTED])
def test_what_is_no_tumour_is_never_coded_as_a_neoplasm(decision: Decision) -> None:
    assert codes.presence(decision, "glioma", OWN_WORDS) == standard.SCT.Present
    assert codes.finding_type(decision, "glioma", OWN_WORDS) is None
    assert codes.question(BRAIN_TUMORS) == codes.NEOPLASM
    asked = codes.question(OWN_WORDS)
    assert (asked.value, asked.scheme_designator, asked.meaning) == (
        "finding", codes.SCHEME, "growth",
    )  # fmt: skip


def test_the_code_of_a_class_is_the_one_that_its_bundle_states() -> None:
    own = Code(value="50960005", scheme="SCT", meaning="Hemorrhage")
    coded = codes.label(ClassInfo(name="bleeding", display_name="haemorrhage", code=own))
    assert (coded.value, coded.scheme_designator, coded.meaning) == (
        "50960005", "SCT", "Hemorrhage",
    )  # fmt: skip
    private = codes.label(ClassInfo(name="bleeding", display_name="haemorrhage"))
    assert (private.value, private.scheme_designator) == ("bleeding", "99TUMORLENS")
    assert private.meaning == "Image class: haemorrhage"


@pytest.mark.parametrize(
    ("classes", "value", "meaning"),
    [
        (BRAIN_TUMORS, "p-tumor", "Probability of a tumour of any kind"),
        (OWN_WORDS, "p-finding", "Probability of a growth of any kind"),
    ],
)
def test_the_probability_of_any_finding_is_named_by_what_is_found(
    classes: ClassSet, value: str, meaning: str
) -> None:
    found = codes.finding_probability(classes)
    assert (found.value, found.meaning) == (value, meaning)


@pytest.mark.parametrize(
    ("decision", "of_tumors", "of_kinds"),
    [
        ("classified", "Classified: kind named, or no tumour", "Classified: kind named"),
        ("abstained", "Abstained: presence of a tumour uncertain", "Abstained: kind uncertain"),
        ("detected", "Detected: a tumour, kind uncertain", None),
        ("rejected", "Rejected: not an image of head MRI", "Rejected: not an image of head MRI"),
    ],
)
def test_decisions_are_coded_in_the_words_of_the_classes(
    decision: str, of_tumors: str, of_kinds: str | None
) -> None:
    assert codes.decision(decision, BRAIN_TUMORS).meaning == of_tumors
    assert codes.decision(decision, BRAIN_TUMORS).value == decision
    if of_kinds is not None:
        assert codes.decision(decision, KINDS_ALONE).meaning == of_kinds


def test_a_meaning_has_at_most_64_characters_however_long_the_name() -> None:
    """More would be no LO (PS3.5 6.2)."""
    long = ClassInfo(name="x", display_name="a very long name of a class " * 9)
    wordy = msgspec.structs.replace(BRAIN_TUMORS, finding="abnormality " * 9)
    made = (codes.label(long), codes.probability(long), codes.decision("abstained", wordy))
    assert {len(code.meaning) for code in made} == {64}


def test_all_private_codes_differ_and_belong_to_a_private_scheme() -> None:
    made = [
        codes.PROCEDURE, codes.DECISION, codes.CLASS, codes.STATUS, codes.RESEARCH,
        codes.finding_probability(BRAIN_TUMORS),
        *map(codes.label, BRAIN_TUMORS.members), *map(codes.probability, BRAIN_TUMORS.members),
    ]  # fmt: skip
    assert len({code.value for code in made}) == len(made)
    assert {code.scheme_designator[:2] for code in made} == {"99"}


@pytest.mark.parametrize("label", [None, "glioma", "notumor", "pituitary"])
def test_a_pituitary_tumour_is_in_the_gland_and_all_else_in_the_brain(label: str | None) -> None:
    assert codes.site(label) == (codes.PITUITARY if label == "pituitary" else codes.BRAIN)
