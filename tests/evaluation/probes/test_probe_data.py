"""Images come as the network sees them, and outlines lie on them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.datasets import collections, importers, lesions
from tumorlens.datasets.manifest import Manifest
from tumorlens.evaluation.folds import Fold
from tumorlens.evaluation.probes import data
from tumorlens.evaluation.probes.run import PROBES, probe
from tumorlens.evaluation.resampling import Sampling
from tumorlens.imaging import reader
from tumorlens.imaging.raster import encode
from tumorlens.inference.classifier import Classifier


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Heads of unequal size with a margin; every other one has a square tumour, and its outline."""
    folder = tmp_path_factory.mktemp("drawn")
    masks = {}
    for i in range(6):
        label = "glioma" if i % 2 else "notumor"
        image = np.zeros((140, 120 + 6 * i), dtype=np.uint8)
        image[20:120, 20:100] = 90 + i + np.random.default_rng(i).integers(0, 4, (100, 80))
        file = folder / label / f"{i}.png"
        file.parent.mkdir(exist_ok=True)
        if i % 2:
            image[60:80, 30:45] = 230
            mask = np.zeros_like(image)
            mask[60:80, 30:45] = 255
            masks[file.name] = folder / f"mask-{i}.png"
            masks[file.name].write_bytes(encode.png(mask))
        file.write_bytes(encode.png(image))
    found = importers.import_folder(folder, folder / "m.csv")
    records = [
        dataclasses.replace(r, mask=masks[name].name, orientation="id")
        if (name := Path(r.path).name) in masks
        else r
        for r in found
    ]
    other = dataclasses.replace(records[0], label="other_pathology")
    return Manifest((*records, other), folder)


def test_images_are_what_the_classifier_sees(drawn: Manifest, classifier: Classifier) -> None:
    found = data.load(classifier, drawn, ["test"] * 7, "test")
    assert len(found) == 6
    for record, image, answer in zip(found.records, found.images, found.predicted, strict=True):
        read = reader.read(drawn.file(record))
        assert (image == classifier.preprocess(read)).all()
        assert (
            classifier.predict(drawn.file(record)).label
            == (("glioma", "meningioma", "notumor", "pituitary")[answer])
        )


def test_outlines_lie_on_the_tumours(drawn: Manifest, classifier: Classifier) -> None:
    found = data.load(classifier, drawn, ["test"] * 7, "test")
    for image, mask, label in zip(found.images, found.masks, found.labels, strict=True):
        assert mask.any() == (label == 0)
        if mask.any():
            bright = image > 200
            assert (bright & mask).sum() > 0.8 * (bright | mask).sum()


def test_embeddings_are_one_row_an_image(drawn: Manifest, classifier: Classifier) -> None:
    parts = ["test", "test", "train", "test", "test", "test", "test"]
    found = data.load(classifier, drawn, parts, "test")
    assert found.embeddings().shape == (5, 8)


def test_all_probes_over_two_folds(drawn: Manifest, classifier: Classifier) -> None:
    folds = [
        Fold(classifier, ("test",) * 3 + ("train",) * 4, "fold 0"),
        Fold(classifier, ("train",) * 3 + ("test",) * 4, "fold 1"),
    ]
    found = probe(folds, drawn, "test", Sampling(100, 0))
    assert [one.name for one in found] == [*(p.name for p in PROBES), "source"]
    frame = {rate.name: rate for rate in found[0].rates}
    assert frame["only_correct"].images == 6
    assert frame["removed_missed"].images == 3


def test_images_beside_join_the_source_probe_only(drawn: Manifest, classifier: Classifier) -> None:
    records = [
        dataclasses.replace(r, source=s, group=f"{s}{k}", label=label)
        for s in ("east", "west")
        for label in ("notumor", "tumor")
        for k, r in enumerate([drawn.records[i % 6] for i in range(24)])
    ]
    healthy = Manifest(tuple(r for r in records if r.label == "notumor"), drawn.folder)
    tumors = Manifest(tuple(r for r in records if r.label == "tumor"), drawn.folder)
    folds = [Fold(classifier, ("test",) * len(healthy))]
    alone = probe(folds, healthy, "test", Sampling(100, 0))
    beside = [(tumors, ["test"] * len(tumors))]
    joined = probe(folds, healthy, "test", Sampling(100, 0), beside=beside)
    assert [rate.name for rate in alone[-1].rates] == ["within_no_tumour"]
    names = {rate.name: rate.images for rate in joined[-1].rates}
    assert names["tumour_and_healthy_balanced"] == 96
    assert joined[0] == alone[0]


@pytest.mark.realdata
def test_experts_outlines_lie_on_real_tumours(
    data_dir: Path, classifier: Classifier, tmp_path: Path
) -> None:
    """A dozen slices: an outline parts bright from dark where it lies, not where it does not."""
    folder = tmp_path / "few" / "Testing" / "glioma"
    folder.mkdir(parents=True)
    for file in sorted((data_dir / "nickparvar" / "Testing" / "glioma").iterdir())[:12]:
        (folder / file.name).symlink_to(file)
    manifest = importers.import_nickparvar(
        tmp_path / "few", tmp_path / "few.csv", allow_partial=True
    )
    masked = collections.with_cheng_masks(manifest, data_dir / "cheng")
    found = data.load(classifier, masked, ["test"] * len(masked), "test")
    outlined = [i for i in range(len(found)) if found.masks[i].any()]
    assert len(outlined) >= 6
    here = [contrast(found.images[i], found.masks[i]) for i in outlined]
    elsewhere = [contrast(found.images[i], found.masks[i][::-1, ::-1]) for i in outlined]
    assert np.median(here) > 1.2 * np.median(elsewhere)


def contrast(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Difference in brightness between the inside of an outline and what is just around it."""
    ring = lesions.grown(mask, 4) & ~mask
    return abs(float(image[mask].mean()) - float(image[ring].mean()))
