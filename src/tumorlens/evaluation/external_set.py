"""Check that an external set has no image in common with the training images.

Several public sets contain cropped and rotated images of other sets. Before a bundle is scored on
an external set, every image of it is compared with every image of the manifests that the bundle was
trained on, by the near-duplicate search of the audit.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np

from tumorlens.datasets import duplicates
from tumorlens.datasets.fingerprints import ORIENTATIONS, fingerprint
from tumorlens.datasets.manifest import OWN_GROUP, Manifest, join
from tumorlens.errors import EvaluationError
from tumorlens.evaluation.folds import data_hashes
from tumorlens.inference.classifier import Classifier
from tumorlens.progress import Progress
from tumorlens.text import is_or_are, listed

_NAMED: Final = 5


@dataclasses.dataclass(frozen=True, slots=True)
class SharedImage:
    """A scored image and a training image that are the same image, or of the same patient."""

    scored: str
    trained: str
    how: str
    """``same bytes``, ``same pixels``, ``same patient or cluster``, or ``near-duplicate`` with the
    orientation."""


def require_external(
    classifier: Classifier,
    manifest: Manifest,
    against: Sequence[Manifest],
    progress: Progress | None = None,
) -> None:
    """Raise ``EvaluationError`` unless ``manifest`` is known to be new to the bundle.

    ``against`` must contain every manifest that the bundle was trained on, by its record. No image
    or patient of them may be in ``manifest``; the error names the pairs.
    """
    _require_all(classifier, against)
    shared = shared_images(manifest, join(against), progress)
    if not shared:
        return
    named = listed([f"{k.scored} and {k.trained} ({k.how})" for k in shared], _NAMED)
    images = len({k.scored for k in shared})
    raise EvaluationError(
        f"not an external set: {images} of its {len(manifest)} images, or their patients, are "
        f"among those that the bundle was trained on: {named}. Remove them and import the "
        "set again"
    )


def shared_images(
    scored: Manifest, trained: Manifest, progress: Progress | None = None
) -> list[SharedImage]:
    """Find every pair across the two with equal bytes, pixels or group, and near-duplicates.

    Only the strongest reason is given for a pair. For reasons other than near-duplicates, there is
    at most one pair for each image. Reads every image.
    """
    both = join([scored, trained])
    prints = fingerprint(both, progress)
    border = len(scored)
    # Without known group, equal images are found by their bytes.
    groups = ["" if r.group.startswith(OWN_GROUP) else r.group for r in both]
    reasons: dict[tuple[int, int], str] = {}
    for how, keys in (
        ("same bytes", prints.sha256),
        ("same pixels", prints.pixel_sha256),
        ("same patient or cluster", groups),
    ):
        first = {key: i for i, key in reversed(list(enumerate(keys))) if i >= border and key}
        for i, key in enumerate(keys[:border]):
            if key in first:
                reasons.setdefault((i, first[key]), how)
    pairs = duplicates.near_duplicates(prints)
    for k in np.flatnonzero((pairs.left < border) & (pairs.right >= border)).tolist():
        how = f"near-duplicate, {ORIENTATIONS[pairs.orientation[k]]}"
        reasons.setdefault((int(pairs.left[k]), int(pairs.right[k])), how)
    records = both.records
    return [SharedImage(records[i].path, records[j].path, how) for (i, j), how in reasons.items()]


def _require_all(classifier: Classifier, against: Sequence[Manifest]) -> None:
    wanted = data_hashes(classifier.bundle.info.training)
    name = classifier.model.name
    if not wanted:
        raise EvaluationError(f"bundle {name}: does not say which data it was trained on")
    given = {manifest.sha256 for manifest in against}
    absent = [digest for digest in wanted if digest not in given]
    if absent:
        raise EvaluationError(
            f"bundle {name}: was trained on {len(wanted)} sets, but {len(absent)} of them "
            f"{is_or_are(len(absent))} not named (data hash {absent[0][:12]}); name each with "
            "--against MANIFEST. Without them, use --split all, which compares the images with the "
            "bundle's own list"
        )
