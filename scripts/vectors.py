"""Write test vectors for the page (images with their answers in Python) and its examples.

    python scripts/vectors.py            # write frontend/test/vectors.json and volumes.json
    python scripts/vectors.py --check    # fail where the answers in Python have changed

The images are phantoms, stored in several formats; the answers are those of two bundled networks.
Tests compare the page's port of reading, preprocessing and heatmap with them (frontend/test), in
Node and, for the whole page, in Chromium. volume_vectors.py makes those for volumes.
"""

import argparse
import base64
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import volume_vectors
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tumorlens.bundle import ConformalThresholds, DecisionRule
from tumorlens.demo.phantoms import make_phantom
from tumorlens.imaging import reader
from tumorlens.imaging.dicom.derived import OWN_CLASSES
from tumorlens.imaging.facts import AcquisitionFacts
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.raster import encode
from tumorlens.inference import conformal
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.decision import decide
from tumorlens.labels import CLASSES

TARGET: Final = Path(__file__).resolve().parent.parent / "frontend" / "test" / "vectors.json"
EXAMPLES: Final = TARGET.parent.parent / "public" / "examples"
BUNDLES: Final = ("phantom", "default")
EXAMPLE_NAMES: Final = ("glioma", "meningioma", "no-tumour", "pituitary")
SETS: Final = ConformalThresholds(
    coverage=0.9,
    thresholds=(0.02, 0.01, 0.05, 0.002),
    by_decision={"detected": (0.001, 0.03, 0.01, 0.002), "abstained": (0.05, 0.01, 0.01, 0.02)},
)
RULE: Final = DecisionRule(tumor_threshold=0.9, notumor_threshold=0.999, kind_threshold=0.995)
Gray = NDArray[np.uint8]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the file, or compare with it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args(arguments).check:
        TARGET.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
        volume_vectors.write()
        for index, (name, label) in enumerate(zip(EXAMPLE_NAMES, CLASSES, strict=True)):
            phantom = make_phantom(np.random.default_rng([0, index]), label)
            (EXAMPLES / f"{name}.png").write_bytes(encode.png(phantom.pixels))
        return
    _check(TARGET, vectors(), within=1e-4)
    _check(volume_vectors.TARGET, volume_vectors.expected(), within=1e-9)


def _check(target: Path, now: dict[str, Any], within: float) -> None:
    stored = json.loads(target.read_text("utf-8"))
    if not same(stored, json.loads(json.dumps(now)), within):
        sys.exit(f"{target.name} is not what Python makes now; run python scripts/vectors.py")


def vectors() -> dict[str, Any]:
    """Everything that the page's tests need.

    By one thread: several add in another order, which moves pixels that lie half-way between two
    levels, more of them than one in a thousand.
    """
    with threadpool_limits(limits=1):
        return _vectors()


def _vectors() -> dict[str, Any]:
    classifiers = {name: Classifier.load(name, threads=1) for name in BUNDLES}
    return {
        "set_rule": msgspec.to_builtins(SETS),
        "rule": msgspec.to_builtins(RULE),
        "own_classes": list(OWN_CLASSES),
        "bundles": {name: classifier.bundle.sha256 for name, classifier in classifiers.items()},
        "images": [
            {
                "name": name,
                "data": base64.b64encode(data).decode("ascii"),
                "answers": {
                    key: answer(classifier, data) for key, classifier in classifiers.items()
                },
            }
            for name, data in images()
        ],
    }


def images() -> Iterator[tuple[str, bytes]]:
    """Phantoms: 8 and 16 bits, pale and vivid colours, of many sizes, and one on a white page."""
    heads = [
        make_phantom(np.random.default_rng([11, index]), label).pixels
        for index, label in enumerate(CLASSES)
    ]
    yield "8-bit.png", encode.png(heads[0])
    yield "16-bit.png", encode.png(heads[1].astype(np.uint16) * np.uint16(201) + np.uint16(900))
    # Not 192 pixels, twice what one bundle sees: halves between two levels would round at random.
    yield "colour.png", encode.png(tinted(heads[2][2:189, 3:190]))
    yield "vivid.png", encode.png(tinted(heads[2][2:189, 3:190], 3))
    yield "wide.png", encode.png(np.pad(heads[3], ((0, 0), (17, 40))))
    yield "tall.png", encode.png(np.ascontiguousarray(heads[0][:, 40:161]))
    yield "large.png", encode.png(np.kron(heads[1][::2, ::2], np.ones((6, 6), np.uint8)))
    yield "small.png", encode.png(np.ascontiguousarray(heads[2][::4, ::4]))
    page = np.pad(heads[0], ((21, 34), (50, 9)), constant_values=255)
    page[20, 50:-9] = 150  # as a page that was scaled has it
    yield "screenshot.png", encode.png(page)


def tinted(gray: Gray, strength: int = 1) -> Gray:
    """A colour image whose luma is not simply its green."""
    less = gray // 8
    return np.stack([gray, gray - less, gray - 2 * strength * less], axis=-1).astype(np.uint8)


def answer(classifier: Classifier, data: bytes) -> dict[str, Any]:
    """What ``classifier`` sees, and says."""
    prepared = classifier.prepare(reader.read_bytes(data))
    (raw,) = classifier.answer([prepared])
    heatmap = raw.heatmap()
    decided = decide(raw.row, RULE)
    return {
        "seen": base64.b64encode(prepared.pixels.tobytes()).decode("ascii"),
        "square": prepared.square._asdict(),
        "probabilities": dict(zip(CLASSES, raw.row.tolist(), strict=True)),
        "decision": raw.prediction.decision,
        "label": raw.prediction.label,
        "summary": raw.prediction.summary,
        "sequence": msgspec.to_builtins(raw.prediction.sequence),
        "with_header": with_header(classifier, reader.read_bytes(data)),
        "prediction_set": raw.prediction.prediction_set,
        # No bundle in the box needs to have such a rule: one of its own for each image.
        "decided_of_rule": decided._asdict(),
        "set_of_rule": conformal.named(raw.row, SETS, decided.decision),
        "heatmap": heatmap
        and {
            "peak": msgspec.to_builtins(heatmap.peak),
            "box": msgspec.to_builtins(heatmap.box),
        },
    }


def with_header(classifier: Classifier, image: MedicalImage) -> dict[str, Any]:
    """What depends on the sequence that the header states: plain T1, where tumours hardly show."""
    facts = AcquisitionFacts(series_description="t1 se", notes=("a note",))
    prediction = classifier.predict(dataclasses.replace(image, facts=facts))
    return {"sequence": "T1", "summary": prediction.summary, "notes": prediction.notes}


def same(stored: Any, other: Any, within: float) -> bool:
    """Equal, but for what comes of processors that add in different orders.

    Numbers to ``within``, and one pixel in a thousand of what the network sees by one level.
    """
    if (
        isinstance(stored, dict)
        and isinstance(other, dict)
        and "seen" in stored
        and "seen" in other
    ):
        pixels = [
            np.frombuffer(base64.b64decode(part["seen"]), np.uint8) for part in (stored, other)
        ]
        off = np.abs(pixels[0].astype(int) - pixels[1])
        rest = [{key: part[key] for key in part if key != "seen"} for part in (stored, other)]
        alike = bool(off.max() <= 1 and off.sum() <= off.size / 1000)
        return alike and same(rest[0], rest[1], within)
    if isinstance(stored, dict) and isinstance(other, dict):
        return stored.keys() == other.keys() and all(
            same(stored[k], other[k], within) for k in stored
        )
    if isinstance(stored, list) and isinstance(other, list):
        pairs = zip(stored, other, strict=False)
        return len(stored) == len(other) and all(same(a, b, within) for a, b in pairs)
    if isinstance(stored, float) and isinstance(other, float):
        return abs(stored - other) <= within
    return bool(stored == other)


if __name__ == "__main__":
    main()
