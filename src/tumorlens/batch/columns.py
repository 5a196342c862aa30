"""The columns of a batch's rows, as Parquet; names and types are those of the records' structs."""

import io
import types
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from tumorlens.batch.answering import Row
from tumorlens.errors import needing
from tumorlens.inference.record import KINDS, REJECTED, SlicePrediction

_RECORDS: Final = (*KINDS, SlicePrediction)
_LEFT_OUT: Final = frozenset({"heatmap", "slices", "classes"})
"""A heatmap is not asked for, slices have rows of their own, and classes are columns."""
_TALLY: Final = b"tumorlens"


class Tally(msgspec.Struct, omit_defaults=True):
    """Counts of a part, or of several."""

    inputs: int = 0
    """Files, members, and DICOM folders, studies or series, that were answered."""
    rows: int = 0
    answers: dict[str, int] = {}
    """Images and series by decision."""
    labels: dict[str, int] = {}
    """Images and series by class, of those that are classified."""
    refused: dict[str, int] = {}
    """Refused images and series by reason."""
    errors: dict[str, int] = {}
    """Inputs that could not be used, by kind of error."""

    def add(self, other: "Tally") -> None:
        """Add the counts of ``other``."""
        self.inputs += other.inputs
        self.rows += other.rows
        for name in ("answers", "labels", "refused", "errors"):
            total = Counter(getattr(self, name)) + Counter(getattr(other, name))
            setattr(self, name, dict(sorted(total.items())))


def tally_of(rows: Sequence[Row], inputs: int) -> Tally:
    """Count ``rows``, which are those of a number of ``inputs``."""
    wholes = [row for row in rows if row["level"] != "slice"]
    counts = {
        "answers": (row.get("decision") for row in wholes),
        "labels": (row.get("label") for row in wholes),
        "refused": (row["reason"] for row in wholes if row.get("decision") == REJECTED),
        "errors": (row["error"]["kind"] for row in wholes if row.get("error")),
    }
    named = {
        key: dict(sorted(Counter(filter(None, values)).items())) for key, values in counts.items()
    }
    return Tally(inputs, len(rows), **named)


def arrow() -> Any:
    """The module ``pyarrow`` with its Parquet part; raise ``MissingExtraError``."""
    with needing("batch", "tumorlens batch"):
        import pyarrow.parquet
    return pyarrow


@cache
def schema(classes: tuple[str, ...]) -> Any:
    """The Arrow schema of a row; ``classes`` are those of the bundle."""
    pa = arrow()
    fields = {"level": pa.string(), "sha256": pa.string()}
    for struct in _RECORDS:
        for name, hint in _hints(struct).items():
            if name not in _LEFT_OUT:
                fields.setdefault(name, _type(hint, classes))
    return pa.schema(list(fields.items()))


def to_parquet(rows: Sequence[Row], tally: Tally, classes: tuple[str, ...]) -> bytes:
    """A Parquet file of ``rows``; equal rows give equal bytes."""
    pa = arrow()
    columns = schema(classes).with_metadata({_TALLY: msgspec.json.encode(tally)})
    table = pa.Table.from_pylist([_clean(row) for row in rows], schema=columns)
    out = io.BytesIO()
    pa.parquet.write_table(table, out, compression="zstd")
    return out.getvalue()


def read_tally(file: Any) -> Tally:
    """The tally in the metadata of a file of ``to_parquet``; ``file`` is a stream.

    Raises ``ValueError`` where it is damaged.
    """
    try:
        metadata = arrow().parquet.read_schema(file).metadata[_TALLY]
        return msgspec.json.decode(metadata, type=Tally)
    except (arrow().ArrowException, KeyError, TypeError, msgspec.MsgspecError) as error:
        raise ValueError("damaged") from error
    except OSError as error:
        if error.errno is not None:  # of the disk; pyarrow raises it for damaged files too
            raise
        raise ValueError("damaged") from error


def _hints(struct: Any) -> dict[str, Any]:
    """Fields and their types."""
    hints = get_type_hints(struct)
    fields = getattr(struct, "__struct_fields__", None) or struct._fields
    return {name: hints[name] for name in fields}


def _type(hint: Any, classes: tuple[str, ...]) -> Any:
    pa = arrow()
    simple = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    if hint in simple:
        return simple[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return pa.string()
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return _type(inner, classes)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return pa.struct([(name, _type(arguments[1], classes)) for name in classes])
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return pa.list_(_type(arguments[0], classes))
    parts = [(name, part) for name, part in _hints(hint).items() if name not in _LEFT_OUT]
    return pa.struct([(name, _type(part, classes)) for name, part in parts])


def _clean(value: Any) -> Any:
    """Escape bytes of a path that are not UTF-8 (lone surrogates), which Parquet cannot contain."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {name: _clean(part) for name, part in value.items()}
    return [_clean(part) for part in value] if isinstance(value, list | tuple) else value
