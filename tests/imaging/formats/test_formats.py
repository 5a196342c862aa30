"""A format is one file and its line in the registry; the registry alone knows what is read."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tumorlens.errors import CorruptInputError, LimitExceededError
from tumorlens.imaging import reader
from tumorlens.imaging.finder import find
from tumorlens.imaging.formats import registry
from tumorlens.imaging.formats.format import Format, begins_with
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.raster import encode

_MAGIC = b"TOY1"


def _decode(data: bytes, source: str, _plane: str) -> MedicalImage:
    """32 rows of what follows the signature."""
    if data == _MAGIC + b"memory":
        raise MemoryError
    pixels = np.frombuffer(data[len(_MAGIC) :], np.uint8).reshape(32, -1)
    return MedicalImage(pixels.astype(np.float32), source, 8, "toy")


TOY = Format("toy", "TOY", (".toy",), begins_with(_MAGIC), _decode)


@pytest.fixture
def with_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FORMATS", (*registry.FORMATS, TOY))


@pytest.mark.usefixtures("with_toy")
def test_a_listed_format_is_read_everywhere(tmp_path: Path) -> None:
    pixels = np.arange(32 * 40, dtype=np.uint8).reshape(32, 40)
    (tmp_path / "a").write_bytes(_MAGIC + pixels.tobytes())
    (tmp_path / "b.toy").touch()  # a failed copy: its name claims an image
    (tmp_path / "c.txt").write_text("a letter")
    found = find(str(tmp_path))
    assert found.paths == (str(tmp_path / "a"), str(tmp_path / "b.toy"))
    assert found.skipped == 1
    np.testing.assert_array_equal(reader.read(tmp_path / "a").pixels, pixels)
    assert registry.readable().endswith("NIfTI, MGH, NRRD, TOY")


@pytest.mark.usefixtures("with_toy")
def test_what_a_decoder_raises_becomes_one_typed_line() -> None:
    with pytest.raises(CorruptInputError, match=r"^here: damaged TOY \(cannot reshape"):
        reader.read_bytes(_MAGIC + b"odd", "here")
    with pytest.raises(LimitExceededError, match=r"^here: does not fit into memory$"):
        reader.read_bytes(_MAGIC + b"memory", "here")


def test_names_and_suffixes_are_told_apart() -> None:
    names = [one.name for one in registry.FORMATS]
    suffixes = [suffix for one in registry.FORMATS for suffix in one.suffixes]
    assert len({*names}) == len(names)
    assert len({*suffixes}) == len(suffixes)
    assert all(suffix.startswith(".") for suffix in suffixes)
    assert not any(one.begins(b"") for one in registry.FORMATS)
    assert registry.recognise(encode.png(np.zeros((32, 32), np.uint8))) is registry.FORMATS[1]


def test_recognising_files_imports_no_library() -> None:
    code = (
        "import sys, tumorlens.imaging.formats.registry as r; r.sniff(b'BM'); "
        "print(*{'numpy', 'PIL', 'pydicom', 'nibabel'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_another_plane_is_an_error_of_the_program() -> None:
    with pytest.raises(ValueError, match="plane must be one of sagittal, coronal, axial"):
        reader.read_bytes(b"", plane="oblique")
