"""``tumorlens data``: fetch, import, audit and split image sets."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tumorlens.cli.progress import bar
from tumorlens.labels import LABELS, RESEARCH_NOTICE

if TYPE_CHECKING:
    from tumorlens.datasets.findings import Audit
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.datasets.splits import Split

_IN_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)
_COLLECTIONS = (
    "br35h-tumor",
    "brain-tumor-progression",
    "diverse",
    "heads",
    "more",
    "vs-seg-dicom",
)
_PROTOCOLS = ("folder", "clean", "clean-cv", "patient-cv", "br35h-tumor", "diverse", "more")
_SETS = ("nickparvar", "folder", *_COLLECTIONS)


@click.group(name="data", short_help="Import, audit and split image sets.")
def command() -> None:
    """Fetch, import, audit and split sets of pictures."""


@command.command(
    name="import",
    short_help="List a folder of pictures in a manifest.",
    epilog="Example: tumorlens data import nickparvar --from nickparvar --output nickparvar.csv",
)
@click.argument("image_set", metavar="SET", type=click.Choice(_SETS))
@click.option("--from", "folder", required=True, metavar="DIR", type=_FOLDER,
              help="Folder with CLASS or SPLIT/CLASS folders.")  # fmt: skip
@click.option("--output", required=True, metavar="MANIFEST", type=_IN_FILE,
              help="Manifest to write: .csv, or .parquet with the parquet extra.")  # fmt: skip
@click.option("--source", default="", metavar="NAME",
              help="Name of the collection; by default the folder's.")  # fmt: skip
@click.option("--map", "mapped", multiple=True, metavar="FOLDER=LABEL",
              help="For `folder`: what a folder is, such as yes=tumor.")  # fmt: skip
@click.option("--masks", metavar="DIR", type=_FOLDER,
              help="Experts' outlines: DIR/masks/CLASS/N.png, for nickparvar.")  # fmt: skip
@click.option(
    "--allow-partial", is_flag=True, help="Continue when files of `nickparvar` are missing."
)
def import_command(
    image_set: str,
    folder: Path,
    output: Path,
    source: str,
    mapped: tuple[str, ...],
    masks: Path | None,
    allow_partial: bool,
) -> None:
    """Write a manifest that lists the pictures of a folder.

    SET is `nickparvar`, the public set of 7,023 images, with known patients and folds;
    `folder`, any folder with one subfolder for each class; or one of the collections from other
    hospitals, which have their own index.
    """
    from tumorlens.datasets import collections, importers

    if image_set != "folder" and (source or mapped):
        raise click.UsageError(f"--source and --map are for `folder`; {image_set} is known")
    mapping = _mapping(mapped)
    if image_set != "nickparvar" and (allow_partial or masks):
        raise click.UsageError("--allow-partial and --masks are for nickparvar")
    with bar("Reading") as progress:
        if image_set == "nickparvar":
            manifest = importers.import_nickparvar(
                folder, output, allow_partial=allow_partial, progress=progress
            )
        elif image_set == "folder":
            manifest = importers.import_folder(
                folder, output, source=source, mapping=mapping, progress=progress
            )
        else:
            manifest = collections.IMPORTERS[image_set](folder, output, progress=progress)
    if masks is not None:
        manifest = collections.with_cheng_masks(manifest, masks)
    manifest.save(output)
    broken = sum(not record.pixel_sha256 for record in manifest)
    _print_counts(manifest, [record.split or "no split" for record in manifest], "Split")
    if image_set == "folder" and (others := importers.left_out(folder, mapping)):
        click.echo(
            f"Left out {sum(others.values()):,} pictures of folders named after no class: "
            f"{importers.described(others)}. Use --map FOLDER=LABEL to list them.",
            err=True,
        )
    if broken:
        click.echo(f"{broken} files cannot be decoded; see `tumorlens data audit`.", err=True)
    click.echo(f"Wrote {len(manifest):,} images to {output}")


def _mapping(mapped: Sequence[str]) -> dict[str, str]:
    """What ``--map`` says: label by folder."""
    mapping = {}
    for pair in mapped:
        name, _, label = pair.partition("=")
        if not name or label not in LABELS:
            raise click.BadParameter(
                f"{pair!r} is not FOLDER=LABEL, with a label of {', '.join(LABELS)}",
                param_hint="--map",
            )
        mapping[name] = label
    return mapping


@command.command(name="fetch", short_help="Download the public set from Kaggle.")
@click.argument("image_set", metavar="SET", type=click.Choice(["nickparvar"]))
@click.option("--output", required=True, metavar="DIR", type=_FOLDER, help="Folder to fill.")
def fetch_command(image_set: str, output: Path) -> None:
    """Download the 7,023-image set and compare every file with the published hashes.

    Needs the fetch extra. Run it again to continue an interrupted download: intact files
    are kept.
    """
    from tumorlens.datasets import fetch

    with bar("Checking") as progress:
        check = fetch.fetch_nickparvar(output, progress)
    click.echo(f"{output}: all {len(check.intact):,} files of {image_set} are present and intact.")


@command.command(
    name="audit",
    short_help="Find what is wrong with a set, and what leaks.",
    epilog="Example: tumorlens data audit nickparvar.csv --report audit --strict",
)
@click.argument("manifest_path", metavar="MANIFEST", type=_IN_FILE)
@click.option("--report", required=True, metavar="DIR", type=_FOLDER,
              help="Folder for index.html and audit.json.")  # fmt: skip
@click.option("--split", "split_name", default=None, metavar="NAME_OR_FILE[:FOLD]",
              help="Split to audit; by default the published folders'.")  # fmt: skip
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with 1 if the split leaks, or has no test part to check.",
)
def audit_command(manifest_path: Path, report: Path, split_name: str | None, strict: bool) -> None:
    """Check every picture of MANIFEST and report problems.

    Files that cannot be decoded, duplicates, near-duplicates, patients in several parts, pictures
    with two labels, outliers, and two controls that do not look at tumours.

    Exit codes: 0 the report was written; 1 it could not be written or, with --strict, the split
    leaks or has no test part to compare with another part.
    """
    from tumorlens.datasets import audit, audit_report, splits
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.errors import SplitError

    manifest = Manifest.load(manifest_path)
    parts = audit.published_parts(manifest)
    if split_name is not None:
        # An incomplete set is audited as far as it is there.
        parts = splits.load(split_name).parts(manifest, allow_partial=True)
    with bar("Checking pictures") as progress:
        result = audit.audit(
            manifest, parts, manifest_name=manifest_path.name,
            split_name=split_name or audit.OWN_SPLIT, progress=progress,
        )  # fmt: skip
    page = audit_report.write(result, manifest, parts, report)
    _print_audit(result, audit_report.conflicting_pictures(result))
    click.echo(f"Report: {page}")
    click.echo(RESEARCH_NOTICE)
    if strict and result.leaks.any:
        raise SplitError(
            f"{manifest_path}: the split ({result.split}) leaks; {page} shows where. "
            "Use a split that keeps patients apart, for example --split clean"
        )
    if strict and (missing := _unchecked(result)):
        raise SplitError(
            f"{manifest_path}: cannot look for leaks, {missing} (split: {result.split}). "
            "Name a split with --split, or write one with `tumorlens data split`"
        )


def _unchecked(result: "Audit") -> str:
    """Why test pictures cannot be compared with another part; empty where they can."""
    from tumorlens.datasets.splits import EXCLUDED

    if not result.leaks.test_images:
        return "no picture is in a test part"
    parts = {part for part in result.counts if part not in ("", EXCLUDED)}
    return "" if len(parts) > 1 else "every picture is in the test part"


@command.command(
    name="split",
    short_help="Write or verify a split file.",
    epilog="Examples: tumorlens data split mine.csv --ratio 70/15/15 --output mine-split.csv; "
    "tumorlens data split nickparvar.csv --verify clean",
)
@click.argument("manifest_path", metavar="MANIFEST", type=_IN_FILE)
@click.option("--ratio", metavar="A/B/C", help="Write train, validation and test of this ratio.")
@click.option("--kfold", type=click.IntRange(min=3), help="Write a cross-validation of K folds.")
@click.option("--seed", default=0, show_default=True, help="For --ratio and --kfold.")
@click.option("--protocol", type=click.Choice(_PROTOCOLS),
              help="Write the split of this protocol.")  # fmt: skip
@click.option("--output", metavar="FILE", type=_IN_FILE,
              help="CSV to write, with a JSON beside it; by default PROTOCOL.csv or "
              "MANIFEST-split.csv.")  # fmt: skip
@click.option("--verify", "verified", metavar="NAME_OR_FILE[:FOLD]",
              help="Check this split against MANIFEST; fails where a group crosses.")  # fmt: skip
def split_command(
    manifest_path: Path,
    ratio: str | None,
    kfold: int | None,
    seed: int,
    protocol: str | None,
    output: Path | None,
    verified: str | None,
) -> None:
    """Write a split for MANIFEST, or verify one against it.

    With --ratio and --kfold, all images of one group (column `group` of the manifest) and images
    of identical pixels go to the same part, and classes are balanced as far as groups allow.
    """
    from tumorlens.datasets import splits
    from tumorlens.datasets.manifest import Manifest

    if sum(way is not None for way in (ratio, kfold, protocol, verified)) != 1:
        raise click.UsageError("give one of --ratio, --kfold, --protocol and --verify")
    if verified is not None and output is not None:
        raise click.UsageError("--output is for splits that are written")
    manifest = Manifest.load(manifest_path)
    if verified is not None:
        split = splits.load(verified)
    else:
        output = output or Path(
            f"{protocol}.csv" if protocol else manifest_path.stem + "-split.csv"
        )
        split = _new_split(manifest, output.stem, ratio, kfold, protocol, seed)
    _print_counts(manifest, split.verify_manifest(manifest), "Part")
    _print_promise(split, manifest)
    if output is not None:
        split.save(output)
        click.echo(f"Wrote {output} ({split.info.sha256[:16]})")


def _new_split(
    manifest: "Manifest",
    name: str,
    ratio: str | None,
    kfold: int | None,
    protocol: str | None,
    seed: int,
) -> "Split":
    from tumorlens.datasets import partition, protocols

    if protocol is not None:
        return protocols.make(manifest, protocol)
    if kfold is not None:
        return partition.split_in_folds(manifest, name, kfold, seed)
    try:
        numbers = [float(number) for number in str(ratio).split("/")]
    except ValueError:
        raise click.UsageError(f"--ratio {ratio}: give three numbers, as in 70/15/15") from None
    return partition.split_by_ratio(manifest, name, numbers, seed)


def _print_promise(split: "Split", manifest: "Manifest") -> None:
    """Say whether groups are in two parts; ``verify_manifest`` has checked what is stated."""
    from tumorlens.datasets.splits import crossing_groups

    if split.info.disjoint:
        click.echo(f"{split.info.name}: verified, no group is in two parts.")
        return
    crossing = len(crossing_groups(manifest, split.parts(manifest)))
    click.secho(
        f"{split.info.name}: hash verified, but groups cross BY DESIGN: {crossing:,} groups or "
        "pictures are in more than one part. For comparison with published numbers only.",
        fg="yellow",
    )


def _print_counts(manifest: "Manifest", parts: Sequence[str], title: str) -> None:
    """Print images by part and class."""
    from rich.console import Console
    from rich.table import Table

    counts = Counter(zip(parts, (record.label for record in manifest), strict=True))
    table = Table()
    table.add_column(title)
    shown = [label for label in LABELS if any(label == name for _, name in counts)]
    for label in (*shown, "all"):
        table.add_column(label, justify="right")
    for part in sorted(set(parts)):
        row = [counts[part, label] for label in shown]
        table.add_row(part, *(f"{n:,}" for n in (*row, sum(row))))
    Console().print(table)


def _print_audit(audit: "Audit", conflicts: int) -> None:
    """Print the main findings as a table."""
    from rich.console import Console
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
    if not total:  # five green lines of "0 of 0" would look like a passed check
        table.add_row("leaks: not checked, no picture is in a test part", "–", style="red")
    for text, count, total_of in rows if total else ():
        table.add_row(text, f"{count:,} of {total_of:,}", style="red" if count else "green")
    for text, count in (
        ("pictures with two labels", conflicts),
        ("files that cannot be read", len(audit.unreadable)),
        ("files changed since the manifest was written", len(audit.changed)),
    ):
        table.add_row(text, f"{count:,}", style="red" if count else "green")
    table.add_row("files that repeat another's pixels", f"{audit.redundant_pixels:,}")
    for control in audit.controls:
        share = f"{100 * control.accuracy:.2f}%"
        table.add_row(f"control: {control.description}", share)
    console = Console()
    console.print(table)
    console.print(f"Checked {audit.images:,} images in {audit.seconds:.0f} s.", highlight=False)
