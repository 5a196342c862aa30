"""What is counted of the rows of a batch, and what Parquet keeps of them."""

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tumorlens.batch.columns import Tally, read_tally, tally_of, to_parquet
from tumorlens.batch.worker import identity
from tumorlens.bundle import DecisionRule, load
from tumorlens.labels import CLASSES

ROWS: list[dict[str, Any]] = [
    {"path": "v", "level": "series", "decision": "classified", "label": "glioma", "reason": ""},
    {"path": "v", "level": "slice", "decision": "classified", "label": "glioma", "reason": ""},
    {"path": "a", "level": "picture", "decision": "rejected", "label": None, "reason": "no head"},
    {"path": "b", "level": "picture", "decision": "abstained", "label": None, "reason": "unsure"},
    {"path": "\udcff.png", "level": "picture", "error": {"kind": "corrupt", "message": "torn"}},
]
TALLY = Tally(
    4,
    5,
    answers={"abstained": 1, "classified": 1, "rejected": 1},
    labels={"glioma": 1},
    refused={"no head": 1},
    errors={"corrupt": 1},
)


def test_slices_are_rows_but_no_answers_and_only_what_is_rejected_is_refused() -> None:
    assert tally_of(ROWS, 4) == TALLY


def test_tallies_add_up_by_name() -> None:
    total = Tally()
    total.add(TALLY)
    total.add(Tally(2, 3, answers={"classified": 2}, errors={"blank": 1}))
    assert total == Tally(
        6,
        8,
        answers={"abstained": 1, "classified": 3, "rejected": 1},
        labels={"glioma": 1},
        refused={"no head": 1},
        errors={"blank": 1, "corrupt": 1},
    )


def test_a_part_states_its_tally_and_keeps_every_path() -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the batch extra")
    data = to_parquet(ROWS, TALLY, CLASSES)
    assert read_tally(io.BytesIO(data)) == TALLY
    kept = parquet.read_table(io.BytesIO(data)).to_pylist()
    assert [row["path"] for row in kept] == ["v", "v", "a", "b", "\\udcff.png"]
    assert kept[-1]["error"] == {"kind": "corrupt", "message": "torn"}
    for damaged in (data[:-20], b"", b"no Parquet"):
        with pytest.raises(ValueError, match="damaged"):
            read_tally(io.BytesIO(damaged))


@pytest.mark.parametrize("metadata", [None, {"pandas": "{}"}, {"tumorlens": "no tally"}])
def test_a_parquet_file_of_another_program_is_no_part(metadata: dict[str, str] | None) -> None:
    arrow = pytest.importorskip("pyarrow", reason="needs the batch extra")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the batch extra")
    out = io.BytesIO()
    parquet.write_table(arrow.table({"path": ["a"]}).replace_schema_metadata(metadata), out)
    with pytest.raises(ValueError, match="damaged"):
        read_tally(io.BytesIO(out.getvalue()))


def test_answers_are_of_a_bundle_its_thresholds_and_the_plane(tiny_bundle: Path) -> None:
    """Whatever changes an answer changes the name of a part, so that no stale one is kept."""
    bundle = load(tiny_bundle)
    strict = msgspec.structs.replace(bundle.info, decision=DecisionRule(tumor_threshold=0.99))
    other = bundle.__class__(strict, bundle.model)
    names = {
        identity(bundle, "axial"), identity(bundle, "coronal"), identity(other, "axial"),
    }  # fmt: skip
    assert len(names) == 3
    assert identity(load(tiny_bundle), "axial") in names
