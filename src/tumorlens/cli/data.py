"""``tumorlens data``: fetch, import, audit and split image sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tumorlens.cli import options
from tumorlens.cli.data_croissant import command as croissant_command
from tumorlens.cli.data_split import described_groups, print_counts, split_command
from tumorlens.cli.progress import bar
from tumorlens.cli.terminal import answer_console, note
from tumorlens.errors import EXIT_CHECK_FAILED
from tumorlens.labels import NO_TUMOR, RESEARCH_NOTICE, class_set
from tumorlens.text import counted, percent

if TYPE_CHECKING:
    from tumorlens.datasets.class_folders import Found
    from tumorlens.datasets.findings import Audit
    from tumorlens.datasets.manifest import Manifest, Record

_FOLDER = click.Path(file_okay=False, path_type=Path)
_MANIFESTS = (".csv", ".parquet")
_SETS = (
    "nickparvar", "folder", "br35h-tumor", "brain-tumor-progression", "diverse", "heads", "more",
    "vs-seg-dicom",
)  # fmt: skip


@click.group(name="data")
def command() -> None:
    """Fetch, import, audit and split data sets."""


command.add_command(split_command)
command.add_command(croissant_command)


@command.command(
    name="import",
    short_help="List the images of a folder in a manifest.",
    epilog="\b\nExamples:\n"
    "  tumorlens data import folder --from images --output mine.csv \\\n"
    "    --group-from folder:1\n"
    "  tumorlens data import nickparvar --from nickparvar --output nickparvar.csv",
)
@click.argument("image_set", metavar="SET", type=click.Choice(_SETS))
@click.option("--from", "folder", required=True, metavar="DIR", type=_FOLDER,
              help="Folder with CLASS, SPLIT/CLASS, PATIENT/CLASS or PATIENT/SESSION/CLASS "
              "folders; SESSION may be a date.")  # fmt: skip
@click.option("--output", required=True, metavar="MANIFEST", type=options.FILE,
              help="Manifest to write: .csv, or .parquet with the parquet extra.")  # fmt: skip
@click.option("--source", default="", metavar="NAME",
              help="Name of the collection. Default: the folder's name.")  # fmt: skip
@click.option("--map", "mapped", multiple=True, metavar="FOLDER=LABEL",
              help="For `folder`: label of a folder, such as yes=tumor. `masks=` leaves the folder "
              "out.")  # fmt: skip
@click.option("--group-from", metavar="PATTERN",
              help="For `folder`: how to find the patient in each path below DIR. Either a regular "
              "expression with the patient in parentheses, or folder:N, the N-th folder above "
              "the file: folder:1 for CLASS/PATIENT/FILE, folder:2 for "
              "PATIENT/CLASS/FILE, folder:3 for PATIENT/SESSION/CLASS/FILE.")  # fmt: skip
@click.option("--masks", metavar="DIR", type=_FOLDER,
              help="For `nickparvar`: experts' outlines, DIR/masks/CLASS/N.png.")  # fmt: skip
@click.option(
    "--allow-partial", is_flag=True, help="Continue if files of `nickparvar` are missing."
)
def import_command(
    image_set: str,
    folder: Path,
    output: Path,
    source: str,
    mapped: tuple[str, ...],
    group_from: str | None,
    masks: Path | None,
    allow_partial: bool,
) -> None:
    """Write a manifest that lists the images of a folder.

    SET is `nickparvar`, the public set of 7,023 images, with known patients and folds;
    `folder`, any folder with one subfolder for each class; or one of the collections from other
    hospitals, which have their own index: `br35h-tumor`, `brain-tumor-progression`, `diverse`,
    `heads`, `more`, `vs-seg-dicom`. Folders named train, val and test above the class folders are
    recorded as the published split.
    """
    from tumorlens.datasets import collections, importers

    if image_set != "folder" and (source or mapped or group_from):
        raise click.UsageError(
            "--source, --map and --group-from are only for `folder`; "
            f"the classes of {image_set} are known"
        )
    _check_suffix(output)
    mapping = _mapping(mapped)
    unreadable: Sequence[Record] = ()
    if image_set != "nickparvar" and (allow_partial or masks):
        raise click.UsageError("--allow-partial and --masks are for nickparvar")
    with bar("Reading") as progress:
        if image_set == "nickparvar":
            manifest = importers.import_nickparvar(
                folder, output, allow_partial=allow_partial, progress=progress
            )
        elif image_set == "folder":
            listed = importers.import_folder(
                folder, output, source=source, mapping=mapping, group_from=group_from,
                progress=progress,
            )  # fmt: skip
            manifest, unreadable = importers.without_unreadable(listed)
        else:
            manifest = collections.IMPORTERS[image_set](folder, output, progress=progress)
    if masks is not None:
        manifest = collections.with_cheng_masks(manifest, masks)
    _require_nothing_lost(output, manifest)
    manifest.save(output)
    broken = sum(not record.pixel_sha256 for record in manifest)
    print_counts(manifest, [record.split or "no split" for record in manifest], "Split")
    patients_known = any(record.patient for record in manifest)
    if image_set == "folder":
        _print_classes(manifest)
        _print_left_out(importers.find_classes(folder, mapping, group_from), patients_known)
        if unreadable:
            note(
                f"left out {counted(len(unreadable), 'file')} that cannot be read: "
                f"{importers.reasons(manifest, unreadable)}"
            )
    if group_from or (image_set == "folder" and patients_known):
        click.echo(described_groups([record.patient for record in manifest]))
    if broken:
        note(f"{counted(broken, 'file')} cannot be decoded; see `tumorlens data audit`")
    click.echo(f"Wrote {counted(len(manifest), 'image')} to {output}")


def _require_nothing_lost(output: Path, manifest: "Manifest") -> None:
    """Raise ``OutputExistsError`` if writing would lose another file, or values filled in by hand.

    A folder can be imported again if the new manifest has all values of the old one.
    """
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.errors import ManifestError, OutputExistsError

    if not output.exists():
        return
    remedy = "name another file with --output, or delete this one"
    try:
        there = Manifest.load(output)
    except ManifestError as error:
        raise OutputExistsError(f"{output} exists but is not a manifest; {remedy}") from error
    lost = manifest.columns_lost_from(there)
    if lost:
        raise OutputExistsError(
            f"{output} exists, with values that would be lost ({', '.join(lost)}); {remedy}"
        )


def _print_classes(manifest: "Manifest") -> None:
    """Print the classes of a network that is trained on these images."""
    from tumorlens.datasets import class_folders

    try:
        classes = class_set(record.label for record in manifest)
    except ValueError as error:
        note(f"these images cannot be used for training by themselves: {error}")
        return
    none = f"{classes.no_finding!r}" if classes.no_finding else "none of them"
    click.echo(f"{len(classes)} classes: {', '.join(classes.names)}; {none} means no finding.")
    if all(map(class_folders.is_named_like_a_patient, classes.names)):
        note(
            "all classes are named like patients; if they are patients, put their folders into one "
            "folder for each class, and import these with --group-from folder:1"
        )
    elif classes.no_finding is None:
        click.echo(f"If one does, import again with --map FOLDER={NO_TUMOR}.")


def _print_left_out(listing: "Found", patients_known: bool) -> None:
    """Print what is not listed and why, and a note if no patient is known."""
    from tumorlens.datasets import class_folders

    for reason, counts in listing.left_out.items():
        number, where = sum(counts.values()), class_folders.described(counts)
        note(f"left out {counted(number, 'file')} ({reason}): {where}")
    if listing.empty:
        note(f"no image in {', '.join(listing.empty)}")
    if not patients_known:
        _note_no_patients(listing)


def _note_no_patients(listing: "Found") -> None:
    """Print that each image counts as a patient, and what to type if folders are patients."""
    said = "the patients are not known, so each image counts as a separate patient"
    depths = {len(file.below) for file in listing.files}
    if len(depths) == 1 and (depth := depths.pop()):
        first = listing.files[0]
        note(
            f"{said}. If folders such as {first.label}/{first.below[0]} are patients, run this "
            f"again with --group-from folder:{depth}"
        )
    else:
        note(f"{said}; use --group-from to find the patient in file or folder names")


def _check_suffix(output: Path) -> None:
    if output.suffix.lower() not in _MANIFESTS:
        reason = f"{str(output)!r} does not end in .csv or .parquet"
        raise click.BadParameter(reason, param_hint="--output")


def _mapping(mapped: Sequence[str]) -> dict[str, str]:
    """The labels that ``--map`` gives to folders; empty for a folder to leave out."""
    mapping: dict[str, str] = {}
    for pair in mapped:
        name, equals, label = pair.partition("=")
        if not name.strip() or not equals:
            raise click.BadParameter(f"{pair!r} is not FOLDER=LABEL", param_hint="--map")
        if mapping.setdefault(name, label.strip()) != label.strip():
            raise click.BadParameter(f"gives {name!r} two labels", param_hint="--map")
    return mapping


@command.command(name="fetch", short_help="Download the public set from Kaggle.")
@click.argument("image_set", metavar="SET", type=click.Choice(["nickparvar"]))
@click.option("--output", required=True, metavar="DIR", type=_FOLDER, help="Folder to fill.")
def fetch_command(image_set: str, output: Path) -> None:
    """Download the 7,023-image set and check every file against its published hash.

    Needs the extra `fetch`. Run it again to continue an interrupted download: intact files
    are kept.
    """
    from tumorlens.datasets import fetch

    with bar("Checking") as progress:
        check = fetch.fetch_nickparvar(output, progress)
    click.echo(f"{output}: all {len(check.intact):,} files of {image_set} are present and intact.")


@command.command(
    name="audit",
    short_help="Find problems and leaks in a data set.",
    epilog="\b\nExample:\n  tumorlens data audit nickparvar.csv --report audit --strict",
)
@click.argument("manifest_path", metavar="MANIFEST", type=options.MANIFEST)
@click.option("--report", required=True, metavar="DIR", type=_FOLDER,
              help="Folder for index.html and audit.json.")  # fmt: skip
@click.option("--split", "split_name", default=None, metavar="NAME_OR_FILE[:FOLD]",
              help="Split to audit. Default: the published folders.")  # fmt: skip
@click.option(
    "--strict",
    is_flag=True,
    help=f"Exit with {EXIT_CHECK_FAILED} if the split leaks, or has no test part to check.",
)
def audit_command(manifest_path: Path, report: Path, split_name: str | None, strict: bool) -> None:
    """Check every image of MANIFEST and report problems.

    The report lists files that cannot be decoded, duplicates, near-duplicates, patients in several
    parts, images with two labels, and outliers. It also scores two control classifiers that do not
    look at tumours.
    """
    from tumorlens.datasets import audit, splits
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.errors import LeakError
    from tumorlens.reporting import audit_report

    manifest = Manifest.load(manifest_path)
    parts = audit.published_parts(manifest)
    if split_name is not None:
        # An incomplete set is audited as far as it is there.
        parts = splits.load(split_name, manifest_path.parent).parts(manifest, allow_partial=True)
    with bar("Checking images") as progress:
        result = audit.audit(
            manifest, parts, manifest_name=manifest_path.name,
            split_name=split_name or audit.OWN_SPLIT, progress=progress,
        )  # fmt: skip
    page = audit_report.write(result, manifest, parts, report)
    _print_audit(result, audit_report.conflicting_images(result))
    click.echo(f"Report: {page}")
    click.echo(RESEARCH_NOTICE)
    if strict and result.leaks.any:
        raise LeakError(
            f"{manifest_path}: the split ({result.split}) leaks; {page} shows where. "
            "Use a split that keeps patients apart, for example --split clean"
        )
    if strict and (missing := _unchecked(result)):
        raise LeakError(
            f"{manifest_path}: cannot look for leaks, {missing} (split: {result.split}). "
            "Name a split with --split, or write one with `tumorlens data split`"
        )


def _unchecked(result: "Audit") -> str:
    """Why test images cannot be compared with another part; otherwise empty."""
    from tumorlens.datasets.splits import EXCLUDED

    if not result.leaks.test_images:
        return "no image is in a test part"
    parts = {part for part in result.counts if part not in ("", EXCLUDED)}
    return "" if len(parts) > 1 else "every image is in the test part"


def _print_audit(audit: "Audit", conflicts: int) -> None:
    """Print the main findings as a table."""
    from rich.table import Table

    leaks = audit.leaks
    total = leaks.test_images
    table = Table("Finding", title=f"{audit.manifest}, split: {audit.split}", title_justify="left")
    table.add_column("Images", justify="right")
    rows = (
        ("test images with identical bytes in another part", leaks.test_with_same_bytes, total),
        ("test images with identical pixels in another part", leaks.test_with_same_pixels, total),
        ("test images with a duplicate or near-duplicate there", leaks.test_with_copy, total),
        ("test images of known patients that are also there",
         leaks.test_with_known_patient_elsewhere, leaks.test_with_known_patient),
        ("test images whose group is also there", leaks.test_with_group_elsewhere, total),
    )  # fmt: skip
    if not total:  # "0 of 0" in green would look like a passed check
        table.add_row("leaks: not checked, no image is in a test part", "–", style="red")
    for text, count, total_of in rows if total else ():
        table.add_row(text, f"{count:,} of {total_of:,}", style="red" if count else "green")
    for text, count in (
        ("images with two labels", conflicts),
        ("files that cannot be read", len(audit.unreadable)),
        ("files changed since the manifest was written", len(audit.changed)),
    ):
        table.add_row(text, f"{count:,}", style="red" if count else "green")
    table.add_row("files that repeat another's pixels", f"{audit.redundant_pixels:,}")
    for control in audit.controls:
        table.add_row(f"control: {control.description}", percent(control.accuracy))
    console = answer_console()
    console.print(table)
    console.print(
        f"Checked {counted(audit.images, 'image')} in {audit.seconds:.0f} s.", highlight=False
    )
