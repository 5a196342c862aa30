"""``tumorlens evaluate``: score bundles by a protocol, with intervals, controls and probes."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tumorlens.cli import options
from tumorlens.cli.progress import NamedProgress, bars

if TYPE_CHECKING:
    from tumorlens.config import Device
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.evaluation.corruptions.run import Corruptions
    from tumorlens.evaluation.folds import EvaluationPlan
    from tumorlens.evaluation.probes.result import ProbeResult
    from tumorlens.inference.classifier import Classifier


@click.command(
    name="evaluate",
    epilog="\b\nExamples:\n"
    "  tumorlens evaluate folder --data nickparvar.csv --split folder --report out\n"
    "  tumorlens evaluate default --data mine.csv --split all --report out",
)
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True)
@options.several_data
@options.named_split(
    "A bundled split (folder, clean, clean-cv:0, br35h-tumor...), or a split file, here or in the "
    "manifest's folder; all, for every image of the manifest; clean-cv or patient-cv to pool one "
    "bundle for each fold; external; or leave-one-source-out."
)
@click.option("--against", multiple=True, metavar="MANIFEST", type=options.MANIFEST,
              help="For `external`: a manifest that the bundle was trained on, to search for "
              "shared images. Name all of them.")  # fmt: skip
@click.option("--report", required=True, metavar="DIR",
              type=options.FOLDER,
              help="Folder for index.html, evaluation.json and figures.")  # fmt: skip
@options.part
@click.option("--probes", "with_probes", is_flag=True,
              help="Also probe for shortcuts: frame, background, outlined findings erased and "
              "pasted, and the source in the embedding.")  # fmt: skip
@click.option("--probe-with", multiple=True, type=(options.MANIFEST, str), metavar="MANIFEST SPLIT",
              help="Additional images for the source probe (br35h-tumor.csv br35h-tumor); the same "
              "part of that split is used.")  # fmt: skip
@click.option("--corruptions", "with_corruptions", is_flag=True,
              help="Also measure errors under ten corruptions at five strengths.")  # fmt: skip
@click.option("--corruption-images", default=300, show_default=True, type=click.IntRange(min=1),
              help="Number of images to corrupt, drawn evenly from the classes.")  # fmt: skip
@click.option("--reference", metavar="BUNDLE",
              help="Bundle that the corruption error is relative to.")  # fmt: skip
@options.resamples
@options.resampling_seed
@options.device
def command(
    bundles: tuple[str, ...],
    data: tuple[Path, ...],
    split_name: str,
    against: tuple[Path, ...],
    report: Path,
    part: str,
    with_probes: bool,
    probe_with: tuple[tuple[Path, str], ...],
    with_corruptions: bool,
    corruption_images: int,
    reference: str | None,
    resamples: int,
    seed: int,
    device: "Device",
) -> None:
    """Score BUNDLE (a bundled network by its name, or the folder of a bundle or a training run).

    The exported file, which users run, is scored. Every number has a 95% interval from
    resampling groups. Two controls and, for the public set, published figures are also shown.

    For clean-cv, patient-cv and leave-one-source-out, give one bundle for each fold or source. Each
    is scored on the images that were held out from its training, and the answers are pooled.
    """
    from tumorlens.cli import evaluation_tables
    from tumorlens.datasets.manifest import Manifest, join
    from tumorlens.evaluation import evaluator
    from tumorlens.evaluation.resampling import Sampling
    from tumorlens.inference.classifier import Classifier
    from tumorlens.reporting import evaluation_report

    if reference and not with_corruptions:
        raise click.UsageError("--reference requires --corruptions")
    if probe_with and not with_probes:
        raise click.UsageError("--probe-with requires --probes")
    classifiers = [Classifier.load(name, device=device, answer_all=True) for name in bundles]
    manifest = join([Manifest.load(path) for path in data])
    sampling = Sampling(resamples, seed)
    chosen = {
        "--against": [str(path) for path in against],
        "--probes": with_probes,
        "--probe-with": [(str(path), split) for path, split in probe_with],
        "--corruptions": with_corruptions,
        "--corruption-images": str(corruption_images) if with_corruptions else None,
        "--reference": reference,
        "--report": str(report),
    }
    line = command_line("evaluate", bundles, data, split_name, chosen, part, resamples, seed)
    with bars() as progress:
        plan = _plan(classifiers, manifest, split_name, data, against, part, progress)
        manifest = plan.split.grouped(manifest)
        evaluation = evaluator.evaluate(
            plan, manifest, part=part, sampling=sampling, command=line,
            progress=progress("scoring"), control_progress=progress("reading for controls"),
        )  # fmt: skip
        further: dict[str, Any] = {}
        if with_probes:
            further["probes"] = _probe(plan, manifest, part, probe_with, sampling, progress)
        if with_corruptions:
            further["corruptions"] = _corrupt(
                plan, manifest, part, corruption_images, reference, device, sampling, progress
            )
    page = evaluation_report.write(report, evaluation, manifest, **further)
    evaluation_tables.print_tables(evaluation, page, **further)


def _plan(
    classifiers: Sequence["Classifier"],
    manifest: "Manifest",
    split_name: str,
    beside: Sequence[Path],
    against: Sequence[Path],
    part: str,
    progress: NamedProgress,
) -> "EvaluationPlan":
    """Decide which bundle is scored on which images."""
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.evaluation import external_set, folds

    external = split_name == folds.EXTERNAL
    if bool(against) != external:
        raise click.UsageError("--split external and --against must be used together")
    if split_name == folds.LEAVE_ONE_SOURCE_OUT:
        return folds.leave_one_source_out(classifiers, manifest)
    if external:
        only = _only(classifiers, split_name)
        trained = [Manifest.load(path) for path in against]
        external_set.require_external(
            only, manifest, trained, progress("searching for shared images")
        )
        return folds.external(only, manifest)
    split = folds.split_by_name(split_name, manifest, beside[0].parent)
    if folds.fold_numbers(split):
        return folds.cross_validation(classifiers, split, manifest)
    return folds.one_split(_only(classifiers, split_name), split, manifest, part)


def _only(classifiers: Sequence["Classifier"], split_name: str) -> "Classifier":
    if len(classifiers) > 1:
        raise click.UsageError(f"--split {split_name} takes one bundle")
    return classifiers[0]


def _probe(
    plan: "EvaluationPlan",
    manifest: "Manifest",
    part: str,
    probe_with: Sequence[tuple[Path, str]],
    sampling: Any,
    progress: NamedProgress,
) -> "tuple[ProbeResult, ...]":
    from tumorlens.datasets import splits
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.evaluation import protocols
    from tumorlens.evaluation.probes.run import probe

    beside = []
    for path, name in probe_with:
        further, split = Manifest.load(path), splits.load(name, path.parent)
        parts = split.parts(further)
        protocols.require_part(split, parts, part)
        beside.append((further, parts))
    return probe(plan.folds, manifest, part, sampling, progress("probing"), beside)


def _corrupt(
    plan: "EvaluationPlan",
    manifest: "Manifest",
    part: str,
    images: int,
    reference: str | None,
    device: "Device",
    sampling: Any,
    progress: NamedProgress,
) -> "Corruptions":
    from tumorlens.evaluation.corruptions.run import corrupt
    from tumorlens.inference.classifier import Classifier

    compared = Classifier.load(reference, device=device, answer_all=True) if reference else None
    return corrupt(
        plan.folds, manifest, part, images=images, reference=compared, sampling=sampling,
        progress=progress("corrupting"),
    )  # fmt: skip


def command_line(
    name: str,
    bundles: Sequence[str],
    data: Sequence[Path],
    split: str,
    chosen: dict[str, Any],
    part: str,
    resamples: int,
    seed: int,
) -> str:
    """The command that repeats the evaluation, with only the file name of absolute paths.

    Data, split and bundles are identified by their hashes.
    """
    words = ["tumorlens", name, *map(portable, bundles)]
    for path in data:
        words += ["--data", portable(str(path))]
    words += ["--split", portable(split)]
    for name, value in chosen.items():
        if value is True:
            words.append(name)
        elif value:
            for argument in [value] if isinstance(value, str) else value:
                arguments = argument if isinstance(argument, tuple) else (argument,)
                words += [name, *map(portable, arguments)]
    words += ["--part", part, "--resamples", str(resamples), "--seed", str(seed)]
    return shlex.join(words)


def portable(argument: str) -> str:
    """An argument for a report: only the file name of an absolute path."""
    return Path(argument).name if Path(argument).is_absolute() else argument
