"""The JSON Schema of the records of ``tumorlens predict --format jsonl``.

Made from the structs that the records are made from; the package holds a copy for programs
(``schemas/record.schema.json``), and a test that the copy is the one made here.
"""

from collections.abc import Sequence
from typing import Any, Final, get_args, get_type_hints

import msgspec

from tumorlens.inference.classifier import Failure, Prediction
from tumorlens.inference.heatmap import Heatmap
from tumorlens.inference.volume import SlicePrediction, VolumePrediction
from tumorlens.preprocessing import Square

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def record_schema() -> dict[str, Any]:
    """Schema (draft 2020-12) of one line: a prediction, that of a volume, or a failure."""
    square = msgspec.defstruct(
        "Square", list(get_type_hints(Square).items()), forbid_unknown_fields=True
    )
    heatmap = _as_written(Heatmap, square=square)
    one: Any = _as_written(SlicePrediction, probabilities=dict[str, float] | None)
    picture = _as_written(
        Prediction,
        probabilities=dict[str, float] | None,
        heatmap=heatmap | msgspec.UnsetType,
        notes=tuple[str, ...] | msgspec.UnsetType,
    )
    volume = _as_written(
        VolumePrediction,
        probabilities=dict[str, float] | None,
        slices=Sequence[one],
        heatmap=heatmap | msgspec.UnsetType,
    )
    kinds = (picture, volume, _as_written(Failure))
    (*schemas,), parts = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    return {
        "$schema": _DIALECT,
        "title": "Record of tumorlens predict",
        "anyOf": schemas,
        "$defs": parts,
    }


def _as_written(struct: type[msgspec.Struct], **changes: Any) -> Any:
    """A struct with the fields of ``struct``, of the types that they have in JSON.

    What ``changes`` says may be unset may be missing.
    """
    hints = get_type_hints(struct, localns={"Heatmap": Heatmap})
    fields: list[Any] = []
    for name in struct.__struct_fields__:
        kind = changes.get(name, hints[name])
        may_miss = msgspec.UnsetType in get_args(kind)
        fields.append((name, kind, msgspec.UNSET) if may_miss else (name, kind))
    return msgspec.defstruct(struct.__name__, fields, forbid_unknown_fields=True)
