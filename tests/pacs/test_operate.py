"""What an operator does with the queue, from another process than the node's."""

import json
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tumorlens.cli.pacs import command
from tumorlens.pacs import operate
from tumorlens.pacs.private import SpoolError
from tumorlens.pacs.spool import FAILED, MADE, RECEIVING, SENT, Spool, Waiting


def _run(name: str, spool: Spool, *arguments: str) -> Result:
    return CliRunner().invoke(command, [name, "--spool", str(spool.folder), *arguments])


def _study(spool: Spool, number: int) -> Waiting:
    spool.accept(f"1.{number}", f"1.{number}.1", b"image")
    (found,) = (one for one in spool.due(0) if one.key == spool.key(f"1.{number}"))
    return found


def _answer(spool: Spool, one: Waiting) -> None:
    spool.keep_answer(one, [(f"2.25.{one.key}", "class", b"answer")])


@pytest.fixture
def full(spool: Spool) -> Spool:
    """One study of each state: 1 failed, 2 made, 3 sent, 4 receiving."""
    spool.finish(_study(spool, 1), FAILED, "it crashed the process that read it")
    _answer(spool, _study(spool, 2))
    sent = _study(spool, 3)
    _answer(spool, sent)
    spool.mark_sent(f"2.25.{sent.key}")
    spool.finish(sent)
    _study(spool, 4)
    return spool


def test_status_lists_what_is_not_delivered_with_its_reason(full: Spool) -> None:
    result = _run("status", full)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert [line.split()[1] for line in lines[1:-1]] == [FAILED, MADE, RECEIVING]
    assert lines[1].endswith("it crashed the process that read it")
    assert lines[2].endswith("1 objects to deliver")
    assert lines[-1] == "1 failed, 1 made, 1 receiving, 1 sent"
    listed = [
        json.loads(line)
        for line in _run("status", full, "--all", "--json").output.split("\n")
        if line
    ]
    assert [one["state"] for one in listed] == [FAILED, MADE, SENT, RECEIVING]
    assert listed[0]["study"] == full.key("1.1")
    assert all(one["instances"] == 1 for one in listed)


@pytest.mark.parametrize("name", ["status", "retry", "drop"])
def test_a_folder_without_a_spool_is_told_and_stays_as_it_is(tmp_path: Path, name: str) -> None:
    arguments = [name, "--spool", str(tmp_path), *(["abcdef"] if name != "status" else [])]
    result = CliRunner().invoke(command, arguments)
    assert str(result.exception) == f"{tmp_path}: contains no spool"
    assert not list(tmp_path.iterdir())


def test_a_study_may_be_asked_for_by_any_bytes(full: Spool) -> None:
    assert isinstance(_run("drop", full, "\udcff\n").exception, SpoolError)


def test_a_study_at_work_is_not_said_to_have_failed(spool: Spool) -> None:
    spool.accept("1.2", "1.2.3", b"data")
    (waiting,) = spool.due(0)
    spool.begin(waiting)
    (status,) = operate.statuses(spool)
    assert status.reason.startswith("it is being answered, or ")


def test_retry_puts_what_failed_back_and_delivers_what_waits_at_once(full: Spool) -> None:
    made = next(one for one in full.due(0) if one.state == MADE)
    full.postpone(made, 3600)
    assert [one.state for one in full.due(0)] == [RECEIVING]
    result = _run("retry", full, "--failed", "1.2")  # by its StudyInstanceUID
    assert "2 studies will be retried" in result.output
    assert sorted((one.state, one.attempts) for one in full.due(0)) == [
        (MADE, 0), (RECEIVING, 0), (RECEIVING, 0),
    ]  # fmt: skip
    assert "0 studies" in _run("retry", full, full.key("1.3")).output


def test_drop_deletes_a_study_with_its_files_and_forgets_it(full: Spool) -> None:
    result = _run("drop", full, full.key("1.1")[:8], full.key("1.2"))
    assert "dropped 2 studies, 3 files" in result.output, result.output
    assert full.counts() == {SENT: 1, RECEIVING: 1}
    assert not (full.folder / "studies" / full.key("1.1")).exists()
    assert full.accept("1.1", "1.1.1", b"image") is True


def test_what_is_made_of_a_study_that_was_dropped_meanwhile_is_not_kept(spool: Spool) -> None:
    one = _study(spool, 1)
    operate.drop(spool, [one.key])
    _answer(spool, one)
    spool.finish(one)
    assert spool.counts() == {}
    assert [path for path in spool.folder.rglob("*.dcm") if path.is_file()] == []


def test_each_is_in_the_audit_log(full: Spool) -> None:
    _run("retry", full, "1.1")
    _run("drop", full, "1.1")
    lines = (full.folder / "audit.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [(one["event"], one["study"]) for one in events] == [
        ("retried_by_operator", full.key("1.1")), ("dropped_by_operator", full.key("1.1")),
    ]  # fmt: skip


def test_a_name_of_no_study_or_of_several_changes_nothing(
    full: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1.99", "", "abc"):
        with pytest.raises(SpoolError, match="no study"):
            operate.choose(full, [full.key("1.1"), name])
    monkeypatch.setattr(operate, "_SHORTEST_KEY", 0)
    with pytest.raises(SpoolError, match="4 studies begin with"):
        operate.choose(full, [""])
    assert _run("retry", full).exit_code == 2
    assert _run("drop", full).exit_code == 2
    assert isinstance(_run("drop", full, "1.99").exception, SpoolError)
    assert full.counts() == {FAILED: 1, MADE: 1, SENT: 1, RECEIVING: 1}


def test_an_empty_spool_and_one_that_is_none(spool: Spool, tmp_path: Path) -> None:
    assert _run("status", spool).output == "empty\n"
    result = CliRunner().invoke(command, ["status", "--spool", str(tmp_path / "nowhere")])
    assert result.exit_code == 2


def test_it_works_beside_a_node_that_writes(full: Spool) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 10
        while not stop.is_set():
            _study(full, number)
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(5):
            assert _run("status", full).exit_code == 0
            assert _run("retry", full, "--failed").exit_code == 0
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (59, "59 s"),
        (60, "1 min"),
        (3599, "60 min"),
        (7200, "2 h"),
        (86400, "1 d"),
        (864000, "10 d"),
    ],
)
def test_the_age_of_a_study_is_told_in_its_largest_unit(
    spool: Spool, seconds: int, words: str
) -> None:
    one = _study(spool, 1)
    with spool.changing() as db:
        db.execute("UPDATE studies SET received=received-?", (seconds,))
    (_, line, _) = _run("status", spool).output.splitlines()
    assert line.startswith(f"{one.key}  receiving  ")
    assert line.endswith(f"  {words}")
