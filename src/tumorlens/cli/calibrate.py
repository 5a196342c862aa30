"""``tumorlens calibrate``: fit temperature, thresholds and prediction sets of a bundle."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tumorlens.cli import options
from tumorlens.cli.terminal import note
from tumorlens.text import percent

if TYPE_CHECKING:
    from tumorlens.bundle import BundleInfo, Thresholds
    from tumorlens.evaluation.abstention import AbstentionOutcome
    from tumorlens.labels import ClassSet

_AT_LIMIT = 1.001
"""Factor within which a fitted temperature counts as its limit."""


@click.command(
    name="calibrate",
    epilog="\b\nExamples, for a site and after training:\n"
    "  tumorlens calibrate default --data local.csv --output default-here\n"
    "  tumorlens calibrate runs/mine --data mine.csv --split mine-split.csv",
)
@click.argument("bundle_name", metavar="BUNDLE")
@options.data
@click.option("--split", metavar="NAME_OR_FILE[:FOLD]",
              help="Split of the manifest. After training, its validation part is used. "
              "For a site, its train and validation parts; without a split, every "
              "image.")  # fmt: skip
@click.option("--output", metavar="DIR", type=options.FOLDER,
              help="For a site: folder of the new bundle, which also becomes its name. Default: "
              "BUNDLE-MANIFEST.")  # fmt: skip
@options.extra_images("Further validation images.")
@click.option("--held-out", "held_out", multiple=True, metavar="BUNDLE MANIFEST SPLIT",
              type=(click.Path(path_type=Path), click.Path(path_type=Path), str),
              help="A bundle that was trained in the same way without some sources, and images of "
              "these sources: all but the test part of SPLIT (`all`: every image). Its answers "
              "raise the threshold for \"no tumour\" where it would miss tumours, and widen the "
              "prediction sets of answers that are not classified.")  # fmt: skip
@click.option("--volumes", multiple=True, type=click.Path(path_type=Path), metavar="CSV",
              help="List of whole heads, preferably of people whose images were not used in "
              "training, for the thresholds for volumes.")  # fmt: skip
@click.option("--gate", metavar="FILE", type=click.Path(path_type=Path),
              help="Gate, as written by `tumorlens gate`. Default: the bundle's "
              "own.")  # fmt: skip
@click.option("--coverage", default=0.95, show_default=True,
              type=options.Number(0, 1, min_open=True, max_open=True),
              help="Target share of prediction sets that contain the true class, for each "
              "class.")  # fmt: skip
@click.option("--licence", help="Licence of the weights, if the training data restrict it.")
@options.cache
def command(
    bundle_name: str,
    data: Path,
    split: str | None,
    output: Path | None,
    extras: tuple[tuple[Path, str], ...],
    held_out: tuple[tuple[Path, Path, str], ...],
    volumes: tuple[Path, ...],
    gate: Path | None,
    coverage: float,
    licence: str | None,
    cache: Path | None,
) -> None:
    """Fit temperature, thresholds and prediction sets of BUNDLE; its network is not changed.

    For a site (without --split, or with --output): a new bundle is fitted to a few dozen labelled
    local cases. A report shows which quantities could be fitted, what was gained, and whether the
    local images are like the training images.

    After training (with --split, and without --output): BUNDLE itself is changed. It also gets the
    threshold of the gate, and a summary of the validation images. Only images that were not used in
    training are read: validation images, and those of held-out sources.
    """
    if split is None or output is not None:
        after_training = extras or held_out or volumes or gate or licence or cache
        if after_training:
            raise click.UsageError(
                "--extra, --held-out, --volumes, --gate, --licence and --cache are for "
                "calibration after training, with --split and without --output"
            )
        from tumorlens.cli.calibrate_site import calibrate_site

        calibrate_site(bundle_name, data, split, output, coverage)
        return
    import msgspec

    from tumorlens import bundle
    from tumorlens.datasets import splits
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.errors import BundleError
    from tumorlens.training import calibration
    from tumorlens.training.cache import default_folder
    from tumorlens.training.calibration import HeldOutSource, ValidationSet

    if bundle_name in bundle.SHIPPED:
        raise BundleError(
            f"{bundle_name} is bundled with tumorlens, and calibration after training would change "
            f"it; name a new bundle with --output, or your own folder (./{bundle_name})"
        )
    bundle_folder = bundle.locate(bundle_name).resolve()
    trained = bundle.load(bundle_folder)
    main, *others = (
        ValidationSet(Manifest.load(path), splits.load(part, path.parent))
        for path, part in ((data, split), *extras)
    )
    calibrated, outcome = calibration.calibrate(
        trained,
        main,
        others,
        cache or default_folder(),
        gate.read_bytes() if gate else trained.gate,
        coverage,
        [
            HeldOutSource(
                bundle.load(str(folder)),
                Manifest.load(path),
                None if part == splits.ALL else splits.load(part, path.parent),
            )
            for folder, path, part in held_out
        ],
        volumes,
    )
    if licence:
        info = msgspec.structs.replace(calibrated.info, licence=licence)
        calibrated = dataclasses.replace(calibrated, info=info)
    bundle.save(bundle_folder, calibrated.info, calibrated.model, calibrated.gate)
    _report(calibrated.info, outcome, coverage)


def _report(info: "BundleInfo", outcome: "AbstentionOutcome", coverage: float) -> None:
    """Print what was fitted, and the resulting rates on the validation images."""
    from tumorlens.evaluation.calibration import MIN_TEMPERATURE
    from tumorlens.evaluation.small_samples import no_sets

    rule, classes = info.decision, info.classes
    done = f"on validation {percent(outcome.coverage, 1)} are classified"
    done += f", {percent(outcome.accuracy, 1)} of them correct"
    if classes.no_finding is not None and len(classes.kinds) > 1:
        done += f", {percent(outcome.detected, 1)} detected"
    if not math.isnan(outcome.missed_tumor_rate):  # else no image shows a finding
        done += f", {percent(outcome.missed_tumor_rate)} of the {classes.findings} missed"
    click.echo(f"temperature {info.temperature:.3f}; {_thresholds(rule, classes)}; {done}")
    if info.temperature < MIN_TEMPERATURE * _AT_LIMIT:
        note(
            f"the temperature is at its lower limit, {MIN_TEMPERATURE}, because every validation "
            "image is answered correctly: probabilities will be too high. Use more validation "
            "images"
        )
    for name, own in rule.by_sequence.items():
        click.echo(f"{name}: {_thresholds(own, classes)}")
    for kind, own in info.volume_decisions.items():
        click.echo(f"whole heads, {kind}: {_thresholds(own, classes)}")
    if (sets := info.prediction_sets) is not None:
        pairs = zip(classes.display_names.values(), sets.thresholds, strict=True)
        thresholds = ", ".join(f"{name} {value:.3f}" for name, value in pairs)
        click.echo(
            f"prediction sets, {percent(sets.coverage, 0)}: a class is included at or above "
            f"{thresholds}"
        )
    else:
        click.echo(no_sets("the validation patients", coverage))
    if info.gate is not None:
        click.echo(f"gate: rejects below {info.gate.threshold}")


def _thresholds(rule: "Thresholds", classes: "ClassSet") -> str:
    """The lowest probability at which each part of an answer is reported."""
    if classes.no_finding is None:
        return f"the kind is named at or above {rule.kind_threshold:.3f}"
    word = classes.a_finding
    presence = (
        f"no {classes.finding} is reported at or above {rule.notumor_threshold:.3f}, "
        f"{word} at or above {rule.tumor_threshold:.3f}"
    )
    if len(classes.kinds) == 1:  # the kind is known
        return presence
    return f"{presence}, its kind at or above {rule.kind_threshold:.3f} given {word}"
