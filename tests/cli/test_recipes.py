import pytest
from click.testing import CliRunner

from tumorlens.cli.recipes import command
from tumorlens.config import TrainConfig, bundled_recipes, recipe_path
from tumorlens.errors import RecipeError


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)
    return result.output


def test_every_bundled_recipe_is_listed_with_a_sentence() -> None:
    lines = _run().splitlines()
    assert [line.split()[0] for line in lines] == [path.stem for path in bundled_recipes()]
    assert all(len(line.split()) > 4 and line.endswith(".") for line in lines)


def test_what_is_shown_is_the_recipe() -> None:
    assert _run("show", "default") == recipe_path("default").read_text("utf-8")


def test_a_mistyped_name_suggests_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"teecher: neither .*; did you mean teacher\?"):
        _run("show", "teecher")
    with pytest.raises(RecipeError, match=r"nor a file$"):
        TrainConfig.from_toml(recipe_path("zzz"))
