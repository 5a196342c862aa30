"""``tumorlens recipes``: list and print the bundled recipes."""

from pathlib import Path

import click


@click.group(name="recipes", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the bundled recipes, with the first line of each.

    Give `tumorlens train` the name of a recipe, or your own file.
    """
    if context.invoked_subcommand is not None:
        return
    from tumorlens.config import bundled_recipes

    for path in bundled_recipes():
        first = path.read_text("utf-8").partition("\n")[0].lstrip("# ")
        click.echo(f"{path.stem:10} {first}")


@command.command(name="show")
@click.argument("recipe", type=click.Path(path_type=Path))
def show_command(recipe: Path) -> None:
    """Print a bundled recipe by name, or a recipe file.

    Keys that are not in a recipe have default values, documented in `tumorlens.config`.
    """
    from tumorlens.config import TrainConfig, recipe_path

    path = recipe_path(recipe)
    TrainConfig.from_toml(path)  # raises an error if it is not a recipe
    click.echo(path.read_text("utf-8"), nl=False)
