"""A phantom set under two splits: one leaks, as the public folders do, and one does not."""

import pytest

from tumorlens.datasets import public_splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split
from tumorlens.demo import phantoms


@pytest.fixture(scope="session")
def phantom_set(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """About 80 images of 40 phantom patients; four test files are copies of training files."""
    return Manifest.load(phantoms.write_phantoms(tmp_path_factory.mktemp("phantoms"), 10, seed=5))


@pytest.fixture(scope="session")
def leaky_split(phantom_set: Manifest) -> Split:
    return public_splits.folder_split(phantom_set)


@pytest.fixture(scope="session")
def clean_split(phantom_set: Manifest) -> Split:
    return phantoms.phantom_split(phantom_set)
