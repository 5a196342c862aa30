"""The tree of errors is what programs and exit codes rely on."""

from collections.abc import Iterator

import pytest

from tumorlens import errors


def tree(root: type[errors.TumorlensError]) -> Iterator[type[errors.TumorlensError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def test_kinds_are_unique_words() -> None:
    kinds = [error.kind for error in tree(errors.TumorlensError)]
    assert len(set(kinds)) == len(kinds)
    assert all(kind.replace("_", "").isalpha() and kind.islower() for kind in kinds)


def test_exit_codes() -> None:
    """As `tumorlens --help` documents them."""
    assert {error.exit_code for error in tree(errors.InputError)} == {3}
    assert errors.BundleError.exit_code == 4
    others = (errors.ManifestError, errors.SplitError, errors.RecipeError, errors.CheckpointError)
    assert {error.exit_code for error in others} == {1}


def test_missing_extra_says_what_to_type() -> None:
    with pytest.raises(errors.TumorlensError, match=r"pip install 'tumorlens\[train\]'"):
        raise errors.MissingExtraError("training", "train")
