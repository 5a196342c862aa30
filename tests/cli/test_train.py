import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tumorlens import bundle
from tumorlens.cli import calibrate, data
from tumorlens.cli.train import command
from tumorlens.config import TrainConfig, recipe_path
from tumorlens.datasets.manifest import Manifest
from tumorlens.demo import phantoms
from tumorlens.errors import (
    CheckpointError,
    ManifestError,
    OutputExistsError,
    RecipeError,
    SplitError,
)


def _train(*arguments: str) -> None:
    CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in recipe_path("default").parent.glob("*.toml"))
)
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


def test_from_teachers_to_a_calibrated_bundle(tmp_path: Path) -> None:
    """All commands of the way to the bundled network, on phantoms."""
    listed = phantoms.write_phantoms(tmp_path / "phantoms", 8, seed=11)
    split = tmp_path / "split.csv"
    phantoms.phantom_split(Manifest.load(listed)).save(split)
    elsewhere = phantoms.write_phantoms(tmp_path / "elsewhere", 4, seed=12)
    text = Path(elsewhere).read_text("utf-8")
    assert ",phantom," in text
    Path(elsewhere).write_text(text.replace(",phantom,", ",elsewhere,"), "utf-8")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'model = "nano"\nepochs = 1\nbatch_size = 8\n[preprocess]\nimage_size = 96\n', "utf-8"
    )
    same = ["--data", str(listed), "--split", str(split), "--threads", "1",
            "--cache", str(tmp_path / "cache")]  # fmt: skip
    teachers = tmp_path / "teacher"
    _train(str(recipe), *same, "--set", "cross_fit=2", "--out", str(teachers))
    apart = ["--hold-out", "elsewhere", "--extra", str(elsewhere), "all"]
    _train(str(recipe), *same, *apart, "--out", str(tmp_path / "apart"))
    # One epoch teaches nothing, and such a network is not calibrated: this one begins trained.
    _train("phantom", *same, "--init", "phantom", "--set", "epochs=1", "--set", "batch_size=8",
           "--set", "optimizer.learning_rate=1e-6", "--set", "optimizer.warmup_epochs=0",
           "--set", "distillation_weight=1.0", "--set", "sequence_weight=0.1",
           "--out", str(tmp_path / "student"), "--teacher", str(teachers))  # fmt: skip
    student = tmp_path / "student" / "bundle"
    CliRunner().invoke(
        calibrate.command,
        [str(student), *same[:4], "--cache", str(tmp_path / "cache"), "--licence", "none",
         "--held-out", str(tmp_path / "apart" / "bundle"), str(elsewhere), "all"],
        catch_exceptions=False, standalone_mode=False,
    )  # fmt: skip
    info = bundle.load(student).info
    assert "held-out sources" in info.decision.chosen_on
    assert info.licence == "none"
    named = [teacher["model_sha256"] for teacher in info.training["teachers"]]
    parts = [bundle.load(teachers / f"part-{k}" / "bundle").sha256 for k in range(2)]
    assert named == parts


def test_all_folds_are_trained_and_scored_in_one_command(tmp_path: Path) -> None:
    """From a manifest and nothing else; begun again, what is finished stays."""
    listed = phantoms.write_phantoms(tmp_path / "phantoms", 4, seed=13)
    split = listed.with_name("own.csv")
    CliRunner().invoke(
        data.command, ["split", str(listed), "--kfold", "3", "--output", str(split)],
        catch_exceptions=False, standalone_mode=False,
    )  # fmt: skip
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'model = "nano"\nepochs = 1\nbatch_size = 8\n[preprocess]\nimage_size = 64\n', "utf-8"
    )
    out = tmp_path / "cv"
    same = [str(recipe), "--data", str(listed), "--split", "own", "--threads", "1",
            "--cache", str(tmp_path / "cache"), "--out", str(out)]  # fmt: skip
    with pytest.raises(SplitError, match="name one, as in own:0, or train all"):
        _train(*same)
    with pytest.raises(SplitError, match="is not in folds"):
        _train(*same[:4], "own:0", *same[5:], "--kfold")
    _train(*same[:4], "own:1", *same[5:-1], str(out / "fold-1"))
    with pytest.raises(OutputExistsError, match="already contains a run"):
        _train(*same[:-1], str(out), "--kfold", "--name", "mine")
    before = bundle.load(out / "fold-1" / "bundle")
    _train(*same, "--kfold", "--resume", "--name", "mine")
    assert bundle.load(out / "fold-1" / "bundle").info == before.info
    names = [bundle.load(out / f"fold-{k}" / "bundle").info.name for k in range(3)]
    assert names == ["mine-0", "model", "mine-2"]
    for other in (["--seed", "9"], ["--hold-out", "elsewhere"]):
        with pytest.raises(CheckpointError, match=r"fold-0.* made with another recipe, data"):
            _train(*same, "--kfold", "--resume", *other)
    record = json.loads((out / "report" / "evaluation.json").read_text("utf-8"))
    assert record["n"] == len(Manifest.load(listed))
    over = record["accuracy_over_folds"]
    assert over["low"] <= over["mean"] <= over["high"]
    assert record["quotable"] is True


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "KEY=VALUE"),
        ("epochs=many", "epochs"),
        ("epoch=3", "unknown field `epoch`; did you mean epochs?"),
        ("learning_rate=1e-3", "did you mean optimizer.learning_rate?"),
        ("optimizer.learning_rat=1", "did you mean optimizer.learning_rate?"),
        ("optimizer.lr=1", "there are: learning_rate, weight_decay, warmup_epochs"),
        ("augment.style.bias=1", "unknown field `bias`"),
        ("augment.style.bias=1", "did you mean augment.style.bias_field?"),
        ("erase=0", "did you mean augment.erase or augment.lesions.erase?"),
        ("epochs.more=3", "epochs is not a table"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused(override: str, message: str) -> None:
    others = ["seed=3", override, "batch_size=4"]
    with pytest.raises(RecipeError, match=rf"^--set {re.escape(override)}: ") as refused:
        TrainConfig.from_toml(recipe_path("default"), others)
    assert message in str(refused.value)


def test_an_override_may_mend_what_another_or_the_recipe_breaks(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("epochs = 0")
    assert TrainConfig.from_toml(recipe, ["seed=-1", "epochs=2", "seed=1"]).epochs == 2
    with pytest.raises(RecipeError, match=r"^--set seed=-1: .*seed"):
        TrainConfig.from_toml(recipe, ["epochs=2", "seed=-1", "batch_size=0"])


def test_overrides_change_keys_of_any_table() -> None:
    config = TrainConfig.from_toml(
        recipe_path("default"), ["optimizer.learning_rate=1e-4", "model=paper", "epochs=3"]
    )
    assert (config.optimizer.learning_rate, config.model, config.epochs) == (1e-4, "paper", 3)
