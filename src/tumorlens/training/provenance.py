"""Provenance of a run: enough to repeat it, and nothing that names a person's machine."""

import hashlib
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import msgspec
import torch

from tumorlens.config import TrainConfig
from tumorlens.cores import processor
from tumorlens.training.data import TrainingData

RUN_FILE: Final = "run.json"
"""The record, in a run's folder."""
_PACKAGES: Final = ("tumorlens", "torch", "numpy", "pillow", "onnx", "onnxruntime", "safetensors")


def run_key(config: TrainConfig, data: TrainingData, processes: int, start: str = "") -> str:
    """Hash of all that determines a run on one machine; ``start`` is that of its first weights.

    Whether the exported graph looks at the mirror image too may be decided after the last epoch.
    """
    course = msgspec.structs.replace(config, flip_at_test=False)
    digest = hashlib.sha256(msgspec.json.encode(course, order="deterministic"))
    digest.update(f"{data.key}{processes}{start}".encode())
    return digest.hexdigest()


def describe_run(config: TrainConfig, data: TrainingData) -> dict[str, Any]:
    """The part of ``run.json`` that is known before training."""
    return {
        "recipe": msgspec.to_builtins(config),
        "seed": config.seed,
        **data.facts(),
        "versions": package_versions(),
        "git_commit": git_commit(),
        "hardware": hardware(),
    }


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect a run."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def git_commit() -> str:
    """Commit of the source tree, with ``+changes`` where it was edited; empty when installed."""
    folder = Path(__file__).resolve().parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{commit}+changes" if changes else commit


def hardware() -> dict[str, Any]:
    """Processor, cores, threads used and accelerator."""
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {
        "system": sys.platform,
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": accelerator,
    }


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - fixed arguments
        ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )
    return done.stdout.strip()
