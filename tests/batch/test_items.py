"""Chunks follow from the names of the inputs alone."""

from tumorlens.batch.items import Chunk, Item, chunks, joint_stamp

ITEMS = [Item("file", f"folder/{index:05d}.png", size=1000, stamp="1") for index in range(5000)]


def test_chunks_hold_every_input_once_and_in_order() -> None:
    found = list(chunks(ITEMS))
    assert [item for chunk in found for item in chunk.items] == ITEMS
    assert len({chunk.id for chunk in found}) == len(found)
    assert max(len(chunk.items) for chunk in found) <= 1024
    assert len(found[0].items) <= 64, "the first rows are soon there"
    assert list(chunks(ITEMS)) == found
    assert list(chunks([])) == []


def test_a_file_more_changes_few_chunks() -> None:
    before = {chunk.id for chunk in chunks(ITEMS)}
    more = [*ITEMS[:2500], Item("file", "folder/02499b.png", stamp="1"), *ITEMS[2500:]]
    after = {chunk.id for chunk in chunks(more)}
    assert len(after - before) <= 2


def test_a_changed_file_changes_its_chunk() -> None:
    before = {chunk.id for chunk in chunks(ITEMS)}
    changed = [*ITEMS[:77], Item("file", ITEMS[77].path, size=1000, stamp="2"), *ITEMS[78:]]
    assert len({chunk.id for chunk in chunks(changed)} - before) == 1


def test_large_files_end_a_chunk_sooner() -> None:
    volumes = [Item("file", f"{index}.nii", size=100 << 20) for index in range(1000)]
    assert max(len(chunk.items) for chunk in chunks(volumes)) <= 12


def test_each_chunk_belongs_to_one_part() -> None:
    for chunk in chunks(ITEMS):
        assert sum(chunk.belongs_to(part, 3) for part in range(3)) == 1
    assert {part for chunk in chunks(ITEMS) for part in range(3) if chunk.belongs_to(part, 3)} == {
        0, 1, 2,
    }  # fmt: skip
    assert Chunk("0f", ()).belongs_to(0, 1)


def test_a_name_that_is_no_utf_8() -> None:
    (chunk,) = chunks([Item("file", "a\udcff.png")])
    assert len(chunk.id) == 16


def test_the_stamp_of_several_files_changes_with_each() -> None:
    files = [(10, "1"), (20, "3"), (30, "2")]
    stamp, size = joint_stamp(files)
    assert size == 60
    for other in ([(10, "2"), *files[1:]], [files[1], files[0], files[2]], files[:2]):
        assert joint_stamp(other)[0] != stamp
