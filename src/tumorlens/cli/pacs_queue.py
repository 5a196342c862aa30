"""``tumorlens pacs status``, ``retry``, ``drop``, ``rebuild``: what an operator does."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tumorlens.cli.terminal import note
from tumorlens.text import printable, reason_of

if TYPE_CHECKING:
    from tumorlens.pacs.journal import Journal
    from tumorlens.pacs.operate import StudyStatus
    from tumorlens.pacs.spool import Spool

AUDIT_FILE: Final = "audit.jsonl"
_spool = click.option(
    "--spool", "folder", required=True, metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True), help="Spool of the node.",
)  # fmt: skip
_studies = click.argument("studies", nargs=-1, metavar="[STUDY]...")


@contextmanager
def _opening(path: Path, what: str) -> Iterator[None]:
    """Turn the system's error on opening ``path`` into one line."""
    from tumorlens.pacs.private import SpoolError

    try:
        yield
    except OSError as error:
        raise SpoolError(f"{path}: {what} cannot be opened ({reason_of(error)})") from error


def open_spool(folder: Path, quota_bytes: int | None = None) -> "Spool":
    """Open a spool; raises ``SpoolError``."""
    from tumorlens.pacs.spool import Spool

    with _opening(folder, "the spool"):
        return Spool(folder, quota_bytes)


def _existing(folder: Path) -> "Spool":
    """The spool in ``folder``; looking at it must not create one."""
    from tumorlens.pacs import database
    from tumorlens.pacs.private import SpoolError

    if not any((folder / name).exists() for name in (database.NAME, "studies")):
        raise SpoolError(f"{folder}: contains no spool")
    return open_spool(folder)


def open_journal(path: Path, *, rotate: bool) -> "Journal":
    """Open the audit log; raises ``SpoolError``."""
    from tumorlens.pacs.journal import Journal

    with _opening(path, "the audit log"):
        return Journal(path, rotate=rotate)


@contextmanager
def _operating(folder: Path) -> "Iterator[tuple[Spool, Journal]]":
    """The spool and the audit log of ``folder``, closed afterwards."""
    with (
        closing(_existing(folder)) as spool,
        closing(open_journal(folder / AUDIT_FILE, rotate=False)) as journal,
    ):
        yield spool, journal


@click.command("status", short_help="List waiting studies and studies that were set aside.")
@_spool
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("--all", "everything", is_flag=True, help="Also list delivered studies.")
def status(folder: Path, as_json: bool, everything: bool) -> None:
    """List waiting studies, and studies that were set aside, with the reason.

    The column STUDY contains salted hashes of the StudyInstanceUIDs, as in the log. The command
    also works while the node runs.

    States: `receiving`; `made`, answered but not delivered; `sent`; `failed`, set aside; `dropped`.
    """
    import msgspec

    from tumorlens.pacs import operate
    from tumorlens.pacs.spool import SENT

    with closing(_existing(folder)) as spool:
        studies = operate.statuses(spool)
        counts = spool.counts()
    listed = [study for study in studies if everything or study.state != SENT]
    if as_json:
        for study in listed:
            click.echo(json.dumps(msgspec.to_builtins(study)))
        return
    if listed:
        click.echo(f"{'STUDY':32}  {'STATE':9}  {'IMAGES':>6}  {'TRIES':>5}  {'AGE':>8}  REASON")
    for study in listed:
        click.echo(printable(_line(study)))
    click.echo(", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "empty")


def _line(status: "StudyStatus") -> str:
    reason = status.reason or (f"{status.unsent} objects to deliver" if status.unsent else "")
    numbers = f"{status.instances:6}  {status.attempts:5}  {_age(status.age_s):>8}"
    return f"{status.study}  {status.state:9}  {numbers}  {reason}".rstrip()


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


@click.command("retry", short_help="Retry studies that were set aside.")
@_spool
@click.option("--failed", "all_failed", is_flag=True, help="All studies that were set aside.")
@_studies
def retry(folder: Path, all_failed: bool, studies: tuple[str, ...]) -> None:
    """Retry studies that were set aside, and deliver waiting answers at once.

    STUDY is a hash as shown by 'status' and in the log, its beginning, or a StudyInstanceUID.
    """
    from tumorlens.pacs import operate

    if not studies and not all_failed:
        raise click.UsageError("name a STUDY, or use --failed")
    with _operating(folder) as (spool, journal):
        keys = operate.choose(spool, studies)
        keys += operate.failed(spool) if all_failed else []
        count = operate.retry(spool, keys)
        for key in keys:
            journal.record("retried_by_operator", study=key)
    note(f"{count} studies will be retried")


@click.command("drop", short_help="Delete studies from the spool.")
@_spool
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
def drop(folder: Path, studies: tuple[str, ...]) -> None:
    """Delete studies from the spool, with their images and answers, delivered or not.

    STUDY is a hash as shown by 'status' and in the log, its beginning, or a StudyInstanceUID. If a
    dropped study is sent again, it is answered again.
    """
    from tumorlens.pacs import operate

    with _operating(folder) as (spool, journal):
        keys = operate.choose(spool, studies)
        count = operate.drop(spool, keys)
        for key in keys:
            journal.record("dropped_by_operator", study=key)
    note(f"dropped {len(keys)} studies, {count} files")


@click.command("rebuild", short_help="Make a new queue if the old one is damaged.")
@_spool
def rebuild(folder: Path) -> None:
    """Make a new queue from the images in the spool, if the old one is damaged.

    The damaged queue is kept aside. Stop the node first.
    """
    from tumorlens.pacs.upkeep import rebuild as make_queue

    count, aside = make_queue(folder)
    if aside is not None:
        note(f"the damaged queue is in {aside}")
    note(f"{count} images in the queue")
