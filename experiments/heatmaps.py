"""Do heatmaps point at the tumour? Compared with the outlines of Cheng et al.

    python -m experiments.heatmaps --data nickparvar.csv --split clean --output heatmaps.json

Every outlined tumour image of the part, whatever the answer. Compared are the class activation map
of the most probable tumour class, the lesion map if the bundle has one, the center of the image,
the mean of the training patients' tumours, and occlusion sensitivity (how much the answer's logit
falls when a gray square covers a position: slow, as a reference). Intervals from resampling
patients.

The pointing game (Zhang et al., "Top-down neural attention by excitation backprop", 2018) asks
whether the largest value lies inside the outline; the share of the map's mass inside, and the
overlap of boxes, measure how well it covers it. The center and the mean of other patients show how
much the position alone gives away.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from benchmarks import options as option_parser
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy.ndimage import find_objects, zoom

from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.evaluation import metrics, resampling
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.session import Outputs
from tumorlens.labels import TUMOR_INDICES
from tumorlens.training import cache

Images = NDArray[np.uint8]
_BATCH: Final = 64
_PATCH: Final = 8
"""Squares along a side of the image that occlusion covers."""
BOX_LEVEL: Final = 0.5
"""Share of the map's largest value that a pixel needs to belong to the box."""


class Localization(NamedTuple):
    """One map against one outline."""

    hit: bool
    """Whether the map's largest value lies inside the outline."""
    energy: float
    """Share of the map's mass inside the outline."""
    box_iou: float
    """Overlap of the box around the map's bright part with the box around the outline."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = option_parser.parser(
        __doc__, data="manifest with masks", bundle=True, part=True, cache=True
    )
    parser.add_argument("--occlusion", type=int, default=150, help="images to occlude; 0: none")
    options = parser.parse_args(arguments)
    classifier = Classifier.load(options.bundle, answer_all=True)
    manifest = Manifest.load(options.data)
    parts = splits.load(options.split).parts(manifest)
    folder = options.cache or cache.default_folder()
    images, outlines, groups = _outlined(manifest, parts, options.part, classifier, folder)
    _, training, _ = _outlined(manifest, parts, "train", classifier, folder)
    maps = _maps(classifier, images, training)
    rows = [_row(name, values, outlines, groups) for name, values in maps.items()]
    if options.occlusion:
        sample = np.random.default_rng(0).permutation(len(images))[: options.occlusion]
        occluded = np.stack(
            [_occlusion(classifier, images[i]) for i in track(sample, console=Console(stderr=True))]
        )
        sample_groups = [groups[i] for i in sample]
        rows.append(
            _row(f"occlusion ({len(sample)} images)", occluded, outlines[sample], sample_groups)
        )
    option_parser.print_rows("heatmaps against outlines", [_printed(row) for row in rows])
    result = {
        "benchmark": "heatmaps",
        "bundle": classifier.bundle.info.name,
        "sha256": classifier.bundle.sha256,
        "split": options.split,
        "part": options.part,
        "n": len(images),
        "patients": len(set(groups)),
        "maps": rows,
    }
    option_parser.save(options.output, result)


def localize(heatmap: NDArray[np.floating], outline: NDArray[np.bool_]) -> Localization:
    """Compare ``heatmap`` (H, W), not negative, with ``outline`` (H, W), not empty.

    A map of nothing but zeros hits nothing. Raises ``ValueError`` for an empty outline or another
    shape.
    """
    if heatmap.shape != outline.shape:
        raise ValueError(f"a map of {heatmap.shape} for an outline of {outline.shape}")
    if not outline.any():
        raise ValueError("the outline is empty")
    total = float(heatmap.sum())
    if not total > 0:
        return Localization(False, 0.0, 0.0)
    peak = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
    boxes = _boxed(heatmap >= BOX_LEVEL * heatmap.max()), _boxed(outline)
    return Localization(
        bool(outline[peak]),
        float(heatmap[outline].sum()) / total,
        float((boxes[0] & boxes[1]).sum() / (boxes[0] | boxes[1]).sum()),
    )


def _boxed(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The box around the true pixels of (H, W), filled."""
    filled = np.zeros_like(inside)
    filled[find_objects(inside.astype(np.int8))[0]] = True
    return filled


def center_map(shape: tuple[int, int]) -> NDArray[np.float64]:
    """The baseline: a smooth peak in the middle of (H, W), whatever the image shows."""
    y, x = (np.linspace(-1, 1, side) for side in shape)
    return np.exp(-4 * (y[:, np.newaxis] ** 2 + x[np.newaxis] ** 2))


def _outlined(
    manifest: Manifest, parts: Sequence[str], part: str, classifier: Classifier, folder: Path
) -> tuple[Images, NDArray[np.bool_], list[str]]:
    pairs = zip(manifest, parts, strict=True)
    chosen = [i for i, (record, name) in enumerate(pairs) if name == part and record.mask]
    config = classifier.bundle.info.preprocess
    images = np.asarray(cache.cached_images(manifest, chosen, config, folder))
    masks = np.asarray(cache.cached_masks(manifest, chosen, config, folder)) > 127
    outlined = np.flatnonzero(masks.any(axis=(1, 2)))
    return images[outlined], masks[outlined], [manifest.records[chosen[i]].group for i in outlined]


def _maps(
    classifier: Classifier, images: Images, training: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    outputs = [
        classifier.forward(images[start : start + _BATCH])
        for start in range(0, len(images), _BATCH)
    ]
    size = images.shape[1]
    maps = {"class activation map": _each(outputs, _class_map, size)}
    if outputs[0].lesion is not None:
        maps["lesion map"] = _each(outputs, _lesion_map, size)
    shape = (len(images), size, size)
    maps["the center of the image"] = np.broadcast_to(center_map((size, size)), shape)
    mean = training.mean(axis=0, dtype=np.float64)
    maps["the mean of the training tumours"] = np.broadcast_to(mean, shape)
    return maps


def _each(
    outputs: Sequence[Outputs], choose: Callable[[Outputs], NDArray[np.float32]], size: int
) -> NDArray[np.float64]:
    coarse = np.concatenate([choose(output) for output in outputs]).astype(np.float64)
    factor = size / coarse.shape[-1]
    return np.stack([np.clip(zoom(m, factor, order=1, grid_mode=True, mode="nearest"), 0, None)
                     for m in coarse])  # fmt: skip


def _class_map(outputs: Outputs) -> NDArray[np.float32]:
    tumors = list(TUMOR_INDICES)
    best = outputs.logits[:, tumors].argmax(axis=1)
    chosen: NDArray[np.float32] = outputs.cam[np.arange(len(best)), np.array(tumors)[best]]
    return chosen


def _lesion_map(outputs: Outputs) -> NDArray[np.float32]:
    assert outputs.lesion is not None
    return outputs.lesion[:, 0]


def _occlusion(classifier: Classifier, image: Images) -> NDArray[np.float64]:
    """How much the answer's logit falls when a position is covered."""
    size = image.shape[0]
    half = size // _PATCH
    starts = [round(k * (size - half) / (2 * _PATCH - 2)) for k in range(2 * _PATCH - 1)]
    covered = []
    for top in starts:
        for left in starts:
            patched = image.copy()
            patched[top : top + half, left : left + half] = int(image.mean())
            covered.append(patched)
    logits = classifier.forward(np.stack([image, *covered])).logits[:, list(TUMOR_INDICES)]
    answer = int(logits[0].argmax())
    fall = (logits[0, answer] - logits[1:, answer]).reshape(len(starts), len(starts))
    grown = zoom(fall, size / len(starts), order=1, grid_mode=True, mode="nearest")
    fallen: NDArray[np.float64] = np.clip(grown[:size, :size], 0, None).astype(np.float64)
    return fallen


def _row(
    name: str, maps: NDArray[np.float64], outlines: NDArray[np.bool_], groups: Sequence[str]
) -> dict[str, Any]:
    localizations = np.array(
        [localize(m, o) for m, o in zip(maps, outlines, strict=True)], dtype=float
    )

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return metrics.ratio(weights @ localizations, weights.sum(axis=1, keepdims=True))

    estimates = resampling.bootstrap(statistic, groups)
    pairs = zip(Localization._fields, estimates, strict=True)
    return {"map": name, **{field: estimate._asdict() for field, estimate in pairs}}


def _printed(row: dict[str, Any]) -> dict[str, str]:
    cells = {field: row[field] for field in Localization._fields}
    return {"map": row["map"]} | {
        field: f"{c['value']:.1%} ({c['low']:.1%}-{c['high']:.1%})" for field, c in cells.items()
    }


if __name__ == "__main__":
    main()
