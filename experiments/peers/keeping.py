"""Add the rows of an earlier table to a new one.

Networks are trained on different days, and not all are kept. A row stays valid if it was compared
with the same network of ours on the same images.
"""

from collections.abc import Mapping
from typing import Any

from tumorlens.errors import EvaluationError

Table = Mapping[str, Any]


def keep(now: dict[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The record ``now`` with the rows and splits that only ``earlier`` has; JSON types.

    A contender that is in both stands as it was scored now. Raises ``EvaluationError`` where the
    rows of both do not compare: another part, other images, or another network of ours.
    """
    if now["part"] != earlier["part"]:
        raise EvaluationError(
            f"the earlier rows are of the {earlier['part']} images, these of the {now['part']} ones"
        )
    before = {table["split"]: table for table in earlier["splits"]}
    tables = [_joined(table, before.pop(table["split"], None)) for table in now["splits"]]
    commands = [*earlier["commands"], *now["commands"]]
    return {**now, "commands": commands, "splits": [*tables, *before.values()]}


def _joined(table: Table, earlier: Table | None) -> Table:
    if earlier is None:
        return table
    for key in ("split_sha256", "data_sha256", "n", "ours"):
        if table[key] != earlier[key]:
            raise EvaluationError(f"{table['split']}: {key} of the earlier rows is another one")
    if _ours(table)["sha256"] != _ours(earlier)["sha256"]:
        raise EvaluationError(
            f"{table['split']}: the earlier rows were held against another {table['ours']!r}"
        )
    names = {row["name"] for row in table["rows"]}
    earlier_rows = [row for row in earlier["rows"] if row["name"] not in names]
    return {**table, "rows": [*table["rows"], *earlier_rows]}


def _ours(table: Table) -> Mapping[str, Any]:
    return next(row for row in table["rows"] if row["name"] == table["ours"])
