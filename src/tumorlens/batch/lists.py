"""Lists of inputs, as a stream: paths on standard input, and manifests (CSV, Parquet)."""

import codecs
import csv
import os
import re
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path
from typing import Final

from tumorlens.datasets.tables import (
    NESTED,
    ParquetTable,
    is_parquet,
    separator_of,
    stated_separator,
)
from tumorlens.errors import BatchError, ManifestError
from tumorlens.files import from_spreadsheet_safe

_BLOCK: Final = 1 << 16
_UTF_16: Final = re.compile(rb"\xff\xfe[^\0]\0|\xfe\xff\0[^\0]")
"""The byte order mark and a first character in ASCII: the mark alone may begin a name."""


def listed_paths(stream: RawIOBase) -> Iterator[str]:
    """The paths of a list: one per line, or each followed by a NUL, as from ``find -print0``.

    With NULs a name may contain a line break; in both it may contain bytes that are not UTF-8.
    Raises ``BatchError`` for UTF-16, whose bytes would name no existing file.
    """
    rest, separator = b"", b""
    while block := stream.read(_BLOCK):
        rest += block
        if not separator:
            separator, rest = _separator(rest), rest.removeprefix(codecs.BOM_UTF8)
        if separator:
            *whole, rest = rest.split(separator)
            yield from _paths(whole, separator)
    yield from _paths([rest], separator)


def _separator(text: bytes) -> bytes:
    """The separator of the paths; empty while that is not known yet."""
    if _UTF_16.match(text):
        raise BatchError("the list of paths is UTF-16: save it as UTF-8")
    if b"\0" in text:
        return b"\0"
    return b"\n" if b"\n" in text else b""


def _paths(names: list[bytes], separator: bytes) -> Iterator[str]:
    for name in names:
        path = name if separator == b"\0" else name.removesuffix(b"\r")
        if path:
            yield os.fsdecode(path)


def manifest_paths(path: Path) -> Iterator[str]:
    """Column ``path`` of a manifest, relative to its folder, a few rows at a time.

    Rows without a path are passed over. Raises ``BatchError`` where there is no such column, or
    the file is damaged.
    """
    rows = _parquet_paths(path) if is_parquet(path) else _csv_column(path)
    yield from (str(path.parent / str(name)) for name in rows if name)


def count_rows(path: Path) -> int | None:
    """About how many rows a manifest has; None where it is damaged."""
    if not is_parquet(path):
        with path.open("rb") as file:
            return sum(1 for _ in file) - 1
    try:
        return len(ParquetTable(path))
    except ManifestError:
        return None


def _csv_column(path: Path) -> Iterator[object]:
    with path.open("rb") as beginning:
        is_wide = _UTF_16.match(beginning.read(4)) is not None
    # Bytes that are not UTF-8 are kept, as in names of files.
    encoding, errors = ("utf-16", "replace") if is_wide else ("utf-8-sig", "surrogateescape")
    with path.open(newline="", encoding=encoding, errors=errors) as file:
        separator = stated_separator(first := file.readline())
        if not separator:
            separator = separator_of(first)
            file.seek(0)
        table = csv.reader(file, delimiter=separator)
        try:
            column = _path_column(path, [name.strip().lower() for name in next(table, [])])
            yield from (from_spreadsheet_safe(row[column]) for row in table if len(row) > column)
        except csv.Error as error:
            raise BatchError(f"{path}: is not CSV after line {table.line_num} ({error})") from error


def _parquet_paths(path: Path) -> Iterator[object]:
    try:
        table = ParquetTable(path)
        _path_column(path, table.names)
        for row in table.rows("path"):
            if isinstance(row["path"], NESTED):
                raise BatchError(f"{path}: the column path holds {row['path']!r}, not text")
            yield row["path"]
    except ManifestError as error:
        raise BatchError(str(error)) from error


def _path_column(path: Path, names: list[str]) -> int:
    """Index of the column of paths, from 0."""
    if "path" not in names:
        raise BatchError(f"{path}: a manifest needs a column named path")
    if names.count("path") > 1:
        raise BatchError(f"{path}: names the column path twice")
    return names.index("path")
