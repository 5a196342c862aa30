"""``tumorlens.evaluate``: score a bundle on a split, with confidence intervals."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta

from tumorlens.api.arguments import checked
from tumorlens.api.data import Data, folder_of, manifest_of
from tumorlens.api.model import Model, load
from tumorlens.config import Seed
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import TEST, Split
from tumorlens.evaluation import evaluator, metrics, record
from tumorlens.evaluation.evaluator import Evaluation
from tumorlens.evaluation.folds import one_split, split_by_name
from tumorlens.evaluation.resampling import Estimate, Sampling
from tumorlens.reporting import evaluation_report as reports
from tumorlens.reporting.html import render

_SHOWN: Final = (
    "macro_f1", "accuracy", "macro_auroc", "missed_tumor_rate", "false_alarm_rate",
    "expected_calibration_error",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Scores:
    """The results of an evaluation; a notebook displays them as a table."""

    evaluation: Evaluation
    """Every answer and every number."""
    _manifest: Manifest

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        """Value and 95% interval, from resampling groups, for each metric."""
        return self.evaluation.estimates

    @property
    def warnings(self) -> list[str]:
        """Important caveats, such as scored images that the bundle was trained on."""
        return [warning.text for warning in self.evaluation.warnings]

    def to_dict(self) -> dict[str, Any]:
        """The contents of ``evaluation.json``."""
        return record.as_dict(self.evaluation)

    @checked
    def write(self, folder: str | Path) -> Path:
        """Write the report of ``tumorlens evaluate``; return its page."""
        return reports.write(Path(folder), self.evaluation, self._manifest)

    def __repr__(self) -> str:
        rates = ", ".join(f"{title.lower()} {value}" for title, value in self._rows()[:3])
        whole = self.evaluation.measured[0]
        return f"<Scores of {whole.images} images in {whole.groups} groups: {rates}>"

    def _repr_html_(self) -> str:
        whole = self.evaluation.measured[0]
        return render(
            "scores.html",
            title=self.evaluation.title,
            split=self.evaluation.plan.split.info.name,
            whole=whole,
            rows=self._rows(),
            controls=[
                (
                    control.description,
                    reports.show("accuracy", control.accuracy[whole.subset.name]),
                )
                for control in self.evaluation.controls
            ],
            warnings=self.warnings,
        )

    def _rows(self) -> list[tuple[str, str]]:
        classes = self.evaluation.classes
        titles = reports.titles(classes)
        return [
            (titles[name], reports.show(name, self.estimates[name]))
            for name in metrics.asked(_SHOWN, classes)
        ]


@checked
def evaluate(
    model: Model | str | Path,
    data: Data,
    split: str | Path | Split,
    *,
    part: str = TEST,
    report: str | Path | None = None,
    controls: bool = True,
    resamples: Annotated[int, Meta(ge=100)] = 2000,
    seed: Seed = 0,
) -> Scores:
    """Score a bundle on one part of a split, without abstention, like ``tumorlens evaluate``.

    ``split`` may be ``all``: every image is in the test part. ``model`` is a loaded model, which
    keeps its device and threads, or any argument of ``tumorlens.load``. ``report`` is a folder for
    the full report. ``controls`` also scores two classifiers that do not look at tumours, if the
    split has a train part. Raises ``BundleError``, ``ManifestError``, ``SplitError``,
    ``EvaluationError``.
    """
    loaded = model if isinstance(model, Model) else load(model)
    classifier = loaded.classifier.without_abstention()
    manifest = manifest_of(data)
    chosen = split if isinstance(split, Split) else split_by_name(split, manifest, folder_of(data))
    manifest = chosen.grouped(manifest)
    plan = one_split(classifier, chosen, manifest, part)
    evaluation = evaluator.evaluate(
        plan,
        manifest,
        part=part,
        with_controls=controls,
        sampling=Sampling(resamples, seed),
    )
    scores = Scores(evaluation, manifest)
    if report is not None:
        scores.write(report)
    return scores
