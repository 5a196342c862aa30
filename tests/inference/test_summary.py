"""The sentence that people read first."""

import msgspec
import pytest
from tests.answers import MODEL, image, shares, volume

from tumorlens.errors import CorruptInputError
from tumorlens.inference.record import Answer, Decision, Failure
from tumorlens.inference.summary import headline, is_tumor, summarize
from tumorlens.labels import ClassInfo, ClassSet, class_set
from tumorlens.text import probability_percent


@pytest.mark.parametrize(
    ("decision", "label", "probabilities", "sentence"),
    [
        ("detected", None, shares(glioma=0.64, pituitary=0.21, meningioma=0.11),
         "Tumour likely (96%). Kind uncertain: glioma 64%, pituitary tumour 21%, meningioma 11%."),
        ("detected", None, shares(glioma=0.64, pituitary=0.09),
         "Tumour likely (73%). Kind uncertain: glioma 64%."),
        ("classified", "glioma", shares(glioma=0.97, pituitary=0.01),
         "Tumour likely (98%). Kind: glioma 97%."),
        ("classified", "notumor", shares(glioma=0.04), "No tumour seen (96%)."),
        ("abstained", None, shares(glioma=0.6),
         "Uncertain whether there is a tumour (probability 60%)."),
        ("rejected", None, shares(glioma=0.6), "Rejected: no head."),
    ],
)  # fmt: skip
def test_sentences(
    decision: Decision, label: str | None, probabilities: dict[str, float], sentence: str
) -> None:
    reason = "no head" if decision == "rejected" else ""
    assert summarize(decision, label, probabilities, reason) == sentence


def test_on_plain_t1_no_tumour_has_its_caveat() -> None:
    healthy = shares(glioma=0.02)
    told = summarize("classified", "notumor", healthy, sequence="T1")
    assert told == "No tumour seen (98%). Some tumours are hardly visible on plain T1."
    assert summarize("classified", "notumor", healthy, sequence="FLAIR") == "No tumour seen (98%)."
    ill = summarize("classified", "glioma", shares(glioma=0.9), sequence="T1")
    assert "plain T1" not in ill


def test_of_a_part_of_a_head_no_tumour_has_its_caveat() -> None:
    healthy = shares(glioma=0.02)
    told = summarize("classified", "notumor", healthy, is_part=True)
    assert told == "No tumour seen (98%). Only part of the head was seen."
    both = summarize("classified", "notumor", healthy, sequence="T1", is_part=True)
    assert both.endswith("plain T1. Only part of the head was seen.")
    ill = shares(glioma=0.9)
    assert "part" not in summarize("classified", "glioma", ill, is_part=True)


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, ">99%"), (0.9951, ">99%"), (0.99, "99%"), (0.004, "<1%"), (0.0, "<1%"), (0.5, "50%")],
)
def test_no_certainty_is_made_by_rounding(share: float, words: str) -> None:
    assert probability_percent(share, 0) == words


def test_headlines_and_what_counts_as_a_tumour() -> None:
    assert headline(image(label="pituitary")) == "Pituitary tumour"
    assert headline(image(label="notumor")) == "No tumour"
    assert headline(volume(decision="detected")) == "Tumour detected, kind uncertain"
    assert headline(image(decision="abstained")) == "Abstained"
    assert headline(Failure.from_error("x", CorruptInputError("x: damaged"))) == "Failed"
    tumours: list[Answer] = [image(), volume(decision="detected")]
    others: list[Answer] = [
        image(label="notumor"),
        image(decision="abstained"),
        image(decision="rejected"),
    ]
    assert [is_tumor(one) for one in (*tumours, *others)] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("labels", "decision", "label", "row", "sentence"),
    [
        (["yes", "no"], "classified", "no", {"no": 0.9, "yes": 0.1}, "No finding seen (90%)."),
        (["yes", "no"], "classified", "yes", {"no": 0.1, "yes": 0.9}, "Yes likely (90%)."),
        (["yes", "no"], "abstained", None, {"no": 0.4, "yes": 0.6},
         "Uncertain whether there is a finding (probability 60%)."),
        (["tumor", "notumor"], "classified", "notumor", {"notumor": 0.9, "tumor": 0.1},
         "No tumour seen (90%)."),
        (["glioma", "meningioma"], "classified", "glioma", {"glioma": 0.9, "meningioma": 0.1},
         "Glioma likely (90%)."),
        (["glioma", "meningioma"], "abstained", None, {"glioma": 0.6, "meningioma": 0.4},
         "Kind uncertain: glioma 60%, meningioma 40%."),
        (["brain_cyst", "abscess", "normal"], "detected", None,
         {"brain_cyst": 0.5, "abscess": 0.3, "normal": 0.2},
         "Finding likely (80%). Kind uncertain: brain cyst 50%, abscess 30%."),
    ],
)  # fmt: skip
def test_sentences_of_other_classes(
    labels: list[str],
    decision: Decision,
    label: str | None,
    row: dict[str, float],
    sentence: str,
) -> None:
    assert summarize(decision, label, row, classes=class_set(labels)) == sentence


@pytest.mark.parametrize(
    ("glioma", "others", "kinds"),
    [
        (0.5, 0.1, "glioma 50%, meningioma 10%"),
        (0.5, 0.099, "glioma 50%"),
        (0.09, 0.08, "glioma 9%"),
    ],
)
def test_kinds_are_named_from_a_tenth_on_and_one_always(
    glioma: float, others: float, kinds: str
) -> None:
    row = shares(glioma=glioma, meningioma=others)
    assert summarize("detected", None, row).endswith(f"Kind uncertain: {kinds}.")


def test_kinds_of_equal_probability_stay_in_the_order_of_the_classes() -> None:
    told = summarize("detected", None, shares(pituitary=0.4, glioma=0.4, notumor=0.2))
    assert told.endswith("glioma 40%, pituitary tumour 40%.")


@pytest.mark.parametrize("sequence", [None, "T1CE", "T2", "FLAIR", "other"])
def test_only_plain_t1_has_the_caveat(sequence: str | None) -> None:
    healthy = summarize("classified", "notumor", shares(glioma=0.02), sequence=sequence)
    assert healthy == "No tumour seen (98%)."


def test_the_caveat_of_plain_t1_is_about_tumours_only() -> None:
    kinds = class_set(["abscess", "normal"])
    told = summarize(
        "classified", "normal", {"abscess": 0.1, "normal": 0.9}, sequence="T1", classes=kinds
    )
    assert told == "No finding seen (90%)."


def test_a_headline_begins_with_a_capital_and_keeps_the_rest() -> None:
    """Abbreviations within a name stay as they are."""
    own = ClassSet(
        members=(
            ClassInfo(name="a", display_name="large GBM"),
            ClassInfo(name="b", display_name="x"),
        )
    )
    model = msgspec.structs.replace(MODEL, classes=own)
    named = msgspec.structs.replace(image(), label="a", model=model)
    assert headline(named) == "Large GBM"
