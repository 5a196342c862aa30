"""The table fits the width there is and says everything that matters in it."""

import msgspec
import pytest
from tests.answers import REASON, image, member, series, study, volume

from tumorlens.errors import CorruptInputError
from tumorlens.inference.record import Failure, Finding, Result
from tumorlens.labels import BRAIN_TUMORS, RESEARCH_NOTICE, ClassInfo, ClassSet
from tumorlens.reporting.table import elide, render
from tumorlens.text import probability_percent

FAILURE = Failure.from_error("bad.png", CorruptInputError("bad.png: damaged png (broken)"))
LONG = "/a/very/long/folder/name/that/goes/on/" * 4 + "slice-007.png"
RESULTS: list[Result] = [image(LONG), image("b.png", label="notumor"), FAILURE]
FOUND = Finding(first=100, middle=110, last=120)
GAP = "gap of 10.0 mm between slices 4 and 5, counted from 1: about 1 missing"
SERIES = series("t1 mpr tra with a long name\n")


@pytest.mark.parametrize("width", [24, 40, 50, 64, 80, 100, 160])
@pytest.mark.parametrize("color", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, color: bool) -> None:
    text = render(RESULTS, width=width, color=color)
    if not color:
        assert max(map(len, text.splitlines())) <= width
        assert "\x1b" not in text
    told = " ".join(text.split())
    for word in ("slice-007.png", "b.png", "glioma", "No tumour seen", "85%", "failed", "corrupt"):
        assert word in told


@pytest.mark.parametrize("width", [120, 140, 160])
def test_every_class_has_its_column_where_they_fit(width: int) -> None:
    heading, _, row, *_ = render([image(LONG)], width=width).splitlines()
    for name in BRAIN_TUMORS.display_names.values():
        assert name in heading
    assert row.count("%") == len(BRAIN_TUMORS) + 1  # and that of the summary


def test_columns_that_do_not_fit_are_left_out_together() -> None:
    members = tuple(
        ClassInfo(name=f"c{k}", display_name=f"a class with a long name {k}") for k in range(5)
    )
    model = msgspec.structs.replace(image().model, classes=ClassSet(members=members))
    shares = {member.name: 0.2 for member in members}
    one = msgspec.structs.replace(image("a.png"), model=model, probabilities=shares, label="c1")
    heading, *_ = render([one], width=150).splitlines()
    assert heading.split() == ["image", "decision", "answer"]
    heading, *_ = render([one], width=220).splitlines()
    assert "a class with a long name 4" in heading


@pytest.mark.parametrize("width", [None, 160, 30])
def test_footer(width: int | None) -> None:
    text = " ".join(render(RESULTS, width=width).split())
    assert "bad.png: damaged png (broken)" in text
    assert "model tiny 1.2, sha256 0123456789ab" in text
    assert RESEARCH_NOTICE in text


def _damaged(folder: str, count: int, why: str = "cut off") -> list[Result]:
    paths = [f"{folder}/{index}.dcm" for index in range(count)]
    return [Failure.from_error(path, CorruptInputError(f"{path}: {why}")) for path in paths]


@pytest.mark.parametrize("width", [None, 160, 100, 50])
def test_files_of_a_folder_with_the_same_error_are_one_line(width: int | None) -> None:
    answered = image("in/a.png", label="glioma")
    results = [*_damaged("in/s1", 20), answered, *_damaged("in/s2", 3), *_damaged("in/s3", 4)]
    text = " ".join(render(results, width=width).split())
    assert "in/s1: 20 files, such as 0.dcm: cut off; --format csv lists each" in text
    assert "in/s3: 4 files, such as 0.dcm" in text
    assert text.count("s1 (20 files)") == 1
    assert all(f"in/s2/{index}.dcm: cut off" in text for index in range(3))
    assert text.index("s1 (20 files)") < text.index("a.png") < text.index("s2/0.dcm")


def test_files_with_other_errors_are_lines_of_their_own() -> None:
    results = [*_damaged("s", 3), *_damaged("s", 3, "empty"), *_damaged("other", 3)]
    assert "files" not in render(results, width=None)


def test_plain_lines_hold_whole_paths_and_every_class() -> None:
    lines = render(RESULTS, width=None).splitlines()
    assert LONG in lines[1]
    assert [name in lines[0] for name in BRAIN_TUMORS.display_names.values()] == [True] * 4
    assert "Tumour likely (85%). Kind: glioma 85%." in lines[1]
    assert lines[1].count("15.0%") == 1
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("width", [None, 30, 64, 80, 120])
def test_what_is_held_back_is_never_shown_as_an_answer(width: int | None) -> None:
    held = [image("a.png", "abstained"), image("b.png", "rejected")]
    lines = render(held, width=width).splitlines()
    assert any("abstained" in line for line in lines)
    assert any("rejected" in line for line in lines)
    table = lines[1:] if width is None or width >= 120 else lines  # class names in the heading
    assert not any("no tumour" in line.lower() for line in table)
    text = " ".join(" ".join(lines).split())
    assert f"a.png: {REASON}" in text
    assert text.count(REASON) == 2, "the summary of a rejected image is its reason"
    assert "\n\n\n" not in "\n".join(lines)


@pytest.mark.parametrize("width", [24, 40, 64, 100, 160, None])
def test_classes_left_open_stand_below_the_answer(width: int | None) -> None:
    one = msgspec.structs.replace(image("a.png"), prediction_set=("glioma", "meningioma"))
    text = " ".join(render([one], width=width).split())
    assert "not excluded: meningioma" in text


@pytest.mark.parametrize("width", [None, 30, 64, 120])
def test_a_set_beside_a_held_back_answer_stands_with_its_reason(width: int | None) -> None:
    unsure = image("a.png", "abstained", prediction_set=("notumor",))
    text = " ".join(render([unsure], width=width).split())
    table, _, below = text.partition(f"a.png: {REASON}")
    assert "not excluded: no tumour" in below
    assert "excluded" not in table


@pytest.mark.parametrize("width", [24, 40, 50, 64, 80, 100, 160, None])
def test_volumes_say_where(width: int | None) -> None:
    found = volume(finding=FOUND, series=SERIES, notes=(GAP,))
    text = render([*RESULTS, found], width=width)
    assert "101-121 of 240" in text
    if width is not None:
        table = text.partition("\n\n")[0]
        assert max(map(len, table.splitlines())) <= width
    assert "study: gap of 10.0 mm between slices 4 and 5" in " ".join(text.split())
    one_slice = volume(finding=Finding(first=7, middle=7, last=7))
    assert "slice 8 of 240" in render([one_slice], width=width)
    assert "240 slices" in render([volume()], width=width)
    if width is None:
        assert "t1 mpr tra with a long name\\n: slices 101-121 of 240, middle 111" in text


@pytest.mark.parametrize("width", [24, 64, 160, None])
def test_a_study_says_which_series_it_was_answered_from(width: int | None) -> None:
    used = member("a", 1.0, 0.85, "T1"), member("b", 0.5, 0.7, None)
    unused = member("c", 0.0, 0.99, "FLAIR")
    text = " ".join(render([study(*used, unused)], width=width).split())
    assert "study, from 2 series: T1, unknown sequence" in text
    assert "FLAIR" not in text


def test_only_failures() -> None:
    text = render([FAILURE], width=80)
    assert "failed" in text
    assert "corrupt" in text
    assert "sha256" not in text


def test_odd_paths_stay_text() -> None:
    odd = "[bold]x[/bold] :smile:\n\x1b[31m\udcff.png"
    text = render([image(odd)], width=None)
    assert "[bold]x[/bold] :smile:\\n\\x1b[31m\\udcff.png" in text
    text.encode("utf-8")


@pytest.mark.parametrize(("share", "words"), [(0.9871, "98.7%"), (1.0, ">99.9%"), (0.0, "<0.1%")])
def test_percentages_never_round_to_certainty(share: float, words: str) -> None:
    assert probability_percent(share) == words


def test_paths_lose_their_front() -> None:
    assert elide("abcdef", 4) == "…def"
    assert elide("abc", 4) == "abc"
