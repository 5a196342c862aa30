"""The report of a calibration to a site: ``calibration.html`` and ``calibration.json``."""

import math
from pathlib import Path
from typing import Any, Final

import msgspec

from tumorlens import __version__
from tumorlens.datasets.manifest import OWN_GROUP
from tumorlens.evaluation import drift
from tumorlens.evaluation.resampling import plain
from tumorlens.evaluation.site import SiteResult
from tumorlens.evaluation.site_performance import FOLDS, NAMES, Performance
from tumorlens.evaluation.training_images import TrainingImages
from tumorlens.files import json_bytes, write_file
from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.reporting import html
from tumorlens.text import counted, percent

PAGE: Final = "calibration.html"
RECORD: Final = "calibration.json"
NO_REFERENCE: Final = (
    "No drift report: the bundle has no summary of its training images. It gets one if it is "
    "calibrated after training with this version."
)
_TITLES: Final = {
    "classified": "classified (kind named, or no {finding})",
    "answered": "{finding} or no {finding} reported",
    "accuracy": "correct, of those classified",
    "missed_tumor_rate": "{findings} reported as no {finding}",
    "false_alarm_rate": "images without {a_finding} reported as {a_finding}",
    "coverage": "sets that contain the true class",
    "coverage_of_findings": "the same, for images with {a_finding}",
    "mean_size": "classes in a set",
}


def write(folder: Path, site_result: SiteResult) -> Path:
    """Write both files into the new bundle's folder; return the page."""
    write_file(folder / RECORD, json_bytes(as_dict(site_result)))
    return html.write(
        folder / PAGE,
        "calibration.html",
        site_result=site_result,
        rows=performance_rows(site_result),
        remarks=remarks(site_result),
        no_reference=NO_REFERENCE,
        folds=FOLDS,
    )


def performance_rows(site_result: SiteResult) -> list[tuple[str, str, str]]:
    """Title, value before and value after calibration of each measure."""
    classes = site_result.bundle.info.classes
    words = {
        "finding": classes.finding,
        "findings": classes.findings,
        "a_finding": classes.a_finding,
    }
    return [
        (
            _TITLES[name].format_map(words),
            _shown(name, site_result.before),
            _shown(name, site_result.after),
        )
        for name in NAMES
    ]


def remarks(site_result: SiteResult) -> list[str]:
    """Further remarks on the cases."""
    cases, said = site_result.cases, []
    if TrainingImages.from_training(site_result.parent.info.training) is None:
        said.append(
            f"{site_result.parent.info.name} does not list the images that trained it, so it "
            "cannot be shown that these images are new to it. If it was trained on them, the "
            "figures here are too optimistic."
        )
    if cases.rejected:
        said.append(f"Not used: {counted(cases.rejected, 'image')} that the gate rejected.")
    if cases.no_class:
        said.append(f"Not used: {counted(cases.no_class, 'image')} of none of the classes.")
    if cases.repeated:
        said.append(f"Not used: {counted(cases.repeated, 'row')} with an image of another row.")
    unknown = sum(group.startswith(OWN_GROUP) for group in cases.groups)
    if unknown:
        said.append(
            f"The patient of {unknown} of {len(cases.groups)} images is not known (columns patient "
            "and group), so each counts as a separate patient. If some are of the same patient, "
            "the guarantees above are weaker than stated."
        )
    if site_result.after is None:
        said.append("Too few patients to cross-validate.")
    return said


def as_dict(site_result: SiteResult) -> dict[str, Any]:
    """JSON types; undefined is null."""
    site = site_result.site
    return {
        "tumorlens": __version__,
        "notice": RESEARCH_NOTICE,
        "name": site_result.bundle.info.name,
        "parent": {
            "name": site.parent_name,
            "version": site.parent_version,
            "sha256": site.parent_sha256,
        },
        "data_sha256": site.data_sha256,
        "patients": site.patients,
        "images": site.images,
        "patients_by_class": site.by_class,
        "rejected": site_result.cases.rejected,
        "temperature": site_result.fit.temperature,
        "decision": msgspec.to_builtins(site_result.fit.decision),
        "prediction_sets": msgspec.to_builtins(site_result.fit.prediction_sets),
        "fitted": list(site_result.fit.fitted),
        "kept": list(site_result.fit.unfitted),
        "before": _performance(site_result.before),
        "after_cross_validated": _performance(site_result.after),
        "drift": None
        if site_result.shifts is None
        else [drift.as_dict(shift) for shift in site_result.shifts],
    }


def _performance(performance: Performance | None) -> dict[str, float | None] | None:
    if performance is None:
        return None
    return {name: plain(float(getattr(performance, name))) for name in NAMES}


def _shown(name: str, performance: Performance | None) -> str:
    value = math.nan if performance is None else float(getattr(performance, name))
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if name == "mean_size" else percent(value, 1)
