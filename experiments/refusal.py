"""How well a bundle rejects images that are not brain MRI, by kind, and what it rejects wrongly.

    python -m experiments.refusal --data nickparvar.csv --split clean --output refusal.json \
        --volume chest_ct.nii.gz --volume example_ct.nii.gz --volume example_mr_sm.nii.gz

Heads are the test part of the split. The others are images that packages ship: photographs,
micrographs and other recordings of scikit-image, pixel data of pydicom's test files that show no
head (some more if the package pydicom-data is installed), and drawn ones: white, black, noise,
checkerboards, pages of text. `--volume` adds slices of NIfTI volumes that show no head: we use the
CT and MR of trunks in `tests/reference_files` of TotalSegmentator's source package (Apache-2.0):
example_ct.nii.gz, example_mr_sm.nii.gz, and aorta_report/example_ct.nii.gz as chest_ct.nii.gz.
None of them is in any training. But the gate is trained on drawn trunks and discs because slices of
these volumes and a colour wheel had passed an earlier gate (experiments/log.md): for these two
kinds the figures show that a known gap is closed; so do those of photographs in colours, for which
there is a rule of its own since a colour wheel and the picture of a retina had passed, and those of
pages of text, for which there is one too. Rejected is what the bundle rejects, by its gate or by
such a rule; the AUROC is the gate's alone. An image that gives an error (blank, too small) counts
as rejected.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks import options as option_parser
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from sklearn.metrics import roc_auc_score

from tumorlens import bundle
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.errors import InputError
from tumorlens.imaging import reader
from tumorlens.imaging.array import from_array
from tumorlens.imaging.image import MedicalImage, single
from tumorlens.imaging.limits import MIN_SIDE
from tumorlens.inference.classifier import Classifier

Images = Iterator[tuple[str, NDArray[np.generic]]]
_PHOTOGRAPHS: Final = (
    "astronaut", "camera", "cat", "chelsea", "clock", "coffee", "coins", "rocket", "page", "text",
    "horse", "hubble_deep_field", "moon", "colorwheel", "logo",
)  # fmt: skip
_MICROGRAPHS: Final = ("cell", "immunohistochemistry", "binary_blobs")
_OTHER: Final = ("brick", "grass", "gravel", "retina", "microaneurysms")
_NO_HEAD: Final = (
    "CT_small.dcm", "rtdose.dcm", "OBXXXX1A.dcm", "US1_UNCR.dcm", "examples_palette.dcm",
    "examples_rgb_color.dcm", "SC_rgb.dcm", "SC_rgb_jpeg_gdcm.dcm", "JPEG2000.dcm",
    "color-px.dcm", "liver_1frame.dcm", "RG1_UNCR.dcm", "RG3_UNCR.dcm", "MR2_UNCR.dcm",
    "MR-SIEMENS-DICOM-WithOverlays.dcm", "explicit_VR-UN.dcm", "gdcm-US-ALOKA-16.dcm",
)  # fmt: skip
_DRAWN_EACH: Final = 25
_DEPTHS: Final = (0.2, 0.4, 0.6, 0.8)
"""Where a volume is cut, along each of its axes."""
_AIR: Final = -500.0
"""A volume that goes below this is a CT, in Hounsfield units."""
_SOFT_TISSUE: Final = (-160.0, 240.0)
"""The window in which a CT's soft tissue is usually shown, in Hounsfield units."""


@dataclass(frozen=True)
class Scored:
    """The gate's scores for the images of one kind, and which of them the bundle rejects."""

    kind: str
    names: list[str]
    scores: list[float]
    """Logit of "this is a head"; minus infinity if the image gave an error."""
    rejected: list[bool]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = option_parser.parser(__doc__, data="manifest", bundle=True, part=True)
    parser.add_argument("--volume", type=Path, action="append", default=[],
                        help="NIfTI without a head, to be cut")  # fmt: skip
    options = parser.parse_args(arguments)
    loaded = bundle.load(options.bundle)
    if loaded.info.gate is None:
        parser.error(f"bundle {options.bundle} has no gate")
    classifier = Classifier(loaded)
    manifest = Manifest.load(options.data)
    parts = splits.load(options.split).parts(manifest)
    heads = [manifest.file(r) for r, p in zip(manifest, parts, strict=True) if p == options.part]
    known = _score(classifier, "heads", ((f.name, single(reader.read(f))) for f in heads))
    images_by_kind = others()
    if options.volume:
        images_by_kind["slices of trunks, CT and MR"] = _slices(options.volume)
    kinds = [_score(classifier, name, _images(images)) for name, images in images_by_kind.items()]
    rows = [_row(scored, known) for scored in kinds]
    heads_found = {"n": len(known.names), "rejected": float(np.mean(known.rejected))}
    option_parser.print_rows("rejected as not brain MRI", [_printed(row) for row in rows])
    print(f"heads: {heads_found['n']}, {heads_found['rejected']:.2%} of them rejected")
    result = {
        "benchmark": "refusal",
        "bundle": loaded.info.name,
        "sha256": loaded.sha256,
        "threshold": loaded.info.gate.threshold,
        "split": options.split,
        "part": options.part,
        "heads": heads_found,
        "volumes": [file.name for file in options.volume],
        "kinds": rows,
    }
    option_parser.save(options.output, result)


def others() -> dict[str, Images]:
    """Images that show no head, by kind."""
    return {
        "photographs": _from_skimage(_PHOTOGRAPHS),
        "micrographs": _from_skimage(_MICROGRAPHS),
        "other recordings": _from_skimage(_OTHER),
        "DICOM, no head": _from_pydicom(),
        "white and black": _flat(),
        "noise": _noise(),
        "checkerboards": _checkerboards(),
        "pages of text": _pages(),
    }


def _score(
    classifier: Classifier, kind: str, images: Iterator[tuple[str, MedicalImage | None]]
) -> Scored:
    scored = Scored(kind, [], [], [])
    for name, image in images:
        score, rejected = -np.inf, True
        if image is not None:
            with suppress(InputError):
                prepared = [classifier.prepare(image)]
                scores = classifier.gate_scores(prepared)
                assert scores is not None
                score, rejected = float(scores[0]), any(classifier.rejections(prepared, scores))
        scored.names.append(name)
        scored.scores.append(score)
        scored.rejected.append(rejected)
    return scored


def _images(images: Images) -> Iterator[tuple[str, MedicalImage | None]]:
    for name, pixels in images:
        try:
            yield name, from_array(pixels)
        except InputError:
            yield name, None


def _from_skimage(names: Sequence[str]) -> Images:
    from skimage import data

    for name in names:
        pixels = np.asarray(getattr(data, name)())
        yield name, pixels[..., :3] if pixels.ndim == 3 else pixels


def _from_pydicom() -> Images:
    import pydicom
    from pydicom.data import get_testdata_file

    for name in _NO_HEAD:
        path = get_testdata_file(name, download=False)
        if path is None:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pixels = np.asarray(pydicom.dcmread(str(path)).pixel_array)
        except Exception as error:
            Console(stderr=True).print(f"skipped {name}: {error}")
            continue
        while pixels.ndim > 3 or (pixels.ndim == 3 and pixels.shape[-1] != 3):
            pixels = pixels[len(pixels) // 2]
        yield name, pixels


def _slices(volumes: Sequence[Path]) -> Images:
    """Each volume cut along its axes; CT as a viewer shows soft tissue, and from air to bone."""
    import nibabel

    for file in volumes:
        voxels = np.asarray(nibabel.load(file).get_fdata(), dtype=np.float32)  # type: ignore[attr-defined]
        windows = [(float(voxels.min()), float(voxels.max()))]
        if windows[0][0] < _AIR:
            windows.append(_SOFT_TISSUE)
        for axis, depth in product(range(3), _DEPTHS):
            cut = np.rot90(voxels.take(int(depth * voxels.shape[axis]), axis=axis))
            if min(cut.shape) < MIN_SIDE:
                continue
            for low, high in windows:
                display = 255 * (np.clip(cut, low, high) - low) / (high - low)
                yield f"{file.name} {axis} {depth} {low:.0f}..{high:.0f}", display.astype(np.uint8)


def _flat() -> Images:
    for level in (0, 255):
        yield f"{level}", np.full((256, 256), level, dtype=np.uint8)
    almost = np.full((256, 256), 250, dtype=np.uint8)
    almost[::37, ::41] = 255
    yield "almost white", almost


def _noise() -> Images:
    rng = np.random.default_rng(11)
    for index in range(_DRAWN_EACH):
        side = int(rng.integers(64, 512))
        pixels = rng.normal(128, rng.uniform(5, 80), (side, side))
        yield f"noise {index}", np.clip(pixels, 0, 255).astype(np.uint8)


def _checkerboards() -> Images:
    rng = np.random.default_rng(12)
    for index in range(_DRAWN_EACH):
        side, step = int(rng.integers(64, 512)), int(rng.integers(2, 64))
        y, x = np.indices((side, side)) // step
        yield f"checkerboard {index}", ((y + x) % 2 * 255).astype(np.uint8)


def _pages() -> Images:
    rng = np.random.default_rng(13)
    sentence = "the image shows no sign of what was looked for in the left or right side"
    words = sentence.split()
    for index in range(_DRAWN_EACH):
        dark = bool(rng.integers(2))
        page = Image.new("L", (640, 480), 0 if dark else 255)
        draw = ImageDraw.Draw(page)
        size = int(rng.integers(10, 40))
        for top in range(10, 470, size + 6):
            line = " ".join(rng.choice(words, 14))
            draw.text((10, top), line, fill=255 if dark else 0, font=ImageFont.load_default(size))
        yield f"page {index}", np.asarray(page)


def _row(scored: Scored, known: Scored) -> dict[str, Any]:
    scores = np.array([*known.scores, *scored.scores])
    scores = np.nan_to_num(scores, neginf=-1e9)
    truth = [1] * len(known.scores) + [0] * len(scored.scores)
    return {
        "kind": scored.kind,
        "n": len(scored.names),
        "rejected": float(np.mean(scored.rejected)),
        "auroc": float(roc_auc_score(truth, scores)),
        "passed": [
            n for n, rejected in zip(scored.names, scored.rejected, strict=True) if not rejected
        ],
    }


def _printed(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"rejected": f"{row['rejected']:.1%}", "auroc": f"{row['auroc']:.4f}",
                  "passed": ", ".join(row["passed"][:4])}  # fmt: skip


if __name__ == "__main__":
    main()
