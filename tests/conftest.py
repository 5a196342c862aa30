"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of public data sets; skips where TUMORLENS_DATA does not name one."""
    value = os.environ.get("TUMORLENS_DATA")
    if not value:
        pytest.skip("needs the public data sets: set TUMORLENS_DATA to their folder")
    folder = Path(value)
    if not (folder / "nickparvar" / "Training").is_dir():
        pytest.skip(f"TUMORLENS_DATA={folder} holds no nickparvar/Training")
    return folder
