"""``tumorlens compare``: several bundles on the same images, with paired differences."""

from pathlib import Path

import click

from tumorlens.cli import options


@click.command(
    name="compare",
    epilog="\b\nExample:\n"
    "  tumorlens compare default runs/mine --data mine.csv --split mine-split.csv",
)
@click.argument("bundles", metavar="RUN|BUNDLE...", nargs=-1, required=True)
@options.several_data
@options.named_split("A bundled split, a split file, or all, for every image of the manifest.")
@options.part
@click.option("--report", default="comparison", show_default=True, metavar="DIR",
              type=options.FOLDER,
              help="Folder for index.html, comparison.json and curves.png.")  # fmt: skip
@options.resamples
@options.resampling_seed
def command(
    bundles: tuple[str, ...],
    data: tuple[Path, ...],
    split_name: str,
    part: str,
    report: Path,
    resamples: int,
    seed: int,
) -> None:
    """Score several bundles on the same images and compare them.

    Each is the name of a bundled network, the folder of a bundle, or the folder of a training run.
    The others are compared with the first. Differences are paired, with 95% intervals from
    resampling patients and McNemar's exact test. The report also says how many of the images each
    bundle was trained on.
    """
    from tumorlens.bundle import load
    from tumorlens.cli.evaluate import command_line
    from tumorlens.cli.evaluation_tables import print_comparison
    from tumorlens.cli.progress import bars
    from tumorlens.datasets.manifest import Manifest, join
    from tumorlens.evaluation import comparison as comparisons
    from tumorlens.evaluation import folds, protocols
    from tumorlens.evaluation.resampling import Sampling
    from tumorlens.inference.classifier import Classifier
    from tumorlens.reporting import comparison_report

    if len(bundles) < 2:
        raise click.UsageError("name at least two runs or bundles to compare")
    if len(set(bundles)) < len(bundles):
        raise click.UsageError("a bundle is named twice")
    loaded = [load(name) for name in bundles]
    names = comparisons.unique_names(bundles, [bundle.info.name for bundle in loaded])
    classifiers = {
        name: Classifier(bundle, answer_all=True)
        for name, bundle in zip(names, loaded, strict=True)
    }
    manifest = join([Manifest.load(path) for path in data])
    split = folds.split_by_name(split_name, manifest, data[0].parent)
    manifest = split.grouped(manifest)
    protocols.require_part(split, split.parts(manifest), part)
    line = command_line("compare", bundles, data, split_name, {}, part, resamples, seed)
    with bars() as progress:
        comparison = comparisons.compare(
            classifiers, manifest, split, part=part, sampling=Sampling(resamples, seed),
            command=line, progress=progress("scoring"),
        )  # fmt: skip
    print_comparison(comparison, comparison_report.write(report, comparison))
