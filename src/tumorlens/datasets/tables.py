"""Read and write tables with named columns, also as spreadsheets save them."""

import codecs
import csv
import io
import itertools
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tumorlens.errors import DatasetError, ManifestError, needing
from tumorlens.files import csv_row, from_spreadsheet_safe, spreadsheet_safe
from tumorlens.text import first_line

Row = dict[str, Any]
"""Cells by column."""
NumberedRow = tuple[int, Row]
"""A row with its number, as a spreadsheet shows it: empty lines count, and so do the columns'
names. A cell of several lines is one row."""
_SEPARATORS: Final = (",", ";", "\t")
_START: Final = 64
"""First bytes in which UTF-16 without byte order mark is detected, by zero bytes."""
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""First bytes of ``.xlsx`` and ``.ods``, and of ``.xls``."""
_LAST: Final = "end"
"""A row that is put behind the others: it comes out as it is, unless it lies within quotes."""
_HINT: Final = "sep="
"""Start of a line, before that of the column names, that states the separator."""
NESTED: Final = (dict, list)
"""What Parquet can hold in a cell, and CSV cannot."""
_ROWS: Final = 1 << 13
"""Rows of Parquet in memory."""
_WORDS: Final = ("class", "split", "sha256", "pixel_sha256", "width", "height")
"""Columns whose cells never begin or end with a space."""


def is_parquet(path: Path) -> bool:
    """Whether the table at ``path``, a file or a folder of files, is Parquet, by its suffix."""
    return path.suffix.lower() == ".parquet"


def read_csv(path: Path) -> Sequence[NumberedRow]:
    """Rows by column, as written by us or by a spreadsheet.

    Raises ``ManifestError``.
    """
    try:
        # A device may never end. A pipe does.
        if path.is_char_device() or path.is_block_device():
            raise ManifestError(f"{path}: is a device, not a CSV file")
        if path.is_dir():
            raise ManifestError(
                f"{path}: is a folder, not a manifest; `tumorlens data import` writes one"
            )
        data = path.read_bytes()
        if data.startswith(_WORKBOOKS):
            raise ManifestError(f"{path}: is a workbook of a spreadsheet; save it as CSV UTF-8")
        rows = read_table(data)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(
            f"{path}: is not a CSV file in UTF-8 ({error}); save it as CSV UTF-8"
        ) from error
    filled = [(number, row) for number, row in enumerate(rows, start=1) if any(row)]
    columns = filled[0][1] if filled else []
    names = [name.strip().lower() for name in columns]
    _check_header(path, names)
    # A path may begin or end with a space. If column names do, spaces are only formatting.
    spaced = any(name != name.strip() for name in columns)
    return [(number, _cells(path, number, names, row, spaced)) for number, row in filled[1:]]


def _check_header(path: Path, names: Sequence[str]) -> None:
    """Raise ``ManifestError`` if two columns have the same name."""
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise ManifestError(f"{path}: names the column {twice[0]} twice")


def _cells(path: Path, number: int, names: Sequence[str], row: Sequence[str], spaced: bool) -> Row:
    """One row by column. Raises ``ManifestError`` where it has more cells than there are columns.

    Cells are then in the wrong columns, as after a comma in a path that is not quoted.
    """
    if any(row[len(names) :]):
        raise ManifestError(
            f"{path}, row {number}: has {len(row)} cells for {len(names)} columns; "
            "put cells that contain the separator in double quotes"
        )
    return {
        name: from_spreadsheet_safe(cell.strip() if spaced or name in _WORDS else cell)
        for name, cell in itertools.zip_longest(names, row[: len(names)], fillvalue="")
    }


def read_index(path: Path) -> list[dict[str, str]]:
    """Rows by column of the index of a collection; raises ``DatasetError``."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: is not a CSV file ({error})") from error


def read_table(data: bytes) -> list[list[str]]:
    """Rows of a CSV file as spreadsheets save them; ``UnicodeDecodeError`` or ``csv.Error``."""
    separator, text = _separator(_decoded(data))
    text += _LAST if text.endswith(("\n", "\r")) else f"\n{_LAST}"
    *rows, last = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    if last != [_LAST]:
        raise csv.Error(f"a double quote in row {len(rows) + 1} is not closed")
    return rows


def _decoded(data: bytes) -> str:
    """Decode UTF-8 with or without byte order mark, or UTF-16 with one."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    if b"\0" in data[:_START]:
        raise csv.Error("it seems to be UTF-16 without a byte order mark")
    return data.decode("utf-8-sig")


def _separator(text: str) -> tuple[str, str]:
    """The separator of the columns, and the table without a line that states it."""
    first, _, rest = text.partition("\n")
    if stated := stated_separator(first):
        return stated, rest
    return separator_of(text.lstrip("\r\n").partition("\n")[0]), text


def stated_separator(line: str) -> str:
    """The separator that the first line states, as in ``sep=;``; empty if it does not."""
    return line[len(_HINT) :].strip("\r\n")[:1] if line.lower().startswith(_HINT) else ""


def separator_of(names: str) -> str:
    """The separator of a table: the most frequent candidate in the line of column names."""
    return max(_SEPARATORS, key=names.count)


def csv_bytes(rows: Iterable[Iterable[str | int]]) -> bytes:
    """Rows as a CSV file, the column names first, with the same line ends on every system."""
    return "".join(map(csv_row, rows)).encode("utf-8")


def write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Write a CSV file; cells that a spreadsheet would run as formulas are escaped."""
    cells = ([row[name] for name in columns] for row in rows)
    safe = ([spreadsheet_safe(c) if isinstance(c, str) else c for c in row] for row in cells)
    path.write_bytes(csv_bytes([columns, *safe]))


class ParquetTable:
    """A Parquet file, or a folder of them, which are read one after the other, by name.

    Folders such as ``class=glioma`` within it are columns of text (Hive partitions). Columns are
    named as in CSV. Raises ``ManifestError``, ``MissingExtraError`` without pyarrow.
    """

    def __init__(self, path: Path) -> None:
        """Read the names of the columns."""
        self.path = path
        with self._reading():
            import pyarrow.dataset

            self._data = pyarrow.dataset.dataset(
                path, format="parquet", partitioning=_partitions(path) if path.is_dir() else None
            )
        self.names = [name.strip().lower() for name in self._data.schema.names]
        _check_header(path, self.names)

    def __len__(self) -> int:
        with self._reading():
            return int(self._data.count_rows())

    def rows(self, *names: str) -> Iterator[Row]:
        """Rows by column, a few thousand at a time in memory; only the columns ``names``."""
        import pyarrow.dataset

        fields = zip(self.names, self._data.schema.names, strict=True)
        wanted = {name: pyarrow.dataset.field(field) for name, field in fields if name in names}
        with self._reading():
            for batch in self._data.to_batches(
                columns=wanted, batch_size=_ROWS, batch_readahead=1, fragment_readahead=1,
                use_threads=False,
            ):  # fmt: skip
                for row in batch.to_pylist():
                    yield {name: _plain(cell, name) for name, cell in row.items()}

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with needing("parquet", "a Parquet manifest"):
            import pyarrow
        try:
            yield
        except (OSError, UnicodeError, pyarrow.ArrowException) as error:
            reason = first_line(error)
            if isinstance(error, UnicodeError):
                reason = "its path contains bytes that are not UTF-8; rename the file or folder"
            raise ManifestError(f"{self.path}: cannot be read as Parquet ({reason})") from error


def _partitions(folder: Path) -> Any:
    """How the folders within ``folder`` name columns: all as text, for ``007`` is not ``7``."""
    import pyarrow.dataset

    # Without this, pyarrow takes them for numbers where it can.
    guessed = pyarrow.dataset.dataset(folder, format="parquet", partitioning="hive").partitioning
    fields = [(name, pyarrow.string()) for name in guessed.schema.names]
    return pyarrow.dataset.partitioning(pyarrow.schema(fields), flavor="hive")


def _plain(cell: Any, name: str) -> Any:
    """A cell of Parquet as one of CSV would be: text for bytes, and nothing for NaN."""
    if isinstance(cell, bytes):
        cell = os.fsdecode(cell)
    if isinstance(cell, float) and math.isnan(cell):
        return None
    return cell.strip() if isinstance(cell, str) and name in _WORDS else cell


def read_parquet(path: Path) -> Sequence[NumberedRow]:
    """Rows by column, numbered from 1; errors as ``ParquetTable``."""
    table = ParquetTable(path)
    return list(enumerate(table.rows(*table.names), start=1))


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    """Raises ``MissingExtraError`` without pyarrow."""
    with needing("parquet", "a Parquet manifest"):
        import pyarrow
        import pyarrow.parquet
    # pyarrow's own files have other words for a full disk.
    with path.open("wb") as file:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), file)
