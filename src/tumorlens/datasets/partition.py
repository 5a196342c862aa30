"""Splits of a data set of one's own: by ratio or in folds, with patients kept together."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import TEST, TRAIN, VALIDATION, Split, SplitRow, build
from tumorlens.errors import SplitError

_PARTS: Final = (TRAIN, VALIDATION, TEST)


def split_by_ratio(manifest: Manifest, name: str, ratio: Sequence[float], seed: int = 0) -> Split:
    """Train, validation and test in about ``ratio``, classes balanced as far as groups allow.

    Raises ``SplitError`` where the ratio is not three positive numbers, or there are too few
    groups for three parts.
    """
    if len(ratio) != len(_PARTS) or min(ratio) <= 0:
        raise SplitError("a ratio is three positive numbers, such as 70/15/15")
    shares = {part: value / sum(ratio) for part, value in zip(_PARTS, ratio, strict=True)}
    return _split(manifest, name, shares, seed, "By ratio " + "/".join(f"{v:g}" for v in ratio))


def split_in_folds(manifest: Manifest, name: str, folds: int, seed: int = 0) -> Split:
    """``fold0`` to ``foldN``, each about as large, classes balanced as far as groups allow.

    Raises ``SplitError`` for fewer than three folds (one tests, the next validates, the others
    train), or fewer groups than folds.
    """
    if folds < len(_PARTS):
        raise SplitError("a cross-validation needs at least 3 folds")
    shares = {f"fold{k}": 1 / folds for k in range(folds)}
    return _split(manifest, name, shares, seed, f"{folds} folds")


def joined_groups(records: Sequence[Record]) -> list[str]:
    """The group of each record, where records of identical pixels count as one group.

    A record without a group is its own.
    """
    group_of = [record.group or f"image:{record.sha256}" for record in records]
    leader: dict[str, str] = {group: group for group in group_of}

    def root(group: str) -> str:
        while leader[group] != group:
            leader[group] = leader[leader[group]]
            group = leader[group]
        return group

    first: dict[str, str] = {}
    for record, group in zip(records, group_of, strict=True):
        for key in filter(None, (record.pixel_sha256, record.sha256)):
            one, other = root(first.setdefault(key, group)), root(group)
            leader[max(one, other)] = min(one, other)
    return [root(group) for group in group_of]


def _split(
    manifest: Manifest, name: str, shares: Mapping[str, float], seed: int, how: str
) -> Split:
    groups = joined_groups(manifest.records)
    part_of = _assign(groups, [record.label for record in manifest], shares, seed)
    rows = [
        SplitRow(record.sha256, record.label, group, part_of[group])
        for record, group in zip(manifest, groups, strict=True)
    ]
    description = f"{how}, seed {seed}; groups and images of identical pixels never cross."
    return build(name, description, rows, disjoint=True)


def _assign(
    groups: Sequence[str], labels: Sequence[str], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Give each group, the largest first, to the part that lacks most of its classes."""
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for group, label in zip(groups, labels, strict=True):
        members[group][label] += 1
    if len(members) < len(shares):
        raise SplitError(f"{len(members)} groups are too few for {len(shares)} parts")
    totals = Counter(labels)
    room = {(part, label): shares[part] * totals[label] for part in shares for label in totals}

    def order(group: str) -> tuple[int, bytes]:
        return -members[group].total(), hashlib.sha256(f"{seed}:{group}".encode()).digest()

    part_of: dict[str, str] = {}
    empty = list(shares)
    for position, group in enumerate(sorted(members, key=order)):
        # The last groups go to parts that have none yet: no part stays empty.
        left = len(members) - position
        candidates = empty if empty and left <= len(empty) else list(shares)
        part = max(candidates, key=lambda part: _need(members[group], room, totals, part))
        part_of[group] = part
        if part in empty:
            empty.remove(part)
        for label, count in members[group].items():
            room[part, label] -= count
    return part_of


def _need(
    group: Counter[str], room: Mapping[tuple[str, str], float], totals: Counter[str], part: str
) -> float:
    """How much ``part`` still lacks of the classes of ``group``, rare classes first."""
    return sum(count * room[part, label] / totals[label] for label, count in group.items())
