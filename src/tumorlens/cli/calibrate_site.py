"""``tumorlens calibrate`` for a site: a new bundle from labelled local cases.

The command imports this module only when it is run, because it is slow to import.
"""

from pathlib import Path

from rich.table import Table
from rich.text import Text

from tumorlens import bundle as bundles
from tumorlens.cli import terminal
from tumorlens.cli.progress import bars
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import TRAIN, VALIDATION
from tumorlens.errors import OutputExistsError, SplitError
from tumorlens.evaluation import site
from tumorlens.evaluation.site import SiteResult
from tumorlens.inference.classifier import Classifier
from tumorlens.reporting import site_report
from tumorlens.text import percent


def calibrate_site(
    given: str, data: Path, split_name: str | None, output: Path | None, coverage: float
) -> None:
    """Fit the bundle ``given`` to the images of ``data``, write the new bundle, print the result.

    With a split, only its train and validation parts are used, so that the new bundle can be
    evaluated on the test part.
    """
    parent = bundles.load(given)
    folder = output or Path(f"{parent.info.name}-{data.stem}")
    if folder.exists():
        raise OutputExistsError(f"{folder} exists already; name another folder with --output")
    manifest = _chosen(Manifest.load(data), split_name, data)
    site.require_unseen(parent, manifest.records)
    with bars() as progress:
        cases = site.read_cases(Classifier(parent), manifest, progress("reading cases"))
        site_result = site.calibrate_to_site(
            parent, cases, name=folder.name, data_sha256=manifest.sha256, coverage=coverage
        )
    bundles.save(folder, site_result.bundle.info, site_result.bundle.model, site_result.bundle.gate)
    page = site_report.write(folder, site_result)
    _show(site_result, folder, page)


def _chosen(manifest: Manifest, split_name: str | None, data: Path) -> Manifest:
    """The images to calibrate on; raises ``SplitError`` for none."""
    if split_name is None:
        return manifest
    split = splits.load(split_name, data.parent)
    pairs = zip(split.grouped(manifest), split.parts(manifest), strict=True)
    records = tuple(record for record, part in pairs if part in (TRAIN, VALIDATION))
    if not records:
        raise SplitError(f"split {split.info.name} has no image for {TRAIN} or {VALIDATION}")
    return Manifest(records, manifest.folder)


def _show(site_result: SiteResult, folder: Path, page: Path) -> None:
    console = terminal.answer_console()
    console.print(_performance(site_result))
    if site_result.shifts is None:
        console.print(Text(site_report.NO_REFERENCE, "yellow"))
    else:
        console.print(_drift(site_result))
    lines = [f"Fitted to the site: {line}" for line in site_result.fit.fitted]
    lines += [f"Not fitted: {line}" for line in site_result.fit.unfitted]
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    for line in site_report.remarks(site_result):
        console.print(Text(line, "yellow"), soft_wrap=True)
    terminal.finish(console, Bundle=folder, Report=page)


def _performance(site_result: SiteResult) -> Table:
    record, info = site_result.site, site_result.bundle.info
    title = f"{info.name}: {record.patients} patients, {record.images} images of this site"
    columns = ("", site_result.parent.info.name, "calibrated, cross-validated")
    table = terminal.table(title, *columns)
    for name, before, after in site_report.performance_rows(site_result):
        table.add_row(name, before, after)
    return table


def _drift(site_result: SiteResult) -> Table:
    table = terminal.table(
        "Are the local images like the training images?",
        "", "training", "here", "outside the middle 98%", "distance", "",
    )  # fmt: skip
    for shift in site_result.shifts or ():
        table.add_row(
            shift.title, shift.reference, shift.here,
            "" if shift.outside is None else percent(shift.outside, 0),
            f"{shift.distance:.2f}", "different" if shift.differs else "similar",
        )  # fmt: skip
    return table
