"""``tumorlens data split``: write or verify a split file."""

import math
import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tumorlens.cli import options
from tumorlens.cli.progress import bar
from tumorlens.cli.terminal import answer_console, note
from tumorlens.labels import sorted_labels
from tumorlens.text import counted, is_or_are

if TYPE_CHECKING:
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.datasets.splits import Split

_PROTOCOLS = ("folder", "clean", "clean-cv", "patient-cv", "br35h-tumor", "diverse", "more")
_MOST_NAMED = 5
"""Most classes that a note names."""
_MOST_COLUMNS = 8
"""Most classes that are columns of the table; more are rows."""


@click.command(
    name="split",
    short_help="Write or verify a split file.",
    epilog="\b\nExamples:\n"
    "  tumorlens data split mine.csv --ratio 70/15/15 --group patient\n"
    "  tumorlens data split nickparvar.csv --verify clean",
)
@click.argument("manifest_path", metavar="MANIFEST", type=options.MANIFEST)
@click.option(
    "--ratio", metavar="A/B/C", help="Write train, validation and test parts in this ratio."
)
@click.option("--kfold", type=click.IntRange(min=3), help="Write a cross-validation with K folds.")
@click.option("--folders", is_flag=True,
              help="Write the split given by the train, val and test folders. Without a val "
              "folder, a tenth of the training groups is used for validation.")  # fmt: skip
@click.option("--group", "--group-from", "group", default="group", show_default=True,
              metavar="COLUMN|PATTERN",
              help="How to find the groups that must not be in two parts: a column of MANIFEST, "
              "such as patient; a regular expression for the paths, with the patient in "
              "parentheses; or folder:N, the N-th folder above the file.")  # fmt: skip
@click.option("--near-duplicates/--no-near-duplicates", default=True, show_default=True,
              help="For --ratio and --kfold: find near-duplicates and keep them in the same "
              "part.")  # fmt: skip
@click.option("--stratify/--no-stratify", default=True, show_default=True,
              help="Divide each class in the same ratio, as far as the groups "
              "allow.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=options.SEED,
              help="Seed for assigning groups to parts.")  # fmt: skip
@click.option("--protocol", type=click.Choice(_PROTOCOLS),
              help="Write the split of this protocol for the public sets.")  # fmt: skip
@click.option("--output", metavar="FILE", type=options.FILE,
              help="CSV to write, together with a JSON of the same name; neither may exist. "
              "Default: PROTOCOL.csv, or MANIFEST-split.csv in the folder of "
              "MANIFEST.")  # fmt: skip
@click.option("--verify", "verified", metavar="NAME_OR_FILE[:FOLD]",
              help="Check this split against MANIFEST, and fail if a group is in two "
              "parts.")  # fmt: skip
def split_command(
    manifest_path: Path,
    ratio: str | None,
    kfold: int | None,
    folders: bool,
    group: str,
    near_duplicates: bool,
    stratify: bool,
    seed: int,
    protocol: str | None,
    output: Path | None,
    verified: str | None,
) -> None:
    """Write a split for MANIFEST, or verify one against it.

    All images of a group, and images with identical pixels, go to the same part. --group defines
    the groups. Groups that share near-duplicates, as `tumorlens data audit` finds them, are joined.
    """
    from tumorlens.datasets import partition, public_splits, splits
    from tumorlens.datasets.manifest import Manifest

    ways = (ratio is not None, kfold is not None, folders, protocol is not None, bool(verified))
    if sum(ways) != 1:
        raise click.UsageError("give one of --ratio, --kfold, --folders, --protocol and --verify")
    if verified is not None:
        if output is not None:
            raise click.UsageError("--output is for splits that are written")
        split = splits.load(verified, manifest_path.parent)
        _print_split(split, Manifest.load(manifest_path))
        return
    weights = None if ratio is None else _ratio(ratio)
    default = manifest_path.with_name(f"{manifest_path.stem}-split.csv")
    output = output or (Path(f"{protocol}.csv") if protocol else default)
    _require_free(output)
    manifest = Manifest.load(manifest_path)
    if protocol is not None:
        split = public_splits.make(manifest, protocol)
    else:
        for doubt in _doubts(manifest, folders=folders):
            note(doubt)
        groups = _groups(manifest, manifest_path, group, near_duplicates and not folders)
        how: dict[str, Any] = {"seed": seed, "groups": groups, "stratify": stratify}
        if folders:
            split = partition.split_as_published(manifest, output.stem, **how)
        elif kfold is not None:
            split = partition.split_in_folds(manifest, output.stem, kfold, **how)
        else:
            split = partition.split_by_ratio(manifest, output.stem, weights or (), **how)
    _print_split(split, manifest)
    if protocol is None:
        reason = _why_missing(folders=folders, stratify=stratify, near_duplicates=near_duplicates)
        _note_missing(manifest, split.verify_manifest(manifest), reason)
    split.save(output)
    click.echo(f"Wrote {output} ({split.info.sha256[:16]})")


def _require_free(output: Path) -> None:
    """Raise ``OutputExistsError`` if a split exists: networks may be trained on it."""
    from tumorlens.datasets import splits
    from tumorlens.errors import OutputExistsError

    for path in splits.files_of(output):
        if path.exists():
            raise OutputExistsError(
                f"{path} exists already; name another file with --output, or delete this one"
            )


def _ratio(text: str) -> list[float]:
    try:
        numbers = [float(number) for number in text.split("/")]
    except ValueError:
        numbers = []
    if len(numbers) != 3 or not all(0 < number < math.inf for number in numbers):
        raise click.UsageError(f"--ratio {text}: give three positive numbers, as in 70/15/15")
    return numbers


def _with_several(pairs: Iterable[tuple[Hashable, str]]) -> int:
    """Number of keys that have more than one value, of pairs (key, value)."""
    return sum(count > 1 for count in Counter(key for key, _ in set(pairs)).values())


def _doubts(manifest: "Manifest", *, folders: bool) -> Iterator[str]:
    """What may be wrong with the rows of a manifest that is to be split, for a note each."""
    two_labels = _with_several((r.pixel_sha256 or r.sha256, r.label) for r in manifest)
    if two_labels:
        yield (
            f"{counted(two_labels, 'image')} {is_or_are(two_labels)} listed with two classes; see "
            "`tumorlens data audit`"
        )
    repeated = len(manifest) - len({os.path.normpath(record.path) for record in manifest})
    if repeated:
        yield (
            f"{counted(repeated, 'row')} of the manifest repeat{'s' if repeated == 1 else ''} the "
            "path of another row, and each counts as an image; delete what was listed by mistake"
        )
    published = sorted({record.split for record in manifest if record.split})
    if published and not folders:
        yield f"the split in the manifest ({', '.join(published)}) is not used; --folders keeps it"


def _groups(manifest: "Manifest", path: Path, rule: str, search: bool) -> list[str]:
    """The group of each record, joined with those of near-duplicates; prints what was found."""
    from tumorlens.datasets import duplicates, grouping
    from tumorlens.datasets.manifest import OWN_GROUP
    from tumorlens.datasets.partition import joined_groups

    # Not the column itself: an image without a group has its patient as group.
    named = (
        [record.group for record in manifest]
        if rule == "group"
        else grouping.groups_of(manifest, path, rule)
    )
    click.echo(described_groups(["" if n.startswith(OWN_GROUP) else n for n in named]))
    pairs: list[tuple[int, int]] = []
    if search:
        with bar("Searching for near-duplicates") as progress:
            pairs, unread = duplicates.look_alikes(manifest, progress)
        if unread:
            images = counted(len(unread), "image")
            note(f"{images} could not be compared with the others: {unread[0]}")
    apart = joined_groups(manifest.records, named)
    groups = joined_groups(manifest.records, named, pairs)
    for doubt in _doubts_of_groups(manifest, named, groups if rule == "group" else ()):
        note(doubt)
    before, after = len(set(apart)), len(set(groups))
    if after < before:
        largest = Counter(groups).most_common(1)[0][1]
        click.echo(
            f"Near-duplicates merge {before:,} groups into {after:,}; the largest holds "
            f"{largest:,} of {counted(len(manifest), 'image')}. `tumorlens data audit` shows them; "
            "--no-near-duplicates keeps the groups apart."
        )
    return groups


def _doubts_of_groups(
    manifest: "Manifest", named: Sequence[str], groups: Sequence[str]
) -> Iterator[str]:
    """What may be wrong with the names of groups, for a note each.

    ``groups`` are the joined ones of the column group; empty where another rule names the patient.
    """
    pairs = zip(manifest, groups, strict=False)
    several = _with_several(((r.source, r.patient), group) for r, group in pairs if r.patient)
    if several:
        yield (
            f"{counted(several, 'patient')} of the manifest {is_or_are(several)} in several "
            "groups, which may go to different parts; --group patient keeps each patient together"
        )
    alike = _with_several((group.casefold(), group) for group in named)
    if alike:
        yield (
            f"{counted(alike, 'group')} {is_or_are(alike)} written in upper and lower case and "
            "counted as different groups; write each in one way"
        )


def described_groups(names: Sequence[str]) -> str:
    """A sentence: how many groups are known, and how many images have none."""
    known = [name for name in names if name]
    words = f"{counted(len(known), 'image')} in {counted(len(set(known)), 'group')}. "
    if not known:
        words = "No group is known. "
    if len(known) < len(names):
        words += (
            f"{counted(len(names) - len(known), 'image')} without a group: each counts as a "
            "patient of its own. If several are of one patient, say which with --group-from, or "
            "accuracies will be too high."
        )
    return words.strip()


def _print_split(split: "Split", manifest: "Manifest") -> None:
    """Check ``split`` against ``manifest``; print its parts and whether it is disjoint."""
    from tumorlens.datasets.splits import crossing_groups

    parts = split.verify_manifest(manifest)
    print_counts(manifest, parts, "Part")
    if split.info.disjoint:
        click.echo(f"{split.info.name}: verified, no group is in two parts.")
        return
    crossing = len(crossing_groups(manifest, parts))
    click.secho(
        f"{split.info.name}: hash verified, but BY DESIGN {crossing:,} of the groups or images "
        f"{is_or_are(crossing)} in more than one part. For comparison with published numbers only.",
        fg="yellow",
    )


def _why_missing(*, folders: bool, stratify: bool, near_duplicates: bool) -> str:
    """Why a part has no image of some class, and what to do, as the end of a sentence."""
    if folders:
        return "; the parts are those of the folders"
    if not stratify:
        return "; --stratify divides each class"
    remedy = ". --no-near-duplicates keeps groups apart whose images look alike"
    return ": there are too few groups of them" + (remedy if near_duplicates else "")


def _note_missing(manifest: "Manifest", parts: Sequence[str], reason: str) -> None:
    """Note which parts have no image of some classes."""
    from tumorlens.datasets.splits import EXCLUDED

    held: dict[str, set[str]] = defaultdict(set)
    for record, part in zip(manifest, parts, strict=True):
        held[part].add(record.label)
    labels = sorted_labels(record.label for record in manifest)
    said = [
        f"{part} ({_named(missing)})"
        for part in sorted(held.keys() - {EXCLUDED})
        if (missing := [name for name in labels if name not in held[part]])
    ]
    if said:
        note(f"no image of some classes in {', '.join(said)}{reason}")


def _named(names: Sequence[str]) -> str:
    more = [f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return ", ".join([*names[:_MOST_NAMED], *more])


def print_counts(manifest: "Manifest", parts: Sequence[str], title: str) -> None:
    """Print images by part and class."""
    from rich.table import Table

    labels = [record.label for record in manifest]
    counts = Counter(zip(parts, labels, strict=True))
    columns = sorted_labels(labels)
    rows = [
        (part, *row, sum(row))
        for part in sorted(set(parts))
        for row in [[counts[part, label] for label in columns]]
    ]
    lines = [(title, *columns, "all"), *rows]
    if len(columns) > _MOST_COLUMNS:  # a line for each class instead
        lines = list(zip(*lines, strict=True))
    head, *body = lines
    table = Table()
    for index, name in enumerate(head):
        table.add_column(str(name), justify="right" if index else "left")
    for row in body:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    answer_console().print(table)
