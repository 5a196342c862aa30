"""Any bytes on the pipe are a message, the end, or ``BrokenFrameError``."""

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tumorlens.isolation.frames import BrokenFrameError, Message, read, write


@given(st.dictionaries(st.text(), st.integers()), st.lists(st.binary()))
def test_what_is_written_is_read(content: dict[str, int], blobs: list[bytes]) -> None:
    pipe = io.BytesIO()
    write(pipe, Message(content, tuple(blobs)))
    pipe.seek(0)
    assert read(pipe) == Message(content, tuple(blobs))
    assert read(pipe) is None


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(BrokenFrameError):
        read(io.BytesIO(data))


@pytest.mark.parametrize("cut", [1, 3, 5, -1])
def test_cut_off(cut: int) -> None:
    pipe = io.BytesIO()
    write(pipe, Message({}, (b"12345",)))
    with pytest.raises(BrokenFrameError):
        read(io.BytesIO(pipe.getvalue()[:cut]))


def test_too_large() -> None:
    pipe = io.BytesIO()
    write(pipe, Message({}, (bytes(1000),)))
    pipe.seek(0)
    with pytest.raises(BrokenFrameError):
        read(pipe, 500)
