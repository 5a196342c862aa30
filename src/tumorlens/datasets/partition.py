"""Splits of a data set of one's own: by ratio or in folds, with patients kept together.

``groups`` (N,) name the unit of each record that must not be in two parts; by default they are the
``joined_groups`` of the manifest. With ``stratify`` each class is divided in the same ratio, as far
as the groups allow.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tumorlens.datasets.duplicates import chained, connected, identical
from tumorlens.datasets.manifest import OWN_GROUP, Manifest, Record
from tumorlens.datasets.splits import TEST, TRAIN, VALIDATION, Split, SplitRow, build
from tumorlens.errors import LeakError, SplitError
from tumorlens.text import counted, is_or_are

PUBLISHED: Final = {"training": TRAIN, "validation": VALIDATION, "testing": TEST}
"""Parts by what the manifest's ``split`` column says."""
_PARTS: Final = (TRAIN, VALIDATION, TEST)
_VALIDATION_SHARE: Final = 0.1


def split_by_ratio(
    manifest: Manifest,
    name: str,
    ratio: Sequence[float],
    seed: int = 0,
    groups: Sequence[str] | None = None,
    *,
    stratify: bool = True,
) -> Split:
    """Train, validation and test in about ``ratio``; no group is in two parts.

    Raises ``SplitError`` where the ratio is not three positive numbers, or there are too few
    groups for three parts.
    """
    if len(ratio) != len(_PARTS) or not all(0 < share < math.inf for share in ratio):
        raise SplitError("a ratio is three positive numbers, such as 70/15/15")
    fractions = {part: value / sum(ratio) for part, value in zip(_PARTS, ratio, strict=True)}
    how = "By ratio " + "/".join(f"{v:g}" for v in ratio)
    return _split(manifest, name, fractions, seed, how, groups, stratify)


def split_in_folds(
    manifest: Manifest,
    name: str,
    folds: int,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    *,
    stratify: bool = True,
) -> Split:
    """``fold0`` to ``foldN``, each about as large; no group is in two folds.

    Raises ``SplitError`` for fewer than three folds (one tests, the next validates, the others
    train), or fewer groups than folds.
    """
    if folds < len(_PARTS):
        raise SplitError("a cross-validation needs at least 3 folds")
    fractions = {f"fold{k}": 1 / folds for k in range(folds)}
    return _split(manifest, name, fractions, seed, f"{folds} folds", groups, stratify)


def split_as_published(
    manifest: Manifest,
    name: str,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    *,
    stratify: bool = True,
) -> Split:
    """The parts that the manifest's own ``split`` column states, from train, val and test folders.

    If no record is for validation, about a tenth of the training groups are. Raises ``SplitError``
    if a record states no part, ``LeakError`` if a group is in two.
    """
    parts = [PUBLISHED.get(record.split, "") for record in manifest]
    if "" in parts:
        record = manifest.records[parts.index("")]
        raise SplitError(
            f"{record.path}: the manifest does not say whether it trains, validates or tests "
            f"(column split: {record.split!r}); known are {', '.join(PUBLISHED)}. Without such "
            "folders, use --ratio or --kfold"
        )
    groups = groups or joined_groups(manifest.records)
    how = "The parts as published"
    if VALIDATION not in parts:
        rows = [i for i, part in enumerate(parts) if part == TRAIN]
        labels = [manifest.records[i].label if stratify else "" for i in rows]
        fractions = {TRAIN: 1 - _VALIDATION_SHARE, VALIDATION: _VALIDATION_SHARE}
        part_of = _assign([groups[i] for i in rows], labels, fractions, seed)
        for i in rows:
            parts[i] = part_of[groups[i]]
        how += f", a tenth of the training part used for validation, seed {seed}"
    try:
        return _built(manifest, name, how, groups, parts)
    except LeakError as error:
        raise LeakError(
            f"{error}. To divide by patient instead of by folder, use --ratio or --kfold"
        ) from error


def joined_groups(
    records: Sequence[Record],
    groups: Sequence[str] | None = None,
    pairs: Iterable[tuple[int, int]] = (),
) -> list[str]:
    """The group of each record; groups that share identical pixels, or a pair of rows, are joined.

    ``groups`` are used instead of the records' own. A record without a group is its own.
    """
    named = [record.group for record in records] if groups is None else groups
    group_of = [
        name or f"{OWN_GROUP}{record.sha256}" for name, record in zip(named, records, strict=True)
    ]
    alike = [[record.pixel_sha256 for record in records], [record.sha256 for record in records]]
    links = [link for keys in (group_of, *alike) for link in chained(identical(keys))]
    numbers = connected(len(records), [*links, *pairs]).tolist()
    first: dict[int, str] = {}
    for number, group in zip(numbers, group_of, strict=True):
        first[number] = min(group, first.get(number, group))
    return [first[number] for number in numbers]


def _split(
    manifest: Manifest,
    name: str,
    fractions: Mapping[str, float],
    seed: int,
    how: str,
    groups: Sequence[str] | None,
    stratify: bool,
) -> Split:
    groups = groups or joined_groups(manifest.records)
    labels = [record.label if stratify else "" for record in manifest]
    part_of = _assign(groups, labels, fractions, seed)
    how += ("" if stratify else ", whatever the class") + f", seed {seed}"
    return _built(manifest, name, how, groups, [part_of[group] for group in groups])


def _built(
    manifest: Manifest, name: str, how: str, groups: Sequence[str], parts: Sequence[str]
) -> Split:
    rows = [
        SplitRow(record.sha256, record.label, group, part)
        for record, group, part in zip(manifest, groups, parts, strict=True)
    ]
    description = f"{how}; no group and no set of images with identical pixels is in two parts."
    return build(name, description, rows, disjoint=True)


def _assign(
    groups: Sequence[str], labels: Sequence[str], fractions: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Assign each group, the largest first, to the part that lacks most of its classes.

    The last groups of a class go to parts without that class, so that few patients are enough for
    every class in every part; those of all groups go to parts without any, so that none is empty.
    """
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for group, label in zip(groups, labels, strict=True):
        members[group][label] += 1
    if len(members) < len(fractions):
        raise SplitError(
            f"{counted(len(members), 'group')} "
            f"{is_or_are(len(members))} too few for {len(fractions)} parts"
        )
    totals = Counter(labels)
    room = {
        (part, label): fractions[part] * totals[label] for part in fractions for label in totals
    }
    any_group, by_class = _Waiting(fractions), {label: _Waiting(fractions) for label in totals}
    for held in members.values():
        any_group.left += 1
        for label in held:
            by_class[label].left += 1

    def order(group: str) -> tuple[int, bytes]:
        return -members[group].total(), hashlib.sha256(f"{seed}:{group}".encode()).digest()

    part_of: dict[str, str] = {}
    for group in sorted(members, key=order):
        of_classes = [by_class[label] for label in members[group]]
        candidates = any_group.urgent() or _merged(of_classes) or list(fractions)
        part = max(candidates, key=lambda part: _need(members[group], room, totals, part))
        part_of[group] = part
        for waiting in (any_group, *of_classes):
            waiting.assign(part)
        for label, count in members[group].items():
            room[part, label] -= count
    return part_of


class _Waiting:
    """The groups of a class, or of all, that are not assigned yet, and the parts without one."""

    def __init__(self, parts: Iterable[str]) -> None:
        self.left = 0
        self.empty = list(parts)

    def urgent(self) -> list[str]:
        """The parts without a group, where all groups that are left are needed for them."""
        return self.empty if self.left <= len(self.empty) else []

    def assign(self, part: str) -> None:
        """Count a group that goes to ``part``."""
        self.left -= 1
        self.empty = [other for other in self.empty if other != part]


def _merged(waiting: Iterable[_Waiting]) -> list[str]:
    """The urgent parts of several classes, each once."""
    return list(dict.fromkeys(part for one in waiting for part in one.urgent()))


def _need(
    group: Counter[str], room: Mapping[tuple[str, str], float], totals: Counter[str], part: str
) -> float:
    """How much ``part`` still lacks of the classes of ``group``, rare classes first."""
    return sum(count * room[part, label] / totals[label] for label, count in group.items())
