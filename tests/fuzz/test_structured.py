"""A few hundred files that are odd inside; minutes of them: ``python -m tests.fuzz.long``."""

import sys

import pytest
from tests.fuzz.structured import MAKERS, made

if sys.platform != "linux":
    pytest.skip("it forks", allow_module_level=True)

from tests.fuzz.long import check, run_one

from tumorlens.errors import InputError
from tumorlens.imaging import reader


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_an_image_or_a_typed_error(name: str) -> None:
    for seed in range(40):
        check(made(name, seed))


@pytest.mark.parametrize("name", ["dicom", "mgh", "nifti", "nrrd", "tiff"])
def test_a_good_part_of_the_files_is_read(name: str) -> None:
    """Else the generator would test nothing but the first check of a reader."""
    read = 0
    for seed in range(40):
        files = made(name, seed)
        assert isinstance(files, bytes)
        try:
            read += reader.read_bytes(files).width > 0
        except InputError:
            continue
    assert read >= 8


def test_a_good_file_is_no_finding_and_a_seed_gives_the_same_file() -> None:
    outcome = run_one("nifti", 1)
    assert outcome.problem == ""
    assert 0 < outcome.cpu_seconds < 5
    assert made("nifti", 1) == made("nifti", 1) != made("nifti", 2)
