"""Compare the images of a site with those of training, by quantities that need no labels.

The bundle contains a summary of its validation images (``bundle.ReferenceStatistics``): quantiles
of some quantities, and mean and deviation of the network's features. Samples are compared by the
Kolmogorov-Smirnov distance, the largest difference of two cumulative distributions, in which each
patient counts once.

A shift means that the bundle's thresholds may be unsuitable, not that its answers are wrong. Images
without a shift may still be answered wrongly, so this does not replace labelled cases.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import ReferenceStatistics
from tumorlens.evaluation.small_samples import patient_weights
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import SEQUENCES

Floats = NDArray[np.float64]

LEVELS: Final = (
    0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99,
)  # fmt: skip
QUANTITIES: Final[Mapping[str, str]] = {
    "brightness": "mean brightness inside the head",
    "contrast": "deviation of brightness inside the head",
    "background": "share of the image that is dark",
    "sharpness": "mean difference of neighbouring pixels",
    "gate_score": "score of the gate (is it a head in MRI?)",
    "embedding_distance": "distance of the network's features from their mean in training",
}
SEQUENCE_MIX: Final = "sequence_mix"
SMALLEST_SHIFT: Final = 0.15
"""Distance below which no shift is reported, whatever the number of patients."""
_KOLMOGOROV: Final = 1.36
"""Divided by the square root of the number of patients: the 5% critical distance."""
_DARK: Final = 12
"""Gray value, of 255, up to which a pixel is dark."""
_HALF: Final = 0.5 - 1e-9
"""Half of the weights, with a tolerance for rounding."""
_DIGITS: Final = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Observed:
    """Quantities of N images that do not depend on labels."""

    logits: Floats
    """(N, C), before temperature."""
    embedding: Floats
    """(N, D)."""
    quantities: Mapping[str, Floats]
    """(N,) each, keyed by ``QUANTITIES``, without the distance, which needs a reference."""
    sequence_logits: Floats | None
    """(N, 5), of ``labels.SEQUENCES``; None without a sequence head."""

    def where(self, member: NDArray[np.bool_]) -> "Observed":
        """The quantities of some of the images."""
        return Observed(
            self.logits[member],
            self.embedding[member],
            {name: values[member] for name, values in self.quantities.items()},
            None if self.sequence_logits is None else self.sequence_logits[member],
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Shift:
    """One quantity here and in training."""

    name: str
    title: str
    reference: str
    """Its median in training, as text."""
    here: str
    outside: float | None
    """Share outside the middle 98% of training, patients weighted equally; None for the mix."""
    distance: float
    """0 to 1."""
    limit: float
    """Distance above which it is a shift, for this number of patients."""

    @property
    def differs(self) -> bool:
        """Whether it is a shift."""
        return self.distance > self.limit


def observe(
    classifier: Classifier, images: NDArray[np.uint8], gate_scores: Floats | None = None
) -> Observed:
    """Run preprocessed images (N, S, S) once; ``gate_scores`` (N,) are those of the gate."""
    outputs = classifier.forward(images)
    quantities = dict(zip(_INTENSITY, _intensities(images).T, strict=True))
    if gate_scores is not None:
        quantities["gate_score"] = gate_scores
    return Observed(
        outputs.logits.astype(np.float64),
        outputs.embedding.astype(np.float64),
        quantities,
        None if outputs.sequence is None else outputs.sequence.astype(np.float64),
    )


def joined(parts: Sequence[Observed]) -> Observed:
    """Concatenate several sets of images of one bundle."""
    first, *others = parts
    sequences = [part.sequence_logits for part in parts if part.sequence_logits is not None]
    return Observed(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.embedding for part in parts]),
        {
            name: np.concatenate([values, *(part.quantities[name] for part in others)])
            for name, values in first.quantities.items()
        },
        np.concatenate(sequences) if sequences else None,
    )


def summarize(
    observed: Observed, chosen_on: str, gate_scores: Floats | None = None
) -> ReferenceStatistics:
    """The summary of these images for a bundle; ``gate_scores`` as for ``observe``."""
    mean, deviation = observed.embedding.mean(axis=0), observed.embedding.std(axis=0)
    # A feature that is constant here must not give other images an infinite distance.
    deviation = np.maximum(deviation, max(1e-6, 1e-3 * float(deviation.max())))
    quantities = {
        **observed.quantities,
        **({} if gate_scores is None else {"gate_score": gate_scores}),
        "embedding_distance": _distances(observed.embedding, mean, deviation),
    }
    return ReferenceStatistics(
        images=len(observed.logits),
        chosen_on=chosen_on,
        levels=LEVELS,
        quantiles={
            name: _rounded(np.quantile(values, LEVELS)) for name, values in quantities.items()
        },
        sequences={}
        if observed.sequence_logits is None
        else dict(
            zip(SEQUENCES, _rounded(_sequence_shares(observed.sequence_logits)), strict=True)
        ),
        embedding_mean=_rounded(mean),
        embedding_deviation=_rounded(deviation),
    )


def drift(
    reference: ReferenceStatistics, observed: Observed, groups: Sequence[str]
) -> tuple[Shift, ...]:
    """Compare N images of the patients ``groups`` with the reference, for each quantity."""
    mean = np.array(reference.embedding_mean)
    distances = _distances(observed.embedding, mean, np.array(reference.embedding_deviation))
    quantities = {**observed.quantities, "embedding_distance": distances}
    weights = patient_weights(groups)
    weights = weights / weights.sum()
    limit = max(SMALLEST_SHIFT, _KOLMOGOROV / math.sqrt(len(set(groups))))
    rows = [
        _shift(name, quantities[name], weights, reference, limit)
        for name in QUANTITIES
        if name in quantities and name in reference.quantiles
    ]
    if reference.sequences and observed.sequence_logits is not None:
        rows.append(_mix(_sequence_shares(observed.sequence_logits, weights), reference, limit))
    return tuple(rows)


def as_dict(shift: Shift) -> dict[str, Any]:
    """JSON types."""
    return {
        "name": shift.name,
        "reference": shift.reference,
        "here": shift.here,
        "outside": None if shift.outside is None else round(shift.outside, _DIGITS),
        "distance": round(shift.distance, _DIGITS),
        "limit": round(shift.limit, _DIGITS),
        "differs": shift.differs,
    }


_INTENSITY: Final = ("brightness", "contrast", "background", "sharpness")


def _intensities(images: NDArray[np.uint8]) -> Floats:
    """(N, 4): the quantities of ``_INTENSITY`` for preprocessed images."""
    rows = []
    for image in images:
        pixels = np.asarray(image, dtype=np.float64)
        inside = pixels[pixels > _DARK]
        steps = np.abs(np.diff(pixels, axis=0)).mean() + np.abs(np.diff(pixels, axis=1)).mean()
        has_tissue = inside.size > 0
        rows.append(
            (
                float(inside.mean()) if has_tissue else 0.0,
                float(inside.std()) if has_tissue else 0.0,
                1.0 - inside.size / pixels.size,
                float(steps) / 2,
            )
        )
    return np.array(rows, dtype=np.float64).reshape(-1, len(_INTENSITY))


def _distances(embedding: Floats, mean: Floats, deviation: Floats) -> Floats:
    """(N,): root mean square of the standardised features."""
    return np.asarray(np.sqrt((((embedding - mean) / deviation) ** 2).mean(axis=1)))


def _shift(
    name: str, values: Floats, weights: Floats, reference: ReferenceStatistics, limit: float
) -> Shift:
    known = np.array(reference.quantiles[name])
    low, high = known[0], known[-1]
    middle = float(np.interp(0.5, reference.levels, known))
    return Shift(
        name,
        QUANTITIES[name],
        f"{middle:.3g}",
        f"{np.quantile(values, _HALF, weights=weights, method='inverted_cdf'):.3g}",
        float(weights[(values < low) | (values > high)].sum()),
        kolmogorov_smirnov(values, weights, np.array(reference.levels), known),
        limit,
    )


def kolmogorov_smirnov(values: Floats, weights: Floats, levels: Floats, known: Floats) -> float:
    """Distance of weighted values (N,) to a distribution given by its quantiles (K,).

    ``weights`` sum to 1. Computed only at the K quantiles, it is at most the true distance.
    """
    largest = 0.0
    for value in np.unique(known):
        own = levels[known == value]
        below, up_to = weights[values < value].sum(), weights[values <= value].sum()
        # If quantiles are equal, the reference jumps there: it is at least the highest of their
        # levels at the value, and at most the lowest just below it.
        largest = max(largest, float(own.max() - up_to), float(below - own.min()))
    return min(1.0, largest)


def _sequence_shares(sequence_logits: Floats, weights: Floats | None = None) -> Floats:
    """(5,): share of the images for which each of ``SEQUENCES`` is the most probable."""
    likeliest = sequence_logits.argmax(axis=1)
    counts = np.bincount(likeliest, weights, minlength=len(SEQUENCES))
    return np.asarray(counts / counts.sum())


def _mix(here: Floats, reference: ReferenceStatistics, limit: float) -> Shift:
    known = np.array([reference.sequences.get(name, 0.0) for name in SEQUENCES])
    return Shift(
        SEQUENCE_MIX,
        "mix of sequences, as the network predicts them",
        _in_words(known),
        _in_words(here),
        None,
        float(np.abs(here - known).max()),
        limit,
    )


def _in_words(values: Floats) -> str:
    pairs = zip(SEQUENCES, values, strict=True)
    return ", ".join(f"{name} {value:.0%}" for name, value in pairs if value >= 0.005)


def _rounded(values: Floats) -> tuple[float, ...]:
    """Five significant digits: enough to compare with, and a short file."""
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)
