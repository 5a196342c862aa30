"""One training run from recipe to bundle."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import numpy as np
import torch

import tumorlens
from tumorlens import bundle
from tumorlens.bundle import BUNDLE_FOLDER, LICENCE, Bundle, BundleInfo, NetworkFacts
from tumorlens.config import Device, TrainConfig
from tumorlens.errors import OutputExistsError, RecipeError
from tumorlens.evaluation.calibration import fit_temperature, negative_log_likelihood
from tumorlens.files import write_file
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import BRAIN_TUMORS, ClassSet
from tumorlens.networks import registry
from tumorlens.networks.sepsenet import Network
from tumorlens.preprocessing import normalize
from tumorlens.training import cache, export, provenance
from tumorlens.training.checkpoint import CHECKPOINT_FILE, load_checkpoint, require_run
from tumorlens.training.data import TrainingData
from tumorlens.training.distillation import PART_FOLDER, Teachers
from tumorlens.training.images import ImageSet
from tumorlens.training.journal import Journal
from tumorlens.training.lineage import with_lineage
from tumorlens.training.mlflow_log import mlflow_run
from tumorlens.training.processes import Processes, join_processes, pick_device, process_count
from tumorlens.training.start import Start
from tumorlens.training.trainer import Trainer, Watcher

_PARITY_IMAGES: Final = 64


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How to run; what to train is the recipe's."""

    name: str = "model"
    """The bundle's name."""
    resume: bool = False
    cache_folder: Path | None = None
    threads: int | None = None
    """CPU threads; with another number, sums are rounded differently."""
    device: Device = "auto"
    """Where the network is trained."""
    init: Path | None = None
    """Folder of a finished run, or a bundle, to start from instead of random weights."""
    teacher: Path | None = None
    """Run of teachers whose probabilities are learnt in addition to the labels."""


def train(
    config: TrainConfig,
    data: TrainingData,
    out: Path,
    options: RunOptions | None = None,
    watchers: Sequence[Watcher] = (),
) -> Path | None:
    """Train, export and calibrate; return the bundle's folder, ``out/bundle``.

    Under ``torchrun`` every process calls this; those that do not lead return None. ``out`` gets
    ``checkpoint.safetensors``, ``metrics.csv``, ``curves.png``, ``tensorboard/``, ``run.json`` and
    the bundle. A recipe with ``cross_fit`` trains one network for each part of the patients,
    without that part, in ``out/part-K``; ``out`` is returned then. Raises ``OutputExistsError``
    where ``out`` holds a run and ``resume`` is off, ``CheckpointError`` where the run to start
    from, or a teacher, was trained on test images of ``data``; ``RecipeError`` where there are
    teachers that the recipe does not use. Without a teacher, a recipe with a
    ``distillation_weight`` trains on labels alone.
    """
    options = options or RunOptions()
    if config.cross_fit == 1:
        return _train_one(config, data, out, options, watchers)
    for part in range(config.cross_fit):
        without = dataclasses.replace(data, without_part=(part, config.cross_fit))
        folder = out / PART_FOLDER.format(part)
        named = dataclasses.replace(options, name=f"{options.name}-{part}")
        recipe = msgspec.structs.replace(config, seed=config.seed + part)
        if not is_finished(recipe, without, folder, named):
            _train_one(recipe, without, folder, named, watchers)
    return out


def is_finished(config: TrainConfig, data: TrainingData, out: Path, options: RunOptions) -> bool:
    """Whether there is nothing left for ``train`` to resume in ``out``.

    Raises ``CheckpointError`` where ``out`` holds another run.
    """
    if not options.resume or not (out / provenance.RUN_FILE).exists():
        return False
    checkpoint = out / CHECKPOINT_FILE
    _, state = load_checkpoint(checkpoint)
    ready = _Prepared.for_run(config, data, options)
    require_run(checkpoint, state, ready.run_key(process_count()))
    record = msgspec.json.decode((out / provenance.RUN_FILE).read_bytes())
    # The one setting that may change after the last epoch: the graph is then exported again.
    return bool(record["recipe"]["flip_at_test"] == config.flip_at_test)


def _train_one(
    config: TrainConfig,
    data: TrainingData,
    out: Path,
    options: RunOptions,
    watchers: Sequence[Watcher],
) -> Path | None:
    if options.threads:
        torch.set_num_threads(options.threads)
    with join_processes(options.device) as processes:
        checkpoint = prepare_folder(out, options.resume)
        ready = _Prepared.for_run(config, data, options)
        config, data = ready.config, ready.data
        trainer = _build(ready, options, processes)
        if checkpoint.exists():
            trainer.restore(checkpoint)
        if not processes.leads:
            trainer.fit(checkpoint)
            return None
        started = datetime.now(UTC).isoformat(timespec="seconds")
        with Journal(out, trainer.state.epoch) as journal, mlflow_run(options.name, config) as log:
            trainer.fit(checkpoint, [journal, *([log] if log else []), *watchers])
            run = _with_parents(provenance.describe_run(config, data), ready)
            run |= {
                "started": started,
                "processes": processes.count,
                "epochs": config.epochs,
                "best_epoch": trainer.state.best_epoch,
                "wall_time_s": round(trainer.state.wall_time_s, 1),
                "images": {
                    "train": len(trainer.train_set),
                    "validation": len(trainer.validation_set),
                },
            }
            folder = _finish(out, trainer, run, options.name, ready.licence)
            if log is not None:
                log.finish(out)
            return folder


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """Everything that determines a run, checked; no image is read yet."""

    config: TrainConfig
    data: TrainingData
    start: Start | None
    teachers: Teachers

    @classmethod
    def for_run(cls, config: TrainConfig, data: TrainingData, options: RunOptions) -> Self:
        """Raises what ``train`` does."""
        if options.teacher is None:
            config = msgspec.structs.replace(config, distillation_weight=0.0)
        data = dataclasses.replace(data, stated_classes=config.classes)
        data.check_classes()
        start = None if options.init is None else Start.load(options.init)
        if start is not None:
            start.parent.check(data)
        # Trained weights may have learnt from outlines already, or never.
        outlines = data.has_outlines() if start is None else start.has_lesion_head
        config = registry.fitting(config, outlines=outlines)
        return cls(config, data, start, _teachers(config, data, options))

    @property
    def licence(self) -> str:
        """Of the weights that will be trained."""
        return LICENCE if self.start is None else self.start.licence

    def run_key(self, processes: int) -> str:
        """Hash that a checkpoint of this run holds."""
        known = (self.start.sha256 if self.start else "") + self.teachers.sha256
        return provenance.run_key(self.config, self.data, processes, known)


def prepare_folder(out: Path, resume: bool) -> Path:
    """Make ``out`` and return its checkpoint's path; never overwrite a run by accident."""
    checkpoint = out / CHECKPOINT_FILE
    if checkpoint.exists() and not resume:
        raise OutputExistsError(
            f"{out} already contains a run: continue it with --resume, or choose another --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    return checkpoint


def export_bundle(
    network: Network,
    validation: ImageSet,
    config: TrainConfig,
    name: str,
    training: dict[str, Any],
    folder: Path,
    classes: ClassSet = BRAIN_TUMORS,
    licence: str = LICENCE,
) -> Bundle:
    """Export ``network``, assert parity on validation images, fit the temperature, save."""
    size = config.preprocess.image_size
    model = export.to_onnx(network, size, flip=config.flip_at_test)
    info = BundleInfo(
        name=name,
        version=tumorlens.__version__,
        classes=classes,
        preprocess=config.preprocess,
        network=NetworkFacts(
            architecture=network.describe(),
            parameters=registry.count_parameters(network),
            macs=registry.count_macs(network, size),
        ),
        training=training,
        metrics={},
        licence=licence,
    )
    model = export.with_metadata(model, info)
    saved = bundle.save(folder, info, model)
    logits = Classifier(saved).forward(validation.images).logits
    sample = normalize(np.asarray(validation.images[:_PARITY_IMAGES]), config.preprocess)
    parity = export.check_parity(network, logits[:_PARITY_IMAGES], sample, flip=config.flip_at_test)
    temperature = fit_temperature(logits, validation.labels)
    metrics = {
        "validation": {
            "protocol": training.get("split", {}).get("name", ""),
            "n": len(validation),
            "accuracy": float((logits.argmax(1) == validation.labels).mean()),
            "log_loss": negative_log_likelihood(logits / temperature, validation.labels),
        },
        "parity_max_abs_logit_difference": parity,
    }
    info = msgspec.structs.replace(info, temperature=temperature, metrics=metrics)
    return bundle.save(folder, info, model)


def _build(ready: _Prepared, options: RunOptions, processes: Processes) -> Trainer:
    folder = options.cache_folder or cache.default_folder()
    train_set, validation_set, extra = ready.data.load(ready.config, folder)
    return Trainer(
        ready.config,
        train_set,
        validation_set,
        run_key=ready.run_key(processes.count),
        device=pick_device(options.device),
        processes=processes,
        extra=extra,
        start=ready.start,
        teachers=ready.teachers,
        classes=ready.data.classes,
    )


def _teachers(config: TrainConfig, data: TrainingData, options: RunOptions) -> Teachers:
    if options.teacher is not None and config.distillation_weight == 0:
        raise RecipeError("`--teacher` requires a recipe with `distillation_weight` above 0")
    teachers = Teachers.load(options.teacher, options.threads)
    teachers.check(config.preprocess, data.classes)
    for parent in teachers.parents:
        parent.check(data)
    return teachers


def _with_parents(run: dict[str, Any], ready: _Prepared) -> dict[str, Any]:
    start, teachers = ready.start, ready.teachers
    if start is not None:
        run = run | {"start_from": start.parent.summary()}
    if teachers.parents:
        run = run | {"teachers": [parent.summary() for parent in teachers.parents]}
    first = [start.parent] if start is not None else []
    return with_lineage(run, ready.data, [*first, *teachers.parents])


def _finish(out: Path, trainer: Trainer, run: dict[str, Any], name: str, licence: str) -> Path:
    network = registry.build(trainer.config, len(trainer.classes))
    network.load_state_dict({n: v.cpu() for n, v in trainer.best_weights.items()})
    folder = out / BUNDLE_FOLDER
    exported = export_bundle(
        network, trainer.validation_set, trainer.config, name, run, folder, trainer.classes, licence
    )
    record = {**run, "bundle": {"model_sha256": exported.sha256, "metrics": exported.info.metrics}}
    text = msgspec.json.format(msgspec.json.encode(record, order="deterministic"), indent=2)
    write_file(out / provenance.RUN_FILE, text + b"\n")
    return folder
