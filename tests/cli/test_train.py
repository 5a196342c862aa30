from pathlib import Path

import pytest
from click.testing import CliRunner

from tumorlens import bundle
from tumorlens.cli import calibrate
from tumorlens.cli.train import command
from tumorlens.config import TrainConfig, recipe_path
from tumorlens.datasets import phantoms
from tumorlens.datasets.manifest import Manifest
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


def test_from_a_teacher_to_a_calibrated_bundle(tmp_path: Path) -> None:
    """All commands on the way to the bundled network, on phantoms."""
    listed = phantoms.write_phantoms(tmp_path / "phantoms", 8, seed=11)
    split = tmp_path / "split.csv"
    phantoms.phantom_split(Manifest.load(listed)).save(split)
    own = tmp_path / "abroad"
    abroad = phantoms.write_phantoms(own, 4, seed=12)
    text = Path(abroad).read_text("utf-8")
    assert ",phantom," in text
    Path(abroad).write_text(text.replace(",phantom,", ",abroad,"), "utf-8")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'model = "nano"\nepochs = 1\nbatch_size = 8\n[preprocess]\nimage_size = 64\n', "utf-8"
    )
    taught = tmp_path / "taught.toml"
    taught.write_text(
        "distillation_weight = 1.0\nkeep_start = 0.5\n" + recipe.read_text("utf-8"), "utf-8"
    )
    same = ["--data", str(listed), "--split", str(split), "--threads", "1",
            "--cache", str(tmp_path / "cache")]  # fmt: skip
    _train(str(recipe), *same, "--out", str(tmp_path / "teacher"))
    apart = ["--hold-out", "abroad", "--extra", str(abroad), "all"]
    _train(str(recipe), *same, *apart, "--out", str(tmp_path / "apart"))
    teacher = str(tmp_path / "teacher" / "bundle")
    _train(str(taught), *same, "--out", str(tmp_path / "pupil"), "--teacher", teacher,
           "--start-from", teacher)  # fmt: skip
    made = tmp_path / "pupil" / "bundle"
    CliRunner().invoke(
        calibrate.command,
        [str(made), *same[:4], "--cache", str(tmp_path / "cache"), "--licence", "none",
         "--held-out", str(tmp_path / "apart" / "bundle"), str(abroad), "all"],
        catch_exceptions=False, standalone_mode=False,
    )  # fmt: skip
    info = bundle.load(made).info
    assert info.decision.chosen_on.endswith("validation, and sources left out")
    assert info.licence == "none"
    sha256 = bundle.load(teacher).sha256
    assert info.training["teachers"][0]["model_sha256"] == sha256
    assert info.training["start_from"]["model_sha256"] == sha256
