import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tumorlens.config import LesionConfig, TrainConfig
from tumorlens.datasets.importers import import_folder
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split
from tumorlens.errors import SplitError
from tumorlens.evaluation.training_images import TrainingImages
from tumorlens.imaging.raster import encode
from tumorlens.labels import ANY_TUMOR, CLASSES, OTHER_PATHOLOGY, TUMOR_INDICES
from tumorlens.training.data import Extra, TrainingData
from tumorlens.training.images import balanced_weights, kind_log_priors, sequence_index
from tumorlens.training.lineage import ParentRun, with_lineage

Data = tuple[Manifest, Split]


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Ten images: gliomas with outlines, tumours of unknown kind, another disease."""
    folder = tmp_path_factory.mktemp("strangers")
    rng = np.random.default_rng(5)
    (folder / "glioma").mkdir()
    for index in range(10):
        image = rng.integers(20, 200, (48, 48)).astype(np.uint8)
        (folder / "glioma" / f"{index}.png").write_bytes(encode.png(image))
    outline = np.zeros((48, 48), dtype=np.uint8)
    outline[10:20, 12:30] = 255
    (folder / "mask.png").write_bytes(encode.png(outline))
    manifest = import_folder(folder, folder / "m.csv", source="there")
    labels = ["glioma"] * 4 + [ANY_TUMOR] * 4 + [OTHER_PATHOLOGY] * 2
    records = [
        dataclasses.replace(
            record,
            label=label,
            source="there" if label == "glioma" else "elsewhere",
            family="abroad" if label == ANY_TUMOR else "",
            mask="mask.png" if label == "glioma" else "",
        )
        for record, label in zip(manifest, labels, strict=True)
    ]
    return Manifest(tuple(records), folder)


@pytest.fixture
def config(tiny_config: TrainConfig) -> TrainConfig:
    lesions = LesionConfig(mask_loss=1.0, paste=0.5, erase=0.5)
    augment = msgspec.structs.replace(tiny_config.augment, lesions=lesions)
    return msgspec.structs.replace(tiny_config, extra_share=0.25, augment=augment)


def test_the_record_of_a_run_lists_the_images_of_its_parents_too(
    square_set: Data, strangers: Manifest
) -> None:
    data = TrainingData(*square_set)
    before = {
        "data_sha256": strangers.sha256,
        "split": {"name": "abroad", "sha256": "1" * 64, "disjoint": True},
        "extra": [],
        "train_images": {"there: glioma": 4},
        "seen_images": TrainingImages.from_records(strangers.records[:4]).listed,
    }
    record = with_lineage(data.facts(), data, [ParentRun(before)])
    listed = TrainingImages.from_training(record)
    assert listed is not None
    assert [image in listed for image in strangers] == [True] * 4 + [False] * 6
    assert all(image in listed for image in square_set[0])
    (extra,) = record["extra"]
    assert extra["split"] == {"name": "abroad", "sha256": "1" * 64}
    assert record["train_images"]["there: glioma"] == 4


def test_extra_images_stand_last_with_their_answers_and_outlines(
    square_set: Data, strangers: Manifest, config: TrainConfig, tmp_path: Path
) -> None:
    train, validation, weights = TrainingData(*square_set, [Extra(strangers)]).load(
        config, tmp_path
    )
    assert len(train) == 60 + 8  # the other disease teaches no class
    assert len(validation) == 20
    assert weights is not None
    assert weights.sum() == pytest.approx(1.0)
    assert train.answers[60:64].argmax(1).tolist() == [CLASSES.index("glioma")] * 4
    assert train.answers[64:].sum(1).tolist() == [3] * 4
    assert train.answers[64:, list(TUMOR_INDICES)].all()
    assert train.masks is not None
    assert train.outlined is not None
    assert (train.masks[60:64] > 0).any(axis=(1, 2)).all()
    assert not train.masks[:60].any()
    healthy = train.answers[:60, CLASSES.index("notumor")]
    assert train.outlined[:60].tolist() == healthy.tolist()
    assert train.outlined[60:].tolist() == [True] * 4 + [False] * 4


@pytest.mark.parametrize(("name", "left"), [("there", 64), ("abroad", 64), ("nowhere", 68)])
def test_what_is_left_out_takes_no_part(
    square_set: Data, strangers: Manifest, config: TrainConfig, tmp_path: Path, name: str, left: int
) -> None:
    data = TrainingData(*square_set, [Extra(strangers)], [name])
    train, _, weights = data.load(config, tmp_path)
    assert len(train) == left
    assert weights is not None
    assert len(weights) == left - 60
    facts = data.facts()
    assert facts["held_out_sources"] == [name]
    assert sum(facts["train_images"].values()) == left


def test_leaving_everything_out_is_an_error(
    square_set: Data, config: TrainConfig, tmp_path: Path
) -> None:
    source = square_set[0].records[0].source
    with pytest.raises(SplitError, match="no image for train"):
        TrainingData(*square_set, (), [source]).load(config, tmp_path)


def test_key_tells_what_is_seen(square_set: Data, strangers: Manifest) -> None:
    seen = [
        TrainingData(*square_set),
        TrainingData(*square_set, [Extra(strangers)]),
        TrainingData(*square_set, [Extra(strangers, square_set[1])]),
        TrainingData(*square_set, [Extra(strangers)], ["there"]),
    ]
    assert len({data.key for data in seen}) == len(seen)


def test_weights_balance_sources_by_the_root_of_their_size(strangers: Manifest) -> None:
    weights = balanced_weights(strangers.records)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[0] / weights[8] == pytest.approx((2 / 4) ** 0.5)


def test_tumor_free_slices_of_patients_weigh_half(strangers: Manifest) -> None:
    records = [
        dataclasses.replace(record, label="notumor", source_label=name)
        for record, name in zip(strangers.records[:8], ["", "tumor_free_slice"] * 4, strict=True)
    ]
    weights = balanced_weights(records)
    assert weights[1] / weights[0] == pytest.approx(0.5)


def test_a_part_of_the_patients_does_not_train(
    square_set: Data, strangers: Manifest, config: TrainConfig, tmp_path: Path
) -> None:
    trained: list[set[str]] = []
    for part in range(2):
        data = TrainingData(*square_set, [Extra(strangers)], without_part=(part, 2))
        train, validation, _ = data.load(config, tmp_path)
        assert len(validation) == 20  # all of it: it teaches nothing
        assert data.facts()["without_part"] == {"part": part, "parts": 2}
        trained.append(set(train.groups))
    assert trained[0].isdisjoint(trained[1])
    whole, _, _ = TrainingData(*square_set, [Extra(strangers)]).load(config, tmp_path)
    assert trained[0] | trained[1] == set(whole.groups)


def test_the_prior_of_a_source_is_how_often_it_holds_a_kind() -> None:
    labels = ["glioma", "glioma", "notumor", "meningioma", "pituitary", "tumor"]
    sources = ["one kind"] * 3 + ["two kinds"] * 2 + ["unknown"]
    priors = kind_log_priors(labels, sources, 0.85)
    one = np.exp(priors[0, list(TUMOR_INDICES)])
    np.testing.assert_allclose(one, [0.9, 0.05, 0.05], atol=1e-6)
    np.testing.assert_allclose(priors[2], priors[0])  # the source's, whatever the image
    two = np.exp(priors[3, list(TUMOR_INDICES)])
    np.testing.assert_allclose(two, [0.05, 0.475, 0.475], atol=1e-6)
    assert not priors[5].any()
    assert not priors[:, CLASSES.index("notumor")].any()
    even = kind_log_priors(labels, sources, 0.0)
    assert np.ptp(even[:5, list(TUMOR_INDICES)]) == 0


@pytest.mark.parametrize(
    ("sequence", "index"), [("", -1), ("T1", 0), ("T1CE", 1), ("FLAIR", 3), ("PD/T2", 4)]
)
def test_sequences_that_are_not_among_the_four_are_other(sequence: str, index: int) -> None:
    assert sequence_index(sequence) == index
