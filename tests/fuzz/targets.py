"""What a fuzzer may throw at each reader, and the contract: an image or a typed error."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from tests.fuzz.seeds import seeds

from tumorlens.errors import InputError
from tumorlens.imaging import reader
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.limits import MAX_SIDE, MAX_SLICES, MIN_SIDE
from tumorlens.imaging.study import read_study

_SOURCE: Final = "fuzzed"
_PLANES: Final = ("axial", "coronal", "sagittal")


def check_bytes(data: bytes) -> None:
    """Read one file; a volume is cut along a plane that depends on its length."""
    try:
        image = reader.read_bytes(data, _SOURCE, _PLANES[len(data) % 3])
    except InputError as error:
        _check_error(error, _SOURCE)
    else:
        check_image(image)


def check_archive(data: bytes) -> None:
    """Read an archive and all in it."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        study = read_study(file.name)
    for image in study.images:
        check_image(image)
    for path, error in study.failures:
        _check_error(error, path)
    assert study.images or study.failures or study.skipped


def check_folder(data: bytes) -> None:
    """Group a file with a sound one, which it may claim to repeat."""
    check_files([data, seeds("dicom")[0]])


def check_files(files: Sequence[bytes]) -> None:
    """Read files as one folder."""
    with tempfile.TemporaryDirectory() as folder:
        for index, data in enumerate(files):
            (Path(folder) / f"{index}").write_bytes(data)
        study = read_study(folder)
    assert study.images or study.failures or study.skipped or study.own
    for image in study.images:
        check_image(image)
    for path, error in study.failures:
        _check_error(error, path)


def check_image(image: MedicalImage) -> None:
    """Whether it is what `MedicalImage` promises."""
    assert image.pixels.dtype == np.dtype(np.float32)
    assert image.pixels.ndim in (2, 3)
    assert min(image.height, image.width) >= MIN_SIDE
    assert max(image.height, image.width) <= MAX_SIDE
    assert image.depth <= MAX_SLICES
    assert np.isfinite(image.pixels).all()
    assert image.facts is None or len(image.facts.slices) == image.depth


def _check_error(error: InputError, source: str) -> None:
    message = str(error)
    assert message.startswith(source)
    assert message[len(source) :].isprintable()


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "image": check_bytes,
    "dicom": check_bytes,
    "nifti": check_bytes,
    "mgh": check_bytes,
    "nrrd": check_bytes,
    "series": check_folder,
    "archive": check_archive,
}
"""By name. Those that share a function differ in the seeds that a run starts from."""
