"""An external set that is not one is refused, and the pairs are named."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tumorlens import bundle
from tumorlens.datasets import importers
from tumorlens.datasets.manifest import Manifest
from tumorlens.demo import phantoms
from tumorlens.errors import EvaluationError
from tumorlens.evaluation import external_set
from tumorlens.imaging import reader
from tumorlens.imaging.raster import encode
from tumorlens.inference.classifier import Classifier


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Phantoms of other patients."""
    folder = tmp_path_factory.mktemp("strangers")
    found = Manifest.load(phantoms.write_phantoms(folder, 3, seed=77))
    return Manifest(found.records[:12], found.folder)


@pytest.fixture
def trained(tiny_bundle: Path, tmp_path: Path) -> Callable[..., Classifier]:
    def make(**training: Any) -> Classifier:
        tiny = bundle.load(tiny_bundle)
        info = msgspec.structs.replace(tiny.info, training=training)
        return Classifier(bundle.save(tmp_path / "b", info, tiny.model), threads=1)

    return make


def rewritten(manifest: Manifest, folder: Path, turn: bool) -> Manifest:
    """The first image anew: mirrored, or with its intensities stretched, as a JPEG."""
    pixels = reader.read(manifest.file(manifest.records[0])).pixels
    changed = pixels[:, ::-1] if turn else np.clip(1.1 * pixels, 0, 255)
    file = folder / "glioma" / "anew.jpg"
    file.parent.mkdir()
    file.write_bytes(encode.jpeg(changed.astype(np.uint8), 90))
    return importers.import_folder(folder, folder / "m.csv")


def test_other_patients_are_strangers(phantom_set: Manifest, strangers: Manifest) -> None:
    assert external_set.shared_images(strangers, phantom_set) == []


@pytest.mark.parametrize(("turn", "how"), [(True, "mirrored"), (False, "same")])
def test_copies_that_were_changed_are_found(
    phantom_set: Manifest, tmp_path: Path, turn: bool, how: str
) -> None:
    [found] = [
        kin
        for kin in external_set.shared_images(rewritten(phantom_set, tmp_path, turn), phantom_set)
        if Path(kin.trained).name == Path(phantom_set.records[0].path).name
    ]
    assert found.how == f"near-duplicate, {how}"
    assert found.scored.endswith("anew.jpg")


def test_equal_files_and_patients_are_found(phantom_set: Manifest, strangers: Manifest) -> None:
    same = Manifest(phantom_set.records[:1], phantom_set.folder)
    assert {kin.how for kin in external_set.shared_images(same, phantom_set)} >= {"same bytes"}
    patient = dataclasses.replace(strangers.records[0], group=phantom_set.records[0].group)
    [found] = external_set.shared_images(Manifest((patient,), strangers.folder), phantom_set)
    assert found.how == "same patient or cluster"


def test_refused_with_the_pairs_named(
    phantom_set: Manifest, strangers: Manifest, trained: Callable[..., Classifier]
) -> None:
    classifier = trained(data_sha256=phantom_set.sha256)
    external_set.require_external(classifier, strangers, [phantom_set])
    mixed = Manifest(phantom_set.records[:2], phantom_set.folder)
    with pytest.raises(
        EvaluationError,
        match=r"2 of its 2 images, or their patients, are among .*phantom.*same bytes",
    ):
        external_set.require_external(classifier, mixed, [phantom_set])


def test_every_set_of_the_training_must_be_given(
    phantom_set: Manifest, strangers: Manifest, trained: Callable[..., Classifier]
) -> None:
    classifier = trained(data_sha256=phantom_set.sha256, extra=[{"data_sha256": "feed" * 16}])
    with pytest.raises(EvaluationError, match=r"2 sets, but 1 of them is not named.*feedfeedfeed"):
        external_set.require_external(classifier, strangers, [phantom_set])
    with pytest.raises(EvaluationError, match="does not say which data"):
        external_set.require_external(trained(), strangers, [phantom_set])


@pytest.mark.realdata
def test_br35h_tumours_are_not_the_public_set(data_dir: Path, tmp_path: Path) -> None:
    """A dozen of each, to be quick: nothing of one is in the other."""
    few = tmp_path / "few" / "notumor"
    few.mkdir(parents=True)
    for file in sorted((data_dir / "nickparvar" / "Testing" / "notumor").iterdir())[:12]:
        (few / file.name).symlink_to(file)
    public = importers.import_folder(tmp_path / "few", tmp_path / "few.csv")
    other = tmp_path / "other" / "notumor"
    other.mkdir(parents=True)
    for file in sorted((data_dir / "br35h-tumor" / "images").iterdir())[:12]:
        (other / file.name).symlink_to(file)
    tumors = importers.import_folder(tmp_path / "other", tmp_path / "other.csv")
    assert external_set.shared_images(tumors, public) == []
