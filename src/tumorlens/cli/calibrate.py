"""``tumorlens calibrate``: fit what a bundle needs before it can answer."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tumorlens.cli import options
from tumorlens.errors import MissingExtraError

if TYPE_CHECKING:
    from tumorlens.bundle import BundleInfo, Thresholds
    from tumorlens.evaluation.abstention import AbstentionOutcome
    from tumorlens.labels import ClassSet


@click.command(name="calibrate", short_help="Fit the temperature and thresholds of a bundle.")
@click.argument("bundle_folder", metavar="BUNDLE", type=click.Path(path_type=Path))
@options.data
@options.split("Its split; the validation part is used.")
@options.extra_images("Further validation images.")
@click.option("--held-out", "held_out", multiple=True, metavar="BUNDLE MANIFEST SPLIT",
              type=(click.Path(path_type=Path), click.Path(path_type=Path), str),
              help="A bundle trained in the same way without some sources, and images of "
              "these but SPLIT's test part (`all`: no split): they count too.")  # fmt: skip
@click.option("--volumes", multiple=True, type=click.Path(path_type=Path), metavar="CSV",
              help="List of whole heads that trained nothing: they fit the thresholds for "
              "volumes.")  # fmt: skip
@click.option("--gate", type=click.Path(path_type=Path),
              help="Gate of `tumorlens gate`; by default the bundle's own.")  # fmt: skip
@click.option("--coverage", default=0.95, show_default=True,
              type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Target share of each class's prediction sets that contain it.")  # fmt: skip
@click.option("--licence", help="Licence of the weights, if the training data restrict it.")
@options.cache
def command(
    bundle_folder: Path,
    data: Path,
    split: str,
    extras: tuple[tuple[Path, str], ...],
    held_out: tuple[tuple[Path, Path, str], ...],
    volumes: tuple[Path, ...],
    gate: Path | None,
    coverage: float,
    licence: str | None,
    cache: Path | None,
) -> None:
    """Fit temperature, thresholds, prediction sets and the gate's threshold; save BUNDLE.

    Reads only images that trained nothing: validation images, and those of held-out sources.
    """
    try:
        import torch  # noqa: F401 - only to check that the extra is installed
    except ImportError as error:
        raise MissingExtraError("calibration", "train") from error
    import msgspec

    from tumorlens import bundle
    from tumorlens.datasets import splits
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.training import calibration
    from tumorlens.training.cache import default_folder
    from tumorlens.training.calibration import HeldOutSource, ValidationSet

    made = bundle.load(bundle_folder.resolve())
    done, found = calibration.calibrate(
        made,
        ValidationSet(Manifest.load(data), splits.load(split, data.parent)),
        [
            ValidationSet(Manifest.load(path), splits.load(part, path.parent))
            for path, part in extras
        ],
        cache or default_folder(),
        gate.read_bytes() if gate else made.gate,
        coverage,
        [
            HeldOutSource(
                bundle.load(str(place)),
                Manifest.load(path),
                None if part == "all" else splits.load(part, path.parent),
            )
            for place, path, part in held_out
        ],
        volumes,
    )
    if licence:
        info = msgspec.structs.replace(done.info, licence=licence)
        done = dataclasses.replace(done, info=info)
    calibration.save(bundle_folder, done)
    _report(done.info, found)


def _report(info: "BundleInfo", found: "AbstentionOutcome") -> None:
    """Print what was fitted, and what it does to the validation images."""
    rule, classes = info.decision, info.classes
    done = f"on validation {found.coverage:.1%} are classified, {found.accuracy:.1%} of them right"
    if classes.no_finding is not None:
        done += (
            f", {found.detected:.1%} detected, {found.missed_tumor_rate:.2%} of the "
            f"{classes.finding}s missed"
        )
    click.echo(f"temperature {info.temperature:.3f}; {_thresholds(rule, classes)}; {done}")
    for name, own in rule.by_sequence.items():
        click.echo(f"{name}: {_thresholds(own, classes)}")
    for kind, own in info.volume_decisions.items():
        click.echo(f"whole heads, {kind}: {_thresholds(own, classes)}")
    if (kept := info.prediction_sets) is not None:
        pairs = zip(classes.display_names.values(), kept.thresholds, strict=True)
        thresholds = ", ".join(f"{name} {value:.3f}" for name, value in pairs)
        click.echo(f"prediction sets, {kept.coverage:.0%}: a class is included from {thresholds}")
    if info.gate is not None:
        click.echo(f"gate: rejects below {info.gate.threshold}")


def _thresholds(rule: "Thresholds", classes: "ClassSet") -> str:
    """From which probability each part of an answer is stated."""
    if classes.no_finding is None:
        return f"the kind is named from {rule.kind_threshold:.3f}"
    word = classes.finding
    return (
        f"no {word} is reported from {rule.notumor_threshold:.3f}, a {word} from "
        f"{rule.tumor_threshold:.3f}, its kind from {rule.kind_threshold:.3f} given a {word}"
    )
