"""The demonstration: the main steps on phantoms, from images to a report.

Everything is written below one folder: ``phantoms/`` with its manifest and split, ``audit/``,
``evaluation/``, ``index.html`` and ``demo.json``. The last is written first. It marks the folder as
one of the demonstration, which may be overwritten.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from tumorlens import __version__, bundle
from tumorlens.bundle import Bundle
from tumorlens.datasets import audit as audits
from tumorlens.datasets.controls import HASH_NEIGHBOUR
from tumorlens.datasets.findings import Audit
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import TEST, Split
from tumorlens.demo import phantoms
from tumorlens.errors import VolumeError
from tumorlens.evaluation import evaluator
from tumorlens.evaluation.evaluator import Evaluation
from tumorlens.evaluation.folds import one_split
from tumorlens.evaluation.resampling import Sampling
from tumorlens.files import json_bytes, write_file
from tumorlens.imaging import finder, reader
from tumorlens.imaging.input import File
from tumorlens.imaging.raster import encode
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import Failure, Prediction, Result
from tumorlens.inference.stream import outcomes
from tumorlens.labels import CLASSES, RESEARCH_NOTICE
from tumorlens.progress import Progress
from tumorlens.reporting import audit_report, evaluation_report, html, plots

PAGE: Final = "index.html"
MARK: Final = "demo.json"
SYNTHETIC: Final = (
    "The heads of this demonstration are drawn by a program. Figures measured on them show that "
    "the software works; they do not apply to patients."
)
INTENDED_USE: Final = (
    "For a demonstration on synthetic heads, not for pictures of people. " + RESEARCH_NOTICE
)
"""The intended use of a network that was trained on phantoms."""
_SHOWN_A_CLASS: Final = 5
_RESAMPLES: Final = 500
"""Fewer than in `tumorlens evaluate`, to save time."""
Step = Callable[[str], AbstractContextManager[Progress]]
"""Announces a step, and gives it a progress bar."""


@dataclasses.dataclass(frozen=True, slots=True)
class GalleryItem:
    """An image with its answer, for the gallery."""

    image: str
    """A data URI; empty if the image cannot be read."""
    path: str
    truth: str
    """Empty for an image of the user, whose class is not known."""
    answer: Prediction | Failure


@dataclasses.dataclass(frozen=True, slots=True)
class DemoResult:
    """The results of the steps, which the report shows."""

    seed: int
    manifest: Manifest
    split: Split
    audit: Audit
    """Of the folders as they were made, in which patients are in both parts."""
    evaluation: Evaluation
    trained_anew: bool
    gallery: Sequence[GalleryItem]
    images: Sequence[GalleryItem]
    image_bundle: Bundle | None
    """The bundle that classified the user's images; None if there are none."""

    @property
    def failed(self) -> int:
        """Number of the user's images that could not be used."""
        return sum(isinstance(image.answer, Failure) for image in self.images)


def is_free(folder: Path) -> bool:
    """Whether the folder is new, empty or of an earlier demonstration."""
    if not folder.exists():
        return True
    return folder.is_dir() and ((folder / MARK).is_file() or not any(folder.iterdir()))


def run(
    folder: Path,
    patients_per_class: int,
    seed: int,
    classifier_for: Callable[[Manifest, Split], Classifier],
    step: Step,
    *,
    trained_anew: bool = False,
    paths: Sequence[str] = (),
    answering: Classifier | None = None,
) -> tuple[DemoResult, Path]:
    """Take all steps; return the results and the path of the report.

    ``classifier_for`` loads the network for the phantoms or, with ``trained_anew``, trains it.
    ``answering`` classifies the user's images, ``paths``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MARK).exists():
        write_file(folder / MARK, b"{}\n")
    images_folder = folder / "phantoms"
    with step(f"Making phantoms: {patients_per_class} synthetic patients for each class") as bar:
        path = phantoms.write_phantoms(images_folder, patients_per_class, seed, progress=bar)
        manifest = Manifest.load(path)
    with step("Auditing them") as bar:
        parts = audits.published_parts(manifest)
        audit = audits.audit(manifest, parts, manifest_name="manifest.csv", progress=bar)
        audit_report.write(audit, manifest, parts, folder / "audit")
    with step("Splitting them by patient"):
        split = phantoms.phantom_split(manifest)
        split.save(images_folder / "split.csv")
    classifier = classifier_for(manifest, split)
    with step("Evaluating on patients that were not used in training") as bar:
        plan = one_split(classifier, split, manifest, TEST)
        evaluation = evaluator.evaluate(
            plan, manifest, part=TEST, sampling=Sampling(_RESAMPLES, 0), progress=bar
        )
        evaluation_report.write(folder / "evaluation", evaluation, manifest)
        test_examples = gallery(classifier, evaluation, manifest)
    with step(f"Classifying your images ({len(paths) or 'none'} given)"):
        images = classify(answering, paths) if answering else []
    outcome = DemoResult(
        seed=seed, manifest=manifest, split=split, audit=audit, evaluation=evaluation,
        trained_anew=trained_anew, gallery=test_examples, images=images,
        image_bundle=answering.bundle if answering else None,
    )  # fmt: skip
    return outcome, write(folder, outcome)


def declare_use(folder: Path) -> Bundle:
    """Write into the bundle in ``folder``, trained on phantoms, that it is for phantoms only."""
    trained = bundle.load(folder)
    info = msgspec.structs.replace(trained.info, intended_use=INTENDED_USE)
    return bundle.save(folder, info, trained.model)


def gallery(
    classifier: Classifier, evaluation: Evaluation, manifest: Manifest
) -> list[GalleryItem]:
    """One slice of each of the first test patients of every class."""
    taken: Counter[str] = Counter()
    first_of = {record.group: record for record in reversed(evaluation.records)}
    chosen: list[Record] = []
    for record in sorted(first_of.values(), key=lambda record: record.group):
        if taken[record.label] < _SHOWN_A_CLASS:
            taken[record.label] += 1
            chosen.append(record)
    chosen.sort(key=lambda record: CLASSES.index(record.label))
    files = [manifest.file(record) for record in chosen]
    return [
        GalleryItem(_thumbnail(file), record.path, record.label, _image_only(outcome.result))
        for file, record, outcome in zip(files, chosen, outcomes(classifier, files), strict=True)
    ]


def classify(classifier: Classifier, arguments: Sequence[str]) -> list[GalleryItem]:
    """Classify the images of files, folders and patterns; failures are included."""
    gallery_items = []
    for argument in arguments:
        files = finder.find(argument)
        for outcome in outcomes(classifier, files.paths):
            answer = outcome.result
            image = _thumbnail(Path(answer.path)) if isinstance(answer, Prediction) else ""
            gallery_items.append(GalleryItem(image, answer.path, "", _image_only(answer)))
        # Series and members of archives are not shown.
        others = [source.path for source in files.inputs if not isinstance(source, File)]
        failures = [*files.failures, *((path, _volume(path)) for path in others)]
        gallery_items += [
            GalleryItem("", path, "", Failure.from_error(path, error)) for path, error in failures
        ]
    return gallery_items


def _image_only(answer: Result) -> Prediction | Failure:
    """``answer``; for a volume a failure that names the command for it."""
    if isinstance(answer, Prediction | Failure):
        return answer
    return Failure.from_error(answer.path, _volume(answer.path))


def _volume(path: str) -> VolumeError:
    return VolumeError(f"{path}: the demo accepts only single images; use `tumorlens predict`")


def write(folder: Path, outcome: DemoResult) -> Path:
    """Write ``index.html`` and ``demo.json``; return the page."""
    write_file(folder / MARK, json_bytes(as_dict(outcome)))
    evaluation = outcome.evaluation
    return html.write(
        folder / PAGE,
        "demo.html",
        outcome=outcome,
        synthetic=SYNTHETIC,
        classes=CLASSES,
        failure=Failure,
        confusion=html.embed_png(plots.confusion_png(evaluation.labels, evaluation.predicted)),
        accuracies=evaluation_report.comparison(evaluation),
        neighbour=neighbour(outcome),
        show=evaluation_report.show,
        patients=len({record.group for record in outcome.manifest}),
        counts=outcome.split.info.counts,
    )


def neighbour(outcome: DemoResult) -> tuple[float, float] | None:
    """Accuracy of the hash neighbour if patients are in both parts, and if they are not."""
    crossing = {c.name: c.accuracy for c in outcome.audit.controls}.get(HASH_NEIGHBOUR)
    apart = {c.name: c.accuracy["all"].value for c in outcome.evaluation.controls}.get(
        HASH_NEIGHBOUR
    )
    return None if crossing is None or apart is None else (crossing, apart)


def as_dict(outcome: DemoResult) -> dict[str, Any]:
    """All results, as JSON types."""
    evaluation = outcome.evaluation
    return {
        "tumorlens": __version__,
        "notice": RESEARCH_NOTICE,
        "synthetic": SYNTHETIC,
        "seed": outcome.seed,
        "images": len(outcome.manifest),
        "parts": outcome.split.info.counts,
        "audit": msgspec.to_builtins(outcome.audit.leaks),
        "bundle": {"name": evaluation.bundle.info.name, "trained_anew": outcome.trained_anew},
        "accuracy": {
            title: values["all"]._asdict()
            for title, values in evaluation_report.comparison(evaluation)
        },
        "pictures": [msgspec.to_builtins(image.answer) for image in outcome.images],
    }


def _thumbnail(file: Path) -> str:
    """The image as a data URI, its range stretched to 8 bits, its longer side under 384."""
    pixels = reader.read(file).pixels
    step = max(1, max(pixels.shape) // 384)
    pixels = pixels[::step, ::step]
    low, high = float(pixels.min()), float(pixels.max())
    scaled = (pixels - low) * (255.0 / max(high - low, 1e-12))
    return encode.data_uri(np.rint(scaled).astype(np.uint8))
