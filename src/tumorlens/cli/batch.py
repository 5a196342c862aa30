"""``tumorlens batch``: an archive of any size in, a Parquet dataset out."""

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tumorlens.cli import options
from tumorlens.cli.progress import bar
from tumorlens.cli.terminal import note
from tumorlens.cores import available_cores
from tumorlens.errors import EXIT_SOME_INPUTS_FAILED, MissingInputError
from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.text import printable

if TYPE_CHECKING:
    from tumorlens.batch.run import Batch, Engine, Report


@click.command("batch")
@click.argument("source", metavar="INPUT")
@click.option("--out", required=True, metavar="DIR",
              help="Folder or URL for the answers. Existing answers are kept.")  # fmt: skip
@click.option("--bundle", default="default", show_default=True, metavar="NAME_OR_PATH",
              help="Bundle, by name or folder. With another bundle, all inputs are answered "
              "again.")  # fmt: skip
@options.plane
@click.option("--processes", type=click.IntRange(1, 4096),
              help="Number of processes, or Ray actors. Default: one for each core.")  # fmt: skip
@click.option("--num-parts", "parts", type=click.IntRange(1, 1_000_000), default=1,
              show_default=True, help="Number of parts that the work is divided into, one for each "
              "job.")  # fmt: skip
@click.option("--part-id", "part", type=click.IntRange(0), default=0, show_default=True,
              help="Number of the part that this job does, counted from 0.")  # fmt: skip
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
              help="Local processes, or actors of a Ray cluster.")  # fmt: skip
@click.option("--ray-address", metavar="ADDRESS",
              help="Ray cluster to join; `auto` joins the one on this machine. Default: start a "
              "new one here.")  # fmt: skip
@click.option(
    "--status", is_flag=True, help="Print the progress of the batch in DIR, and do nothing else."
)
def command(
    source: str,
    out: str,
    bundle: str,
    plane: str,
    processes: int | None,
    parts: int,
    part: int,
    engine: str,
    ray_address: str | None,
    status: bool,
) -> None:
    """Classify a folder, zip archive, pattern, manifest or URL, or a list of paths (-).

    You can stop it at any time and run it again: every input is answered once. DIR/records is a
    Parquet dataset with one row for each image, slice and series. An input that cannot be used
    gets a row with an error. To share the work between several jobs, use --num-parts and
    --part-id. The summary is also written to DIR/summary.html.
    """
    from tumorlens.batch.discovery import absolute, located
    from tumorlens.batch.run import Batch, Options, report

    if part >= parts:
        raise click.BadParameter(f"has to be below {parts}", param_hint="--part-id")
    if ray_address is not None and engine != "ray":
        raise click.BadParameter("needs --engine ray", param_hint="--ray-address")
    # Workers may run in another folder, and so may the next run.
    source, out = located(source), absolute(out)
    bundle = str(Path(bundle).absolute()) if os.sep in bundle else bundle
    if status:
        _show(report(out))
        return
    batch = Batch(
        Options(source=source, out=out, bundle=bundle, plane=plane, part=part, parts=parts)
    )
    if batch.replaced:
        old, new = batch.replaced, batch.about.bundle
        note(f"{old} became {new}: all inputs are answered again")
    final = _run(batch, _engine(engine, processes, ray_address))
    _show(final)
    _finish(final, out)


def _engine(name: str, processes: int | None, address: str | None) -> "Engine":
    if name == "ray":
        from tumorlens.batch.on_ray import RayEngine

        return RayEngine(processes, address)
    from tumorlens.batch.local import LocalEngine

    return LocalEngine(processes or available_cores())


def _run(batch: "Batch", engine: "Engine") -> "Report":
    """Run with a progress bar; the inputs are counted meanwhile, in another thread."""
    from tumorlens.batch.columns import Tally
    from tumorlens.batch.discovery import count_files

    done, total, asked = 0, 0, batch.options

    def count() -> None:
        nonlocal total
        total = (count_files(asked.source) or 0) // asked.parts

    threading.Thread(target=count, daemon=True).start()
    with bar("answering") as show:

        def watch(tally: Tally) -> None:
            nonlocal done
            done += tally.inputs
            show(done, max(done, total))

        return batch.run(engine, watch)


def _show(report: "Report") -> None:
    from tumorlens.batch.summary import text

    click.echo(text(report), nl=False)
    state = "complete" if report.complete else "not complete"
    click.echo(f"{printable(report.about.source)} by {printable(report.about.bundle)}: {state}")


def _finish(report: "Report", out: str) -> None:
    from tumorlens.batch.summary import SUMMARY, write_html

    # Where the work is divided, all inputs may belong to the other jobs.
    if report.inputs == 0:
        raise MissingInputError(f"{report.about.source}: contains no image")
    write_html(report, out)
    note(f"wrote {out}/{SUMMARY}")
    note(RESEARCH_NOTICE)
    if report.tally.errors:
        click.get_current_context().exit(EXIT_SOME_INPUTS_FAILED)
