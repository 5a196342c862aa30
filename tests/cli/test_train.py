from pathlib import Path

import pytest
from click.testing import CliRunner

from tumorlens.cli.train import command
from tumorlens.config import TrainConfig, recipe_path
from tumorlens.errors import ManifestError, RecipeError


def _train(*arguments: str) -> None:
    CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)


@pytest.mark.parametrize("name", sorted(p.stem for p in recipe_path("clean").parent.glob("*.toml")))
def test_recipes_in_the_box_are_valid(name: str) -> None:
    assert TrainConfig.from_toml(recipe_path(name)).epochs > 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("epochs = 0", "`int` >= 1 - at `\\$.epochs`"),
        ("epochs = 'many'", "Expected `int`, got `str` - at `\\$.epochs`"),
        ("learning_rate = 1e-3", "unknown field `learning_rate`"),
        ("[optimizer]\nlearnin_rate = 1e-3", "unknown field `learnin_rate` - at `\\$.optimizer`"),
        ("epochs = ", "Invalid value"),
    ],
)
def test_wrong_recipe_is_one_clear_error(tmp_path: Path, text: str, complaint: str) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text)
    with pytest.raises(RecipeError, match=f"recipe.toml: .*{complaint}"):
        TrainConfig.from_toml(recipe)


def test_missing_files_are_named(tmp_path: Path) -> None:
    options = ["--split", "folder", "--out", str(tmp_path / "run")]
    with pytest.raises(RecipeError, match="nowhere"):
        _train("nowhere.toml", "--data", "m.csv", *options)
    with pytest.raises(ManifestError, match=r"absent\.csv"):
        _train("folder", "--data", str(tmp_path / "absent.csv"), *options)
