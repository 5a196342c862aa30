"""``tumorlens predict``: classify images and volumes."""

import contextlib
import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from tumorlens.cli import extras, options
from tumorlens.cli.terminal import detail, error, note, progress_console
from tumorlens.errors import EXIT_SOME_INPUTS_FAILED
from tumorlens.files import naming
from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.text import printable

if TYPE_CHECKING:
    from tumorlens.config import Device
    from tumorlens.imaging.finder import Found
    from tumorlens.imaging.input import Input
    from tumorlens.inference.classifier import Classifier
    from tumorlens.inference.record import Result
    from tumorlens.inference.stream import Outcome

_LAYOUTS = {
    ".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "table",
    "": "table",
}  # fmt: skip
_STANDARD_OUTPUT = Path("-")
_PROGRESS_FROM = 16
"""Fewest images for which a progress bar is shown."""


@click.command("predict")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--format", "layout", type=click.Choice(["table", "json", "jsonl", "csv"]),
              help="Format of the answers. Default: given by the suffix of --output (.csv, .json, "
              ".jsonl, or .txt for a table); otherwise a table.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="File for the answers, - for standard output. Until it is complete it is named "
              "FILE.partial.")  # fmt: skip
@options.bundle
@options.plane
@click.option("--study", "one_study", is_flag=True,
              help="Treat each PATH as one study, even if its files do not say so: its series get "
              "one joint answer.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1, 4096), default=16, show_default=True,
              help="Number of images to read ahead.")  # fmt: skip
@options.threads
@options.device
@click.option("--heatmap", "heatmaps", metavar="DIR",
              type=options.FOLDER,
              help="Folder for an image of each answer with its heatmap, as PNG.")  # fmt: skip
@click.option("--html", metavar="FILE", type=options.FILE,
              help="File for a report of all answers with images.")  # fmt: skip
@click.option("--dicom", "dicom", metavar="DIR",
              type=options.FOLDER,
              help="Folder for the report and the overlay of each DICOM series.")  # fmt: skip
@click.option("--segmentation", "maps", metavar="DIR",
              type=options.FOLDER,
              help="Folder for the attention map of each reported tumour: as NIfTI, and as DICOM "
              "Segmentation for DICOM series. The map is not an outline.")  # fmt: skip
@click.option("--fail-fast", is_flag=True, help="Stop at the first input that fails.")
def command(
    paths: tuple[str, ...],
    layout: str | None,
    output: Path | None,
    bundle: str,
    plane: str,
    one_study: bool,
    batch_size: int,
    threads: int | None,
    device: "Device",
    heatmaps: Path | None,
    html: Path | None,
    dicom: Path | None,
    maps: Path | None,
    fail_fast: bool,
) -> None:
    """Classify JPEG, PNG, TIFF, BMP, GIF, WebP, DICOM, NIfTI, MGH and NRRD, in any bit depth.

    PATH is a file, a folder (searched recursively; hidden files and files that are not images are
    skipped), a zip archive or a pattern such as 'scans/**/*.png'. DICOM files are grouped into
    series. A series or volume gets an answer for each slice and one as a whole; the series of a
    study get one joint answer, which comes first. An input that cannot be used gets an error
    record, and the other inputs are still classified.
    """
    from tumorlens.imaging import finder
    from tumorlens.inference.classifier import Classifier

    output = None if output == _STANDARD_OUTPUT else output
    _check_output(output, "--output")
    _check_output(html, "--html")
    classifier = Classifier.load(bundle, threads, device)
    _note_use(classifier)
    parts = finder.find_all(paths, apart=one_study)
    _check_apart(parts, {"--output": output, "--html": html})
    layout = layout or layout_of(output)
    _note_skipped(parts)
    beside = extras.chosen(classifier.bundle.info, heatmaps, html, dicom, maps)
    settings: dict[str, Any] = {
        "plane": plane,
        "batch_size": batch_size,
        "explain": any(extra.needs_heatmaps for extra in beside),
        "observers": [extra.observe for extra in beside],
    }
    outcomes = (
        (
            result
            for path, part in zip(paths, parts, strict=True)
            for result in _outcomes(classifier, [part], settings | {"study": path})
        )
        if one_study
        else _outcomes(classifier, parts, settings)
    )
    results = _with_progress(extras.results_of(outcomes, beside), parts, layout, output)
    tally = _Tally(results, fail_fast)
    with _destination(output) as stream:
        _write(tally, layout, stream, classifier.classes.names, is_file=output is not None)
    for extra in beside:
        extra.finish()
    _note_end(tally, layout, [output, heatmaps, html, dicom, maps])
    if tally.failed:
        click.get_current_context().exit(EXIT_SOME_INPUTS_FAILED)


def layout_of(output: Path | None) -> str:
    """The format of a file by its suffix; a table without a file or suffix."""
    suffix = "" if output is None else output.suffix.lower()
    if suffix not in _LAYOUTS:
        known = ", ".join(name for name in _LAYOUTS if name)
        raise click.BadParameter(
            f"{suffix} is not the suffix of a format ({known}); choose the format with --format",
            param_hint="--output",
        )
    return _LAYOUTS[suffix]


class _Tally:
    """Passes results on and counts them; ends after the first failure with ``fail_fast``."""

    def __init__(self, results: Iterator["Result"], fail_fast: bool) -> None:
        self.total = self.failed = 0
        self._results = results
        self._fail_fast = fail_fast

    def __iter__(self) -> Iterator["Result"]:
        from tumorlens.inference.record import Failure, StudyPrediction

        for result in self._results:
            self.total += not isinstance(result, StudyPrediction)
            self.failed += isinstance(result, Failure)
            yield result
            if self._fail_fast and self.failed:
                return


def _outcomes(
    classifier: "Classifier", parts: Iterable["Found"], settings: dict[str, Any]
) -> Iterator["Outcome"]:
    """Answers in the order of the command line; neighbouring files are read at once."""
    from tumorlens.inference.record import Failure
    from tumorlens.inference.stream import Outcome, outcomes

    entries: list[Input | Failure] = []
    for part in parts:
        entries.extend(part.inputs)
        entries.extend(Failure.from_error(path, error) for path, error in part.failures)
    for failed, run in itertools.groupby(entries, key=lambda entry: isinstance(entry, Failure)):
        if failed:
            yield from (Outcome(entry) for entry in run if isinstance(entry, Failure))
        else:
            inputs = (entry for entry in run if not isinstance(entry, Failure))
            yield from outcomes(classifier, inputs, **settings)


def _with_progress(
    results: Iterator["Result"], parts: Iterable["Found"], layout: str, output: Path | None
) -> Iterator["Result"]:
    """Show a progress bar on standard error, unless answers are written to the terminal."""
    total = sum(len(part.inputs) for part in parts)
    streaming = output is None and layout != "table" and sys.stdout.isatty()
    if total < _PROGRESS_FROM or streaming or not sys.stderr.isatty():
        return results
    from rich.progress import track

    console = progress_console()
    return iter(track(results, "classifying", total, console=console, transient=True))


def _write(
    results: Iterable["Result"],
    layout: str,
    stream: IO[bytes],
    classes: Sequence[str],
    *,
    is_file: bool,
) -> None:
    if layout == "table":
        stream.write(_table(results, stream, is_file))
        return
    for line in _lines(results, layout, classes):
        stream.write(line)
        stream.flush()  # the reader of a pipe gets each answer at once


def _lines(results: Iterable["Result"], layout: str, classes: Sequence[str]) -> Iterator[bytes]:
    """Records as CSV, as JSON lines, or as one JSON array with a record in each line."""
    from tumorlens.reporting import records

    if layout == "csv":
        yield records.csv_header(classes)
        yield from (records.csv_line(result, classes) for result in results)
    elif layout == "jsonl":
        yield from map(records.json_line, results)
    else:
        before = b"["
        for result in results:
            yield before + b"\n" + records.json_line(result).rstrip()
            before = b","
        yield b"[]\n" if before == b"[" else b"\n]\n"


def _table(results: Iterable["Result"], stream: IO[bytes], is_file: bool) -> bytes:
    from tumorlens.reporting import table

    drawn: list[Result] = []
    try:
        drawn.extend(results)
    except BaseException:
        if is_file and drawn:
            rest = table.render(drawn, width=None).encode("utf-8", "replace")
            stream.write(rest)
        raise
    if is_file or not sys.stdout.isatty():
        text = table.render(drawn, width=None)
    else:
        width = os.get_terminal_size(sys.stdout.fileno()).columns or 80
        color = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        text = table.render(drawn, width=width, color=color)
    encoding = "utf-8" if is_file else sys.stdout.encoding
    return text.encode(encoding or "utf-8", "replace")


def _check_output(output: Path | None, option: str) -> None:
    if output is not None and not output.absolute().parent.is_dir():
        raise click.BadParameter(
            f"{printable(str(output.parent))} is not a folder", param_hint=option
        )


def _check_apart(parts: Iterable["Found"], written: dict[str, Path | None]) -> None:
    """Raise ``BadParameter`` if an output is an input or another output."""
    chosen = {option: path for option, path in written.items() if path is not None}
    if len({path.resolve() for path in chosen.values()}) < len(chosen):
        raise click.BadParameter("both are the same file", param_hint=" and ".join(chosen))
    there = {_identity(path): option for option, path in chosen.items() if path.exists()}
    if not there:
        return
    for path in (path for part in parts for path in part.files):
        with contextlib.suppress(OSError, ValueError):  # it gets an error record
            if option := there.get(_identity(Path(path))):
                raise click.BadParameter(f"{printable(path)} is an input", param_hint=option)


def _identity(path: Path) -> tuple[int, int]:
    """Device and inode, which are the same for all names of a file."""
    status = path.stat()
    return status.st_dev, status.st_ino


@contextlib.contextmanager
def _destination(output: Path | None) -> Iterator[IO[bytes]]:
    """Standard output, or a temporary file that is renamed to ``output`` when it is complete."""
    if output is None:
        stream = sys.stdout.buffer
        yield stream
        stream.flush()
        return
    if output.exists() and not output.is_file():  # a device or pipe, not to be replaced by a file
        with naming(output), output.open("wb") as device:
            yield device
        return
    partial, file = _partial(output.absolute())
    try:
        with naming(output), file:
            yield file
        partial.replace(output)
    except BaseException:  # also Ctrl-C and a full disk: keep the answers so far
        _keep(partial)
        raise


def _partial(output: Path) -> tuple[Path, IO[bytes]]:
    """A new file beside ``output``, ``NAME.partial`` with a number if necessary."""
    for number in itertools.count():
        path = output.with_name(f"{output.name[:100]}.partial{number or ''}")
        with contextlib.suppress(FileExistsError):
            return path, path.open("xb")
    raise AssertionError("numbers do not end")


def _keep(partial: Path) -> None:
    """Print where the answers so far are, or delete an empty file."""
    if partial.stat().st_size == 0:
        partial.unlink()
    else:
        error(f"not finished; the answers so far are in {partial}")


def _note_use(classifier: "Classifier") -> None:
    """Print the caveats of the bundle, such as that it is not calibrated."""
    use = classifier.bundle.info.intended_use
    if use != RESEARCH_NOTICE:
        note(f"bundle {classifier.bundle.info.name}: {use}")
    for caveat in classifier.bundle.info.caveats:
        note(caveat)
    model = classifier.model
    detail(f"bundle {model.name} {model.version}, SHA-256 {model.sha256}")


def _note_skipped(parts: Iterable["Found"]) -> None:
    skipped = sum(part.skipped for part in parts)
    if skipped:
        what = "file that is not an image" if skipped == 1 else "files that are not images"
        note(f"skipped {skipped} {what}")
    own = sum(part.own for part in parts)
    if own:
        what = "DICOM object" if own == 1 else "DICOM objects"
        note(f"skipped {own} {what} written by tumorlens")


def _note_end(tally: _Tally, layout: str, written: Sequence[Path | None]) -> None:
    """Print what was written and how many inputs failed; tables contain the notice themselves."""
    for output in filter(None, written):
        is_empty = output.is_dir() and not any(output.iterdir())
        note(f"wrote nothing to {output}" if is_empty else f"wrote {output}")
    if tally.failed:
        error(f"{tally.failed} of {tally.total} inputs failed")
    if layout != "table":
        note(RESEARCH_NOTICE)
