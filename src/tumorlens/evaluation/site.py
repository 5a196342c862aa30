"""Calibrate a bundle to a site: read local cases, fit, measure drift, make the new bundle."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from itertools import compress

import msgspec
import numpy as np

from tumorlens.bundle import Bundle, BundleInfo, SiteCalibration
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.errors import DatasetError, EvaluationError, InputError
from tumorlens.evaluation import drift
from tumorlens.evaluation.conformal import COVERAGE
from tumorlens.evaluation.drift import Observed, Shift
from tumorlens.evaluation.labelled_cases import LabelledCases
from tumorlens.evaluation.metrics import correct_of
from tumorlens.evaluation.protocols import require_known
from tumorlens.evaluation.site_calibration import SiteFit, fit_site
from tumorlens.evaluation.site_performance import Performance, cross_validated, performance
from tumorlens.evaluation.training_images import TrainingImages
from tumorlens.imaging import reader
from tumorlens.inference.classifier import Classifier, PreparedImage
from tumorlens.inference.sequence import known_sequence, predicted_sequence, stated_sequence
from tumorlens.labels import UNANSWERABLE
from tumorlens.progress import Progress, reported


@dataclasses.dataclass(frozen=True, slots=True)
class LocalCases:
    """The images of a site, with the outputs of the bundle."""

    records: tuple[Record, ...]
    observed: Observed
    rejected: int
    """Number of further images that the gate rejects, which are not used."""
    no_class: int
    """Number of further images of a disease that is none of the classes."""
    repeated: int
    """Number of further rows that repeat an image."""
    sequences: tuple[str | None, ...]
    """The sequence of each image, if it is known from the network or the header."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The patient of each image; the image itself if the patient is not known."""
        return tuple(record.unit for record in self.records)


@dataclasses.dataclass(frozen=True, slots=True)
class SiteResult:
    """A bundle for a site, and its measured performance."""

    parent: Bundle
    bundle: Bundle
    """Not yet saved."""
    cases: LocalCases
    fit: SiteFit
    before: Performance
    """Performance of the parent on these cases."""
    after: Performance | None
    """Cross-validated over patients; None for too few cases."""
    shifts: tuple[Shift, ...] | None
    """None if the parent has no reference."""

    @property
    def site(self) -> SiteCalibration:
        """The record of the calibration in the new bundle."""
        assert self.bundle.info.site is not None
        return self.bundle.info.site


def read_cases(
    classifier: Classifier,
    manifest: Manifest,
    progress: Progress | None = None,
) -> LocalCases:
    """Read the labelled images of ``manifest`` and run the bundle of ``classifier`` on them.

    Nothing is written to disk. Raises ``DatasetError`` for the first file that cannot be read or is
    a copy of one with another class, and if no usable image is left.
    """
    require_known([r.label for r in manifest], classifier.bundle.info.classes)
    answerable = [r for r in manifest if r.label not in UNANSWERABLE]
    usable = _each_once(answerable)
    prepared: list[PreparedImage] = []
    for record in reported(usable, len(usable), progress):
        try:
            prepared.append(classifier.prepare(reader.read(manifest.file(record))))
        except InputError as error:
            raise DatasetError(f"cannot calibrate on {error}") from error
    if not prepared:
        raise DatasetError("the manifest contains no labelled image to calibrate on")
    scores = classifier.gate_scores(prepared)
    accepted = np.array(
        [not said for said in classifier.rejections(prepared, scores)], dtype=np.bool_
    )
    if not accepted.any():
        raise DatasetError(
            f"bundle {classifier.bundle.info.name} rejects all {len(prepared)} images as not head "
            "MRI; nothing can be calibrated"
        )
    observed = drift.observe(classifier, np.stack([image.pixels for image in prepared]), scores)
    return LocalCases(
        tuple(compress(usable, accepted)),
        observed.where(accepted),
        int((~accepted).sum()),
        len(manifest) - len(answerable),
        len(answerable) - len(usable),
        tuple(compress(_sequences(observed, prepared), accepted)),
    )


def _each_once(records: Sequence[Record]) -> list[Record]:
    """The first record of each file; copies are left out."""
    first: dict[str, Record] = {}
    for record in records:
        known = first.setdefault(record.sha256, record)
        if known.label != record.label:
            raise DatasetError(
                f"{known.path} and {record.path} are the same image, but labelled {known.label} "
                f"and {record.label}"
            )
    return list(first.values())


def require_unseen(parent: Bundle, records: Sequence[Record]) -> None:
    """Raise ``EvaluationError`` if the bundle was trained on some of the images."""
    trained = TrainingImages.from_training(parent.info.training)
    shared = 0 if trained is None else sum(record in trained for record in records)
    if shared:
        raise EvaluationError(
            f"bundle {parent.info.name} was trained on {shared} of these {len(records)} images, "
            "so it is more certain of them than of new ones. Leave them out of the manifest; after "
            "training, calibrate with --split and without --output"
        )


def calibrate_to_site(
    parent: Bundle,
    cases: LocalCases,
    *,
    name: str,
    data_sha256: str,
    coverage: float = COVERAGE,
) -> SiteResult:
    """Fit ``parent`` to ``cases``; raise ``EvaluationError`` if the network is useless here.

    The result is a bundle called ``name`` with the parent's network and gate.
    """
    labels = [record.label for record in cases.records]
    labelled = LabelledCases(
        cases.observed.logits,
        correct_of(labels, parent.info.classes),
        cases.groups,
        cases.sequences,
    )
    fit = fit_site(parent.info, labelled, coverage)
    pairs = zip(labels, cases.groups, strict=True)
    site = SiteCalibration(
        parent_name=parent.info.name,
        parent_version=parent.info.version,
        parent_sha256=parent.info_sha256,
        data_sha256=data_sha256,
        patients=labelled.patients,
        images=len(labels),
        by_class=dict(sorted(Counter(label for label, _ in set(pairs)).items())),
        seen_images=_calibrated_on(parent, cases.records).listed,
        fitted=fit.fitted,
        kept=fit.unfitted,
    )
    reference = parent.info.reference
    return SiteResult(
        parent,
        dataclasses.replace(parent, info=_site_info(parent.info, fit, site, name), info_sha256=""),
        cases,
        fit,
        performance(parent.info, labelled),
        cross_validated(parent.info, labelled, coverage),
        drift.drift(reference, cases.observed, cases.groups) if reference else None,
    )


def _site_info(info: BundleInfo, fit: SiteFit, site: SiteCalibration, name: str) -> BundleInfo:
    on = f"{site.patients} patients ({site.images} images) of one site, calibrated from {info.name}"
    done = fit.applied(info)
    sets = done.prediction_sets
    return msgspec.structs.replace(
        done,
        name=name,
        decision=msgspec.structs.replace(done.decision, chosen_on=on),
        prediction_sets=None if sets is None else msgspec.structs.replace(sets, chosen_on=on),
        site=site,
    )


def _calibrated_on(parent: Bundle, records: Sequence[Record]) -> TrainingImages:
    """These images, and those that the parent was already calibrated on."""
    images = TrainingImages.from_records(records)
    site = parent.info.site
    return images | TrainingImages.from_list(site.seen_images) if site else images


def _sequences(observed: Observed, prepared: Sequence[PreparedImage]) -> list[str | None]:
    """The known sequence of each image."""
    rows = observed.sequence_logits
    predicted = [None] * len(prepared) if rows is None else [predicted_sequence(r) for r in rows]
    stated = [stated_sequence(image.facts) for image in prepared]
    return [known_sequence(p, s) for p, s in zip(predicted, stated, strict=True)]
