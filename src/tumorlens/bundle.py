"""The bundle: ``model.onnx`` + ``bundle.json``, the contract between training and everything else.

The graph takes ``image``, float32 (N, 1, S, S), as ``preprocessing.normalize`` makes it, and
gives ``logits`` (N, 4), ``cam`` (N, 4, h, w) and ``embedding`` (N, D). N is dynamic.

Format version 1. Bump ``FORMAT_VERSION`` when an older reader would misread a new bundle, and keep
``load`` able to read every version that was ever shipped.
"""

import dataclasses
import hashlib
import os
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from tumorlens.config import PreprocessConfig
from tumorlens.errors import BundleError
from tumorlens.labels import CLASSES, RESEARCH_NOTICE

FORMAT_VERSION: Final = 1
MODEL_FILE: Final = "model.onnx"
INFO_FILE: Final = "bundle.json"
INPUT: Final = "image"
OUTPUTS: Final = ("logits", "cam", "embedding")
SHIPPED: Final = ("default", "folder", "phantom")
_MAX_INFO_BYTES: Final = 4 * 1024 * 1024


class NetworkFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the network costs, computed at export."""

    architecture: dict[str, Any]
    parameters: int
    macs: int
    """Multiply-accumulates for one image, one forward pass of the network."""


class BundleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """``bundle.json``."""

    format_version: int = FORMAT_VERSION
    name: str
    version: str
    classes: tuple[str, ...] = CLASSES
    preprocess: PreprocessConfig
    temperature: Annotated[float, Meta(gt=0.0)] = 1.0
    """Logits are divided by it before the softmax; fitted on validation."""
    network: NetworkFacts
    training: dict[str, Any]
    """Provenance: data and split hashes, recipe, seed, versions, hardware, wall time."""
    metrics: dict[str, Any]
    """What was measured, each with its protocol."""
    licence: str = "Apache-2.0"
    intended_use: str = RESEARCH_NOTICE
    files: dict[str, str] = {}
    """SHA-256 of every other file of the bundle."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose hashes and version were checked."""

    info: BundleInfo
    model: bytes
    """The ONNX file."""

    @property
    def sha256(self) -> str:
        """Hash of the ONNX file: the identity of the model."""
        return self.info.files[MODEL_FILE]


def load(name_or_path: str | Path = "default") -> Bundle:
    """Load a shipped bundle by name, or a folder that holds one.

    A name that ships wins over a folder of the same name; write ``./default`` for the folder.
    Raises ``BundleError`` in one clear line.
    """
    if str(name_or_path) in SHIPPED:
        folder = Path(str(files("tumorlens").joinpath(f"weights/{name_or_path}")))
    else:
        folder = Path(name_or_path)
    if not folder.is_dir():
        raise BundleError(
            f"{name_or_path}: neither a bundle in the box ({', '.join(SHIPPED)}) nor a folder"
        )
    info = _read_info(folder)
    model = _read(folder / MODEL_FILE)
    if hashlib.sha256(model).hexdigest() != info.files.get(MODEL_FILE):
        raise BundleError(f"{folder}: {MODEL_FILE} is not the file that {INFO_FILE} describes")
    return Bundle(info, model)


def save(folder: str | Path, info: BundleInfo, model: bytes) -> Bundle:
    """Write a bundle, ``bundle.json`` last and atomically; return it as loaded."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    hashes = {MODEL_FILE: hashlib.sha256(model).hexdigest()}
    info = msgspec.structs.replace(info, files=hashes)
    _write_atomic(folder / MODEL_FILE, model)
    text = msgspec.json.format(msgspec.json.encode(info, order="deterministic"), indent=2)
    _write_atomic(folder / INFO_FILE, text + b"\n")
    return load(folder.resolve())


def _read_info(folder: Path) -> BundleInfo:
    data = _read(folder / INFO_FILE)
    if len(data) > _MAX_INFO_BYTES:
        raise BundleError(f"{folder}: {INFO_FILE} is too large to be one")
    try:
        version = msgspec.json.decode(data, type=dict[str, Any]).get("format_version")
        if version != FORMAT_VERSION:
            raise BundleError(
                f"{folder}: bundle format {version!r}; this tumorlens reads {FORMAT_VERSION}. "
                "Install the version that the bundle was made for, or a newer one"
            )
        info = msgspec.json.decode(data, type=BundleInfo)
    except msgspec.MsgspecError as error:
        raise BundleError(f"{folder}: {INFO_FILE} is damaged ({error})") from error
    if info.classes != CLASSES:
        raise BundleError(f"{folder}: its classes are {info.classes}, not {CLASSES}")
    return info


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{path.parent}: {path.name} cannot be read ({error.strerror})"
        ) from error


def _write_atomic(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
