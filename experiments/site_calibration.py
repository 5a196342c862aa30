r"""How many local cases it takes to calibrate a network to a site that it never saw.

    python -m experiments.site_calibration --bundle runs/held-out/brats/student/bundle \
        --data more.csv

The network is that rotation of `experiments.held_out_families` that was trained without BraTS and
ds002748; images of these families serve as sites. Patients are drawn at random, the bundle is
calibrated to them (`tumorlens calibrate BUNDLE --data`), and all other patients of the site are
scored: how many of the prediction sets contain the true class, how large they are, how many images
are answered, and how many of the answers are wrong. Writes
experiments/records/site_calibration.json and the figure docs/figures/site-calibration.png.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from benchmarks import options as option_parser
from numpy.typing import NDArray

from experiments import shared
from tumorlens import bundle
from tumorlens.bundle import BundleInfo
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.errors import EvaluationError
from tumorlens.evaluation.labelled_cases import LabelledCases
from tumorlens.evaluation.metrics import correct_of
from tumorlens.evaluation.site_calibration import fit_site
from tumorlens.evaluation.site_performance import NAMES, performance
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import ABSTAINED, DETECTED
from tumorlens.labels import ANSWERABLE, NO_TUMOR
from tumorlens.reporting import canvas

SITES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "BraTS and ds002748": (("brats", "ds002748"), ()),
    "BraTS and ds002748, T1 only": (("brats", "ds002748"), ("T1",)),
}
"""Families of a site, and its sequences; none: all."""
CASES: Final = (10, 30, 100, 300)
LEAST_TESTED: Final = 20
"""Patients that must be left to test on."""
_RECORD: Final = Path("experiments/records/site_calibration.json")
_FIGURE: Final = Path("docs/figures/site-calibration.png")


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, fit, score; write record and figure."""
    parser = option_parser.parser(__doc__, cache=True, output=_RECORD)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="manifest of `more`")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--picture", type=Path, default=_FIGURE)
    options = parser.parse_args(arguments)
    loaded = bundle.load(options.bundle.resolve())
    manifest = Manifest.load(options.data)
    sites = [
        {"site": name, **_site(loaded, manifest, options, *families)}
        for name, families in SITES.items()
    ]
    record = {
        "experiment": "site_calibration",
        "bundle": {"name": loaded.info.name, "model_sha256": loaded.sha256},
        "data_sha256": manifest.sha256,
        "draws": options.draws,
        "stated_coverage": 0.95,
        "sites": sites,
    }
    option_parser.save(options.output, record)
    options.picture.write_bytes(draw(sites))
    for site in sites:
        rows = [{"patients": 0, **site["uncalibrated"]}, *site["calibrated"]]
        option_parser.print_rows(
            f"{site['site']}: {site['patients']} patients",
            [{k: v for k, v in row.items() if not k.endswith("_sd")} for row in rows],
        )


def _site(
    loaded: bundle.Bundle,
    manifest: Manifest,
    options: argparse.Namespace,
    families: Sequence[str],
    sequences: Sequence[str],
) -> dict[str, Any]:
    chosen = chosen_records(manifest, families, sequences)
    records = [manifest.records[i] for i in chosen]
    counts = Counter(record.label for record in records)
    classifier = Classifier(loaded, threads=1, answer_all=True)
    cases = LabelledCases(
        shared.logits_of(classifier, manifest, chosen, options.cache),
        correct_of([record.label for record in records], loaded.info.classes),
        tuple(record.unit for record in records),
        # The network has no thresholds by sequence.
        (None,) * len(records),
    )
    return {
        "patients": cases.patients,
        "images": len(records),
        "images_by_class": {name: counts[name] for name in ANSWERABLE if counts[name]},
        "uncalibrated": _rounded(asdict(performance(_as_it_was(loaded.info), cases))),
        "calibrated": [
            rotate(loaded.info, cases, count, options.draws)
            for count in CASES
            if cases.patients - count >= LEAST_TESTED
        ],
    }


def _as_it_was(info: BundleInfo) -> BundleInfo:
    """When it was bundled, held-back answers came with a set by the thresholds of all others."""
    sets = info.prediction_sets
    if sets is None:
        return info
    same = dict.fromkeys((DETECTED, ABSTAINED), sets.thresholds)
    sets = msgspec.structs.replace(sets, by_decision=same | sets.by_decision)
    return msgspec.structs.replace(info, prediction_sets=sets)


def chosen_records(
    manifest: Manifest, families: Sequence[str], sequences: Sequence[str]
) -> list[int]:
    """Images of a site: of its families and sequences, but tumour-free slices of tumour patients.

    Swelling and shift reach into those, so that what is right for them is not known.
    """
    with_tumors = {r.source for r in manifest if r.label in ANSWERABLE and r.label != NO_TUMOR}

    def belongs(record: Record) -> bool:
        doubtful = record.label == NO_TUMOR and record.patient and record.source in with_tumors
        return (
            record.label in ANSWERABLE
            and not doubtful
            and (record.family or record.source) in families
            and (not sequences or record.sequence in sequences)
        )

    return [i for i, record in enumerate(manifest) if belongs(record)]


def rotate(info: BundleInfo, cases: LabelledCases, count: int, draws: int) -> dict[str, Any]:
    """Calibrate to ``count`` patients drawn at random and score all others, ``draws`` times."""
    patients, random = sorted(set(cases.groups)), np.random.default_rng(count)
    scores: list[dict[str, float]] = []
    refused = without_sets = 0
    for _ in range(draws):
        drawn = set(random.permutation(patients)[:count])
        member = np.array([group in drawn for group in cases.groups])
        try:
            fit = fit_site(info, cases.where(member))
        except EvaluationError:
            refused += 1
            continue
        without_sets += fit.prediction_sets is None
        scores.append(asdict(performance(fit.applied(info), cases.where(~member))))
    rows = {name: np.array([score[name] for score in scores]) for name in NAMES}
    means = {name: _mean(values) for name, values in rows.items()}
    deviations = {f"{name}_sd": float(np.nanstd(values)) if np.isfinite(values).any() else np.nan
                  for name, values in rows.items()}  # fmt: skip
    return {
        "patients": count,
        **_rounded(means | deviations),
        "refused": refused,
        "without_sets": without_sets,
    }


def draw(sites: Sequence[Mapping[str, Any]]) -> bytes:
    """Coverage of the sets and share of images answered, against the patients calibrated to."""
    titles = {
        "coverage": "Sets that contain the true class",
        "coverage_of_findings": "The same, of tumour images",
        "answered": "Tumour or no tumour reported",
    }
    with canvas.figure(13.0, 4.4) as (figure, png):
        for axes, (name, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
            for site, (color, style) in zip(sites, canvas.STYLES, strict=False):
                rows = [row for row in site["calibrated"] if row[name] is not None]
                positions = [CASES.index(row["patients"]) + 1 for row in rows]
                values = [100 * row[name] for row in rows]
                spread = [100 * row[f"{name}_sd"] for row in rows]
                before = 100 * site["uncalibrated"][name]
                axes.errorbar(positions, values, spread, color=color, ls=style, marker="o", ms=4,
                              capsize=3, label=site["site"])  # fmt: skip
                axes.plot([0], [before], marker="D", ms=6, color=color)
                axes.plot([0, positions[0]], [before, values[0]], color=color, lw=0.6, ls=":")
            axes.set_xticks(range(len(CASES) + 1), ["as it is", *map(str, CASES)])
            axes.set(xlabel="patients calibrated to", ylabel="%", title=title)
            axes.grid(True, linewidth=0.6)
            axes.set_axisbelow(True)
            if name != "answered":
                axes.set_ylim(50, 100.5)
                axes.axhline(95, color=canvas.INK, linewidth=1)
                axes.annotate("stated: 95%", (0, 95), (2, 4), textcoords="offset points")
            else:
                axes.set_ylim(0, 100)
                axes.legend(loc="upper left", fontsize=9)
    return png.getvalue()


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def _rounded(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if value != value else round(value, 4) for name, value in values.items()}


if __name__ == "__main__":
    main()
