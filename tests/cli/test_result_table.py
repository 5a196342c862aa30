"""The table fits the width there is and says everything that matters in it."""

import msgspec
import pytest

from tumorlens.cli.result_table import bar, elide, render
from tumorlens.errors import CorruptInputError
from tumorlens.inference.classifier import Failure, ModelIdentity, Prediction
from tumorlens.inference.finding import Finding, SeriesFacts
from tumorlens.inference.postprocessing import percent
from tumorlens.inference.volume import Result, SlicePrediction, VolumePrediction
from tumorlens.labels import DISPLAY_NAMES, RESEARCH_NOTICE

MODEL = ModelIdentity("tiny", "1.2", "0123456789ab" + "f" * 52)


def prediction(path: str, label: str = "glioma") -> Prediction:
    probabilities = dict.fromkeys(DISPLAY_NAMES, 0.05) | {label: 0.85}
    return Prediction(path, "classified", label, "", probabilities, MODEL)


def volume(finding: Finding | None) -> VolumePrediction:
    name = "t1 mpr tra with a long name\n"
    series = SeriesFacts("MR", None, name, None, None, (), None, None, None, None, None, None)
    slices = tuple(SlicePrediction(index, None, None, None, "", {}) for index in range(240))
    probabilities = dict.fromkeys(DISPLAY_NAMES, 0.05) | {"pituitary": 0.85}
    notes = ("gap of 10.0 mm between slices 4 and 5, counted from 1: about 1 missing",)
    return VolumePrediction(
        "study", "classified", "pituitary", "", probabilities, finding, slices, series, notes, MODEL
    )


FAILURE = Failure.of("bad.png", CorruptInputError("bad.png: damaged png (broken)"))
LONG = "/a/very/long/folder/name/that/goes/on/" * 4 + "slice-007.png"
RESULTS: list[Result] = [prediction(LONG), prediction("b.png", "notumor"), FAILURE]
FOUND = Finding(100, 110, 120, None, None, None, None, None)


@pytest.mark.parametrize("width", [24, 40, 50, 64, 80, 100, 160])
@pytest.mark.parametrize("color", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, color: bool) -> None:
    text = render(RESULTS, width=width, color=color)
    if not color:
        assert max(map(len, text.splitlines())) <= width
        assert "\x1b" not in text
    for word in ("slice-007.png", "b.png", "glioma", "no tumour", "85.0%", "failed: corrupt"):
        assert word in text


@pytest.mark.parametrize("width", [None, 160, 30])
def test_footer(width: int | None) -> None:
    text = " ".join(render(RESULTS, width=width).split())
    assert "bad.png: damaged png (broken)" in text
    assert "model tiny 1.2, sha256 0123456789ab" in text
    assert RESEARCH_NOTICE in text


def test_plain_lines_hold_whole_paths_and_every_class() -> None:
    lines = render(RESULTS, width=None).splitlines()
    assert LONG in lines[1]
    assert [name in lines[0] for name in DISPLAY_NAMES.values()] == [True] * 4
    assert lines[1].count("5.0%") == 4
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("width", [None, 30, 60, 80, 120])
def test_what_is_held_back_is_never_shown_as_an_answer(width: int | None) -> None:
    probabilities = dict.fromkeys(DISPLAY_NAMES, 0.05) | {"notumor": 0.85}
    unsure = Prediction("a.png", "abstained", None, "not sure enough: why", probabilities, MODEL)
    refused = Prediction("b.png", "rejected", None, "no brain: why", probabilities, MODEL)
    lines = render([unsure, refused], width=width).splitlines()
    rows = [line for line in lines if "not sure" in line or "refused" in line]
    assert any("not sure" in line for line in rows)
    assert any("refused" in line for line in rows)
    assert not any("no tumour" in line for line in rows)
    text = " ".join(" ".join(lines).split())
    assert "a.png: not sure enough: why" in text
    assert "b.png: no brain: why" in text


@pytest.mark.parametrize("width", [24, 40, 64, 100, 160, None])
def test_classes_left_open_stand_below_the_answer(width: int | None) -> None:
    one = msgspec.structs.replace(prediction("a.png"), prediction_set=("glioma", "meningioma"))
    three = msgspec.structs.replace(
        prediction("b.png"), prediction_set=("glioma", "meningioma", "notumor", "pituitary")
    )
    lines = [line.strip() for line in render([one, three], width=width).splitlines()]
    assert "or meningioma" in lines
    listed = "or meningioma or no tumour or pituitary tumour"
    assert ("or 3 other classes" if width is not None else listed) in lines
    if width is not None:
        assert max(map(len, lines[: lines.index("")])) <= width


@pytest.mark.parametrize("width", [None, 30, 60, 120])
def test_a_set_without_an_answer_stands_with_its_reason(width: int | None) -> None:
    probabilities = dict.fromkeys(DISPLAY_NAMES, 0.05) | {"notumor": 0.85}
    unsure = Prediction(
        "a.png", "abstained", None, "not sure: why", probabilities, MODEL, ("notumor",)
    )
    text = " ".join(render([unsure], width=width).split())
    table, _, below = text.partition("a.png: not sure: why")
    assert "not excluded: no tumour" in below
    assert "excluded" not in table


@pytest.mark.parametrize("width", [24, 40, 50, 64, 80, 100, 160, None])
def test_volumes_say_where(width: int | None) -> None:
    text = render([*RESULTS, volume(FOUND)], width=width)
    assert "101-121 of 240" in text
    if width is not None:
        table = text.partition("\n\n")[0]
        assert max(map(len, table.splitlines())) <= width
    assert "study: gap of 10.0 mm between slices 4 and 5" in " ".join(text.split())
    one_slice = Finding(7, 7, 7, None, None, None, None, None)
    assert "slice 8 of 240" in render([volume(one_slice)], width=width)
    assert "240 slices" in render([volume(None)], width=width)
    if width is None:
        assert "t1 mpr tra with a long name\\n: slices 101-121 of 240, middle 111" in text


def test_only_failures() -> None:
    text = render([FAILURE], width=80)
    assert "failed: corrupt" in text
    assert "sha256" not in text


def test_odd_paths_stay_text() -> None:
    odd = "[bold]x[/bold] :smile:\n\x1b[31m\udcff.png"
    text = render([prediction(odd)], width=None)
    assert "[bold]x[/bold] :smile:\\n\\x1b[31m\\udcff.png" in text
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("share", "shown"),
    [(1.0, ">99.9%"), (0.9991, ">99.9%"), (0.999, "99.9%"), (0.5, "50.0%"), (0.001, "0.1%"),
     (0.0009, "<0.1%"), (0.0, "<0.1%")],
)  # fmt: skip
def test_percent_never_claims_certainty(share: float, shown: str) -> None:
    assert percent(share) == shown


def test_bar() -> None:
    assert bar(0).strip() == ""
    assert bar(1) == "█" * 12
    assert bar(0.5) == "██████      "
    assert {len(bar(share / 100)) for share in range(101)} == {12}


def test_elide() -> None:
    assert elide("abc.png", 7) == "abc.png"
    assert elide("folder/abc.png", 8) == "…abc.png"
