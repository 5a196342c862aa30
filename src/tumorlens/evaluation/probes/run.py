"""All probes, over all folds of an evaluation."""

from collections.abc import Sequence
from typing import Final

from tumorlens.datasets.manifest import Manifest
from tumorlens.evaluation.folds import Fold
from tumorlens.evaluation.probes import background, erased, frame, pasted, source
from tumorlens.evaluation.probes.data import join, load
from tumorlens.evaluation.probes.result import Probe, ProbeResult, ask
from tumorlens.evaluation.resampling import Sampling
from tumorlens.progress import Progress

PROBES: Final[tuple[Probe, ...]] = (frame.PROBE, background.PROBE, erased.PROBE, pasted.PROBE)


def probe(
    folds: Sequence[Fold],
    manifest: Manifest,
    part: str,
    sampling: Sampling,
    progress: Progress | None = None,
    beside: Sequence[tuple[Manifest, Sequence[str]]] = (),
) -> tuple[ProbeResult, ...]:
    """Run every probe for each fold's bundle, on the images that it is scored on.

    Probes that need "no finding" or outlines are not run if there are none.

    The source probe also uses the images of ``part`` of the manifests ``beside``, each with its
    parts: with tumours of a source of healthy heads, source and class can be distinguished.
    """
    loaded = [load(fold.classifier, manifest, fold.parts, part, progress) for fold in folds]
    loaded = [data for data in loaded if len(data)]
    results = [ask(question, loaded, sampling) for question in PROBES]
    joined = [
        join([data, *(load(data.classifier, m, parts, part, progress) for m, parts in beside)])
        for data in loaded
    ]
    return (*results, source.find(joined, sampling))
