import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from tumorlens import bundle
from tumorlens.bundle import GATE_OUTPUT, DecisionRule
from tumorlens.datasets import splits
from tumorlens.datasets.collections import TUMOR_FREE_SLICE
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split
from tumorlens.errors import EvaluationError, SplitError
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.gate import GATE_PREPROCESS, GATE_SIZE, Gate
from tumorlens.preprocessing import preprocess
from tumorlens.training.calibration import HeldOutSource, ValidationSet, calibrate, gate_facts
from tumorlens.training.export import export_graph
from tumorlens.training.gate import GateRun, WeightedImages, export_gate, train_gate

Data = tuple[Manifest, Split]


@pytest.fixture(scope="module")
def gate_file(head: np.ndarray) -> bytes:
    images = np.stack([preprocess(head.astype(np.float32), GATE_PREPROCESS)] * 4)
    return export_gate(
        train_gate(WeightedImages.alike(images), run=GateRun(steps=3, batch_size=8, outliers=20))
    )


def test_a_bundle_comes_out_calibrated_with_its_gate(
    finished: Path, square_set: Data, gate_file: bytes, tmp_path: Path
) -> None:
    before = bundle.load(finished / "bundle")
    info = msgspec.structs.replace(before.info, temperature=7.0)
    before = dataclasses.replace(before, info=info)
    done, found = calibrate(before, ValidationSet(*square_set), [], tmp_path, gate_file)
    saved = bundle.save(tmp_path / "bundle", done.info, done.model, done.gate)
    assert saved.sha256 == before.sha256
    assert saved.gate == gate_file
    assert saved.info.gate is not None
    assert saved.info.decision != DecisionRule()
    assert saved.info.decision.chosen_on == "squares validation"
    assert saved.info.temperature != before.info.temperature
    assert saved.info.prediction_sets is not None
    assert saved.info.prediction_sets.coverage == 0.95
    assert saved.info.prediction_sets.chosen_on == "squares validation"
    assert 0 < found.coverage <= 1
    reference = saved.info.reference
    assert reference is not None
    assert (reference.images, reference.chosen_on) == (20, "squares validation")
    assert "gate_score" in reference.quantiles
    again, _ = calibrate(saved, ValidationSet(*square_set), [], tmp_path, saved.gate)
    assert again.info == saved.info


def test_bars_keep_the_missed_tumours_within_the_target(
    finished: Path, square_set: Data, tmp_path: Path
) -> None:
    made = bundle.load(finished / "bundle")
    done, found = calibrate(made, ValidationSet(*square_set), [], tmp_path)
    assert found.missed_tumor_rate <= 0.005 or done.info.decision.notumor_threshold == 0.99
    assert done.info.gate is None
    Classifier(done)


def test_less_coverage_raises_the_bars_of_the_sets(
    finished: Path, square_set: Data, tmp_path: Path
) -> None:
    made, held = bundle.load(finished / "bundle"), ValidationSet(*square_set)
    rules = []
    for coverage in (0.95, 0.5):
        done, _ = calibrate(made, held, [], tmp_path, coverage=coverage)
        assert done.info.prediction_sets is not None
        rules.append(done.info.prediction_sets.thresholds)
    assert all(wide <= narrow for wide, narrow in zip(*rules, strict=True))
    assert rules[0] != rules[1]


def test_few_patients_promise_no_sets(finished: Path, square_set: Data, tmp_path: Path) -> None:
    """The same images, but of two patients for each class."""
    manifest, split = square_set
    rows = [
        dataclasses.replace(row, group=f"{row.label}-{row.part}-{place % 2}")
        for place, row in enumerate(split.rows)
    ]
    few = splits.build("few", "for tests", rows, disjoint=True)
    made = bundle.load(finished / "bundle")
    held = ValidationSet(manifest, few)
    assert held.patients == 8
    done, _ = calibrate(made, held, [], tmp_path)
    assert done.info.prediction_sets is None
    done, _ = calibrate(made, held, [], tmp_path, coverage=0.8)
    assert done.info.prediction_sets is not None


def test_what_trained_nothing_calibrates_nothing(
    finished: Path, square_set: Data, tmp_path: Path
) -> None:
    manifest, split = square_set
    far = [
        dataclasses.replace(r, source="far" if Path(r.path).stem >= "18" else "near")
        for r in manifest
    ]
    sourced, near = (
        Manifest(tuple(far), manifest.folder),
        {r.sha256 for r in far if r.source == "near"},
    )
    made = plain = bundle.load(finished / "bundle")
    training = made.info.training | {"held_out_sources": ["far"]}
    made = dataclasses.replace(made, info=msgspec.structs.replace(made.info, training=training))
    done, _ = calibrate(
        made, ValidationSet(sourced, split), [ValidationSet(sourced, split)], tmp_path
    )
    rows = [row for row in split.rows if row.sha256 in near]
    fewer = splits.build("squares", "for tests", rows, disjoint=True)
    only_near = Manifest(tuple(r for r in far if r.source == "near"), manifest.folder)
    held = ValidationSet(only_near, fewer)
    again, _ = calibrate(plain, held, [held], tmp_path)
    assert done.info.decision == again.info.decision
    assert done.info.temperature == again.info.temperature


def test_an_untrained_network_is_refused(
    tiny_bundle: Path, square_set: Data, tmp_path: Path
) -> None:
    with pytest.raises(EvaluationError, match="untrained or unsuitable"):
        calibrate(bundle.load(tiny_bundle), ValidationSet(*square_set), [], tmp_path)


def test_a_split_without_validation_images(
    tiny_bundle: Path, square_set: Data, tmp_path: Path
) -> None:
    manifest, split = square_set
    rows = [dataclasses.replace(row, part="train") for row in split.rows]
    only_train = splits.build("t", "", rows, disjoint=True)
    with pytest.raises(SplitError, match="no image for validation"):
        calibrate(bundle.load(tiny_bundle), ValidationSet(manifest, only_train), [], tmp_path)


def _abroad(made: bundle.Bundle, manifest: Manifest, wrong: frozenset[str]) -> HeldOutSource:
    """All images come from a source that trained nothing; labels of ``wrong`` are swapped."""
    swapped = {"notumor": "glioma", "glioma": "notumor"}
    records = tuple(
        dataclasses.replace(
            r,
            source="abroad",
            label=swapped.get(r.label, r.label) if r.sha256 in wrong else r.label,
        )
        for r in manifest
    )
    training = made.info.training | {"held_out_sources": ["abroad"]}
    apart = dataclasses.replace(made, info=msgspec.structs.replace(made.info, training=training))
    return HeldOutSource(apart, Manifest(records, manifest.folder))


def test_thresholds_hold_for_held_out_sources_too(
    finished: Path, square_set: Data, tmp_path: Path
) -> None:
    manifest, _ = square_set
    held, made = ValidationSet(*square_set), bundle.load(finished / "bundle")
    alone, _ = calibrate(made, held, [], tmp_path)
    everything = frozenset(r.sha256 for r in manifest)
    kind, hard = _abroad(made, manifest, frozenset()), _abroad(made, manifest, everything)
    easy, _ = calibrate(made, held, [], tmp_path, held_out=[kind])
    strict, _ = calibrate(made, held, [], tmp_path, held_out=[kind, hard])
    rules = [done.info.decision for done in (alone, easy, strict)]
    assert rules[0] == msgspec.structs.replace(rules[1], chosen_on=rules[0].chosen_on)
    assert rules[1].notumor_threshold < rules[2].notumor_threshold
    assert rules[1].tumor_threshold == rules[2].tumor_threshold
    assert rules[2].chosen_on == "squares validation, and held-out sources"
    assert strict.info.temperature == alone.info.temperature
    sets = strict.info.prediction_sets, alone.info.prediction_sets
    assert sets[0] is not None
    assert sets[1] is not None
    assert sets[0].thresholds == sets[1].thresholds


def test_test_images_of_a_source_left_out_are_left_alone(
    tiny_bundle: Path, square_set: Data, tmp_path: Path
) -> None:
    manifest, split = square_set
    source = _abroad(bundle.load(tiny_bundle), manifest, frozenset())
    assert len(source.chosen()) == len(manifest)
    rows = [
        dataclasses.replace(row, part="test" if row.part == "validation" else "train")
        for row in split.rows
    ]
    part = splits.build("tested", "", rows, disjoint=True)
    kept = dataclasses.replace(source, split=part).chosen()
    assert len(kept) == sum(row.part == "train" for row in rows) < len(manifest)
    nothing = dataclasses.replace(source, bundle=bundle.load(tiny_bundle))
    with pytest.raises(SplitError, match="no usable image of a source"):
        nothing.chosen()


def test_tumour_free_slices_of_patients_do_not_validate(square_set: Data) -> None:
    manifest, split = square_set
    whole = ValidationSet(manifest, split).chosen()
    doubtful = next(i for i in whole if manifest.records[i].label == "notumor")
    records = list(manifest.records)
    records[doubtful] = dataclasses.replace(records[doubtful], source_label=TUMOR_FREE_SLICE)
    fewer = ValidationSet(Manifest(tuple(records), manifest.folder), split).chosen()
    assert fewer == [i for i in whole if i != doubtful]


def test_healthy_slices_of_known_patients_with_tumours_are_no_false_alarms(
    tiny_bundle: Path, square_set: Data
) -> None:
    source = _abroad(bundle.load(tiny_bundle), square_set[0], frozenset())
    records = [
        dataclasses.replace(r, patient=f"P{i}" if i % 2 else "")
        for i, r in enumerate(source.manifest)
    ]

    def chosen(label: str) -> set[bool]:
        """For the healthy images that are used: whether their patient is known."""
        kept = tuple(r for r in records if r.label in ("notumor", label))
        held = dataclasses.replace(source, manifest=Manifest(kept, source.manifest.folder))
        return {bool(kept[i].patient) for i in held.chosen() if kept[i].label == "notumor"}

    assert chosen("glioma") == {False}
    assert chosen("notumor") == {False, True}


class _Brightness(torch.nn.Module):
    """A gate whose score is the brightness of the image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(1, 2, 3))


def test_the_gate_rejects_few_images_of_each_family() -> None:
    example = torch.zeros(2, 1, GATE_SIZE, GATE_SIZE)
    model = export_graph(_Brightness(), example, [GATE_OUTPUT])
    grays = np.arange(250, dtype=np.uint8)
    images = np.broadcast_to(grays[:, None, None], (250, GATE_SIZE, GATE_SIZE)).copy()

    def rejected(families: list[str]) -> int:
        facts = gate_facts(model, images, families, "grays")
        return int((Gate(facts, model, "test").scores(images) < facts.threshold).sum())

    # Of all 250 images 0.5% may be rejected, the darkest, of the 60 of the darker family none.
    assert rejected(["usual"] * 250) == 1
    assert rejected(["dark"] * 60 + ["usual"] * 190) == 0
