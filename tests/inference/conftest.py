"""A classifier with random weights."""

from pathlib import Path

import pytest

import tumorlens
from tumorlens.inference.classifier import Classifier


@pytest.fixture(scope="session")
def classifier(tiny_bundle: Path) -> Classifier:
    return tumorlens.load(tiny_bundle, threads=1)
