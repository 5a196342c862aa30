"""Probe: predict the source of an image from the network's features with a linear classifier.

After Alain and Bengio, "Understanding intermediate layers using linear classifier probes" (2016).
It is done within one class, so that sources cannot be predicted from classes, and over sources that
have both tumours and healthy heads, with equal weights. Cross-validated by group.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tumorlens.evaluation import metrics, resampling
from tumorlens.evaluation.probes.data import ProbeData
from tumorlens.evaluation.probes.result import ProbeResult, Rate
from tumorlens.evaluation.resampling import Sampling

FOLDS: Final = 5
MIN_IMAGES: Final = 20
"""Fewest images of a source within a stratum."""
_STRENGTH: Final = 0.1
"""Inverse strength of the penalty; features are standardised."""

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class StratumAnswers:
    """Cross-validated answers of the probe for K images of one stratum."""

    stratum: str
    cells: NDArray[np.str_]
    """(K,) cells of equal weight: the source, or the source and whether there is a tumour."""
    correct: NDArray[np.bool_]
    """(K,) whether the probe predicted the source correctly."""
    sources: tuple[str, ...]
    groups: tuple[str, ...]


def find(folds: Sequence[ProbeData], sampling: Sampling) -> ProbeResult:
    """Pool the probe's answers of all folds, stratum by stratum."""
    answers = [part for data in folds for part in linear_probe(data)]
    rates = [
        _rate(name, [part for part in answers if part.stratum == name], sampling)
        for name in dict.fromkeys(part.stratum for part in answers)
    ]
    return ProbeResult(
        "source",
        "Source in the embedding",
        "A linear classifier is trained to predict the source from the network's pooled features, "
        "by cross-validation over groups. Balanced accuracy: every source has the same weight. "
        + (
            "What it predicts within a class is what the network keeps about the scanner and the "
            "hospital."
            if rates
            else f"Not run: no two sources of a class have {MIN_IMAGES} images each here."
        ),
        tuple(rates),
    )


def linear_probe(data: ProbeData) -> list[StratumAnswers]:
    """Probe each class that has several sources, then sources with and without tumours."""
    features = data.embeddings().astype(np.float64) if len(data) else np.zeros((0, 1))
    sources = np.array([record.source for record in data.records], dtype=np.str_)
    groups = np.array(data.groups, dtype=np.str_)
    classes, healthy = data.classes, data.healthy
    both = np.char.add(sources, np.where(healthy, " healthy", f" {classes.finding}"))
    strata = [
        (f"within {classes.display_name(name)}", data.labels == k, sources)
        for k, name in enumerate(classes.answerable)
    ]
    # Without a class for "no finding" no source is complete.
    balanced = f"{classes.finding} and healthy balanced"
    strata.append((balanced, _complete(sources, healthy), both))
    answers = []
    for name, member, cells in strata:
        rows = np.flatnonzero(member & _frequent(cells, member))
        answer = _probe_stratum(name, features[rows], sources[rows], cells[rows], groups[rows])
        if answer is not None:
            answers.append(answer)
    return answers


def _frequent(cells: NDArray[np.str_], member: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) whether the image's cell has enough members."""
    names, counts = np.unique(cells[member], return_counts=True)
    return np.isin(cells, names[counts >= MIN_IMAGES])


def _complete(sources: NDArray[np.str_], healthy: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) whether the image's source has enough images with and without a finding."""
    complete = [
        name
        for name in np.unique(sources)
        if min((healthy & (sources == name)).sum(), (~healthy & (sources == name)).sum())
        >= MIN_IMAGES
    ]
    return np.isin(sources, complete)


def _probe_stratum(
    stratum: str,
    features: Floats,
    sources: NDArray[np.str_],
    cells: NDArray[np.str_],
    groups: NDArray[np.str_],
) -> StratumAnswers | None:
    names = np.unique(sources)
    held = {name: len(np.unique(groups[sources == name])) for name in names}
    if len(names) < 2 or min(held.values()) < FOLDS:
        return None
    correct = np.zeros(len(sources), dtype=np.bool_)
    _, member, counts = np.unique(cells, return_inverse=True, return_counts=True)
    weights = len(cells) / counts[member]
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for train, test in folds.split(features, cells, groups):
        if len(np.unique(sources[train])) < 2:
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(C=_STRENGTH, max_iter=2000))
        model.fit(
            features[train], sources[train],
            logisticregression__sample_weight=weights[train] / weights[train].mean(),
        )  # fmt: skip
        correct[test] = model.predict(features[test]) == sources[test]
    return StratumAnswers(stratum, cells, correct, tuple(names.tolist()), tuple(groups.tolist()))


def _rate(stratum: str, answers: Sequence[StratumAnswers], sampling: Sampling) -> Rate:
    cells = np.concatenate([part.cells for part in answers])
    correct = np.concatenate([part.correct for part in answers]).astype(np.float64)
    groups = [name for part in answers for name in part.groups]
    member = (cells[:, np.newaxis] == np.unique(cells)).astype(np.float64)

    def balanced(weights: Floats) -> Floats:
        recall = metrics.ratio((weights * correct) @ member, weights @ member)
        return metrics.mean_of_defined(recall)[:, np.newaxis]

    estimate = resampling.bootstrap(balanced, groups, sampling)[0]
    chance = 1 / max(len(part.sources) for part in answers)
    names = " vs ".join(sorted({name for part in answers for name in part.sources}))
    return Rate(
        stratum.replace(" ", "_"), f"{stratum}: {names}", f"chance, {chance:.0%}", len(cells),
        len(set(groups)), estimate,
    )  # fmt: skip
