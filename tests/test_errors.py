"""The tree of errors is what programs and exit codes rely on."""

import json
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
    assert errors.OutputExistsError.exit_code == 2
    assert errors.BundleError.exit_code == 4
    assert errors.MissingExtraError.exit_code == 5
    data = (errors.ManifestError, errors.DatasetError, errors.SplitError)
    assert {error.exit_code for error in data} == {6}
    assert {errors.RecipeError.exit_code, errors.CheckpointError.exit_code} == {7}
    assert {errors.LeakError.exit_code, errors.EvaluationError.exit_code} == {8}
    assert {error.exit_code for error in tree(errors.TumorlensError)} <= set(errors.EXIT_CODES)


@pytest.mark.parametrize(
    ("recorded", "command"),
    [
        (None, "pip install 'tumorlens[train]'"),
        (
            {"url": "file:///home/me/a%20clone", "dir_info": {"editable": True}},
            "pip install -e '/home/me/a clone[train]'",
        ),
        ({"url": "file:///clone", "dir_info": {}}, "pip install '/clone[train]'"),
        (
            {"url": "https://host/t.git", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            "pip install 'tumorlens[train] @ git+https://host/t.git'",
        ),
    ],
)
def test_missing_extra_says_what_to_type(
    recorded: dict[str, object] | None, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By where pip says that the package came from (PEP 610)."""

    class Installed:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return None if recorded is None else json.dumps(recorded)

    monkeypatch.setattr("importlib.metadata.distribution", lambda _: Installed())
    with pytest.raises(errors.TumorlensError) as caught:
        raise errors.MissingExtraError("training", "train")
    assert str(caught.value) == f"training needs an optional part: {command}"
    if recorded and "dir_info" in recorded:
        told = errors.install_command("train", show_folder=False)
        assert "clone[" not in told
        assert told.endswith("'.[train]' in the clone of tumorlens")


def test_the_nearest_name_is_suggested() -> None:
    assert errors.did_you_mean("claen", ("clean", "folder")) == "; did you mean clean?"
    assert errors.did_you_mean("x", ("clean", "folder")) == ""
