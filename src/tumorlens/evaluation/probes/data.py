"""The data of probes: preprocessed images with outlines and answers."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tumorlens import preprocessing
from tumorlens.cores import thread_pool
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.masks import load_mask
from tumorlens.evaluation import metrics
from tumorlens.evaluation.protocols import require_known
from tumorlens.imaging import reader
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.postprocessing import softmax
from tumorlens.labels import UNANSWERABLE, ClassSet
from tumorlens.progress import Progress, reported

Images = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeData:
    """N images of one fold, preprocessed for its bundle, S pixels a side."""

    classifier: Classifier
    records: tuple[Record, ...]
    images: Images
    """(N, S, S), 0 to 255."""
    masks: NDArray[np.bool_]
    """(N, S, S), inside the expert's outline; all False without one."""
    labels: NDArray[np.int64]
    """(N,) indices of ``ClassSet.answerable``."""
    predicted: NDArray[np.int64]
    """(N,) answers for the unchanged images."""
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.records)

    @property
    def classes(self) -> ClassSet:
        """The classes of the bundle."""
        return self.classifier.classes

    @property
    def healthy(self) -> NDArray[np.bool_]:
        """(N,) whether there is no finding; False if no class means that."""
        return np.asarray(self.labels == self.classes.no_finding_index)

    def correctly(self, answers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,) whether the answers (N,), indices of classes, are correct."""
        return metrics.correct_table(self.classes)[self.labels, answers]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether the unchanged image is answered correctly."""
        return self.correctly(self.predicted)

    def answer(self, images: Images | Sequence[Images]) -> NDArray[np.int64]:
        """Classify K changed images (S, S): (K,) indices of classes."""
        stacked = np.array(images, dtype=np.uint8).reshape(-1, *self.images.shape[1:])
        return answer(self.classifier, stacked)

    def embeddings(self) -> NDArray[np.float32]:
        """(N, D) pooled features of the unchanged images."""
        return self.classifier.forward(self.images).embedding


def load(
    classifier: Classifier,
    manifest: Manifest,
    parts: Sequence[str],
    part: str,
    progress: Progress | None = None,
) -> ProbeData:
    """Read the images of ``part`` that have a correct answer.

    Raises ``InputError`` for an image that cannot be read, and ``DatasetError`` if one has a class
    that the bundle does not know.
    """
    records = tuple(
        record
        for record, name in zip(manifest, parts, strict=True)
        if name == part and record.label not in UNANSWERABLE
    )
    labels = [record.label for record in records]
    require_known(labels, classifier.classes)
    side = classifier.bundle.info.preprocess.image_size
    images = np.zeros((len(records), side, side), dtype=np.uint8)
    masks = np.zeros(images.shape, dtype=np.bool_)
    with thread_pool() as pool:
        read = pool.map(lambda record: _read(classifier, manifest, record), records)
        for i, pair in enumerate(reported(read, len(records), progress)):
            images[i], masks[i] = pair
    return ProbeData(
        classifier,
        records,
        images,
        masks,
        metrics.truths(labels, classifier.classes),
        answer(classifier, images),
        tuple(record.unit for record in records),
    )


def join(data: Sequence[ProbeData]) -> ProbeData:
    """Concatenate the data of one classifier."""
    return ProbeData(
        data[0].classifier,
        tuple(record for part in data for record in part.records),
        np.concatenate([part.images for part in data]),
        np.concatenate([part.masks for part in data]),
        np.concatenate([part.labels for part in data]),
        np.concatenate([part.predicted for part in data]),
        tuple(group for part in data for group in part.groups),
    )


def answer(classifier: Classifier, images: Images) -> NDArray[np.int64]:
    """Classify preprocessed images (K, S, S): (K,) indices of classes."""
    logits = classifier.forward(images).logits
    return metrics.most_probable(softmax(logits, classifier.bundle.info.temperature))


def _read(
    classifier: Classifier, manifest: Manifest, record: Record
) -> tuple[Images, NDArray[np.bool_]]:
    image = reader.read(manifest.file(record))
    pixels = classifier.preprocess(image)
    if not record.mask:
        return pixels, np.zeros(pixels.shape, dtype=np.bool_)
    outline = load_mask(manifest, record, (image.height, image.width))
    config = classifier.bundle.info.preprocess
    moved = preprocessing.preprocess_mask(outline, image.pixels, config)
    return pixels, moved > 127
