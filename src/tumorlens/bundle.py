"""The bundle: ``model.onnx`` + ``bundle.json``, the contract between training and everything else.

The graph takes ``image``, float32 (N, 1, S, S), as ``preprocessing.normalize`` makes it, and
gives ``logits`` (N, C), ``cam`` (N, C, h, w) and ``embedding`` (N, D), and where the network was
trained on experts' outlines also ``lesion`` (N, 1, h, w), and where it was trained to tell the
sequence ``sequence`` (N, 5). N is dynamic.

Bump ``FORMAT_VERSION`` when an older reader would misread a new bundle, and keep ``load`` able to
read every version of a release.
"""

import dataclasses
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from tumorlens.config import PreprocessConfig
from tumorlens.errors import BundleError, did_you_mean
from tumorlens.files import read_regular, write_synced
from tumorlens.labels import BRAIN_TUMORS, RESEARCH_NOTICE, ClassSet

FORMAT_VERSION: Final = 4
MODEL_FILE: Final = "model.onnx"
INFO_FILE: Final = "bundle.json"
BUNDLE_FOLDER: Final = "bundle"
"""Where the folder of a training run holds its bundle."""
LICENCE: Final = "Apache-2.0"
"""Of weights for which no other is stated."""
INPUT: Final = "image"
OUTPUTS: Final = ("logits", "cam", "embedding")
LESION_OUTPUT: Final = "lesion"
"""(N, 1, h, w): where the tumour is, 0 to 1; only of networks trained with outlines."""
SEQUENCE_OUTPUT: Final = "sequence"
"""(N, 5): logits of ``labels.SEQUENCES``; only of networks that were trained to tell them."""
OPTIONAL_OUTPUTS: Final = (LESION_OUTPUT, SEQUENCE_OUTPUT)
GATE_FILE: Final = "gate.onnx"
GATE_OUTPUT: Final = "head"
"""(N,): logit of "this is an image of a head"."""
SHIPPED: Final = ("default", "open", "folder", "phantom")
_NOT_CALIBRATED: Final = (
    "is not calibrated, so it answers at any probability; see `tumorlens calibrate`"
)
_MAX_INFO_BYTES: Final = 4 * 1024 * 1024
_MAX_PART_BYTES: Final = 1024 * 1024 * 1024


class NetworkFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Cost of the network, computed at export."""

    architecture: dict[str, Any]
    parameters: int
    macs: int
    """Multiply-accumulates for one image, one forward pass of the network."""


WholeKind = Literal["axial", "other"]
"""How the slices of a whole head lie: axial, with a known upper end, or otherwise."""
Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities from which each part of an answer is stated. With the defaults, all are."""

    notumor_threshold: Share = 0.0
    """Of no finding: below it, no image is called free of one. (Here a finding is a tumour.)"""
    tumor_threshold: Share = 0.0
    """Of a finding of any kind: below it, none is reported."""
    kind_threshold: Share = 0.0
    """Of the most probable kind, given a finding: below it, the kind is not named.

    The only one that counts where no class means "no finding"."""


class DecisionRule(Thresholds, frozen=True, kw_only=True):
    """Thresholds for any image, and those of sequences that had enough images of their own."""

    by_sequence: dict[str, Thresholds] = {}
    """Keyed by ``labels.SEQUENCES``; used where the sequence is known."""
    chosen_on: str = ""
    """How and on which images the thresholds were chosen."""

    def thresholds(self, sequence: str | None) -> Thresholds:
        """Those of ``sequence``, or of any image where it is not known or has none."""
        return self.by_sequence.get(sequence or "", self)


class ConformalThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds of the prediction sets: a class is included if its probability reaches them.

    Split-conformal, class by class; ``evaluation.conformal`` fits it on validation.
    """

    coverage: Annotated[float, Meta(gt=0.0, lt=1.0)]
    """Target share of sets that contain the true class, for each class."""
    thresholds: tuple[float, ...]
    """In the order of ``classes``: for classified images."""
    by_decision: dict[str, tuple[float, ...]] = {}
    """For images that were ``detected`` or ``abstained``, fitted on such images alone (Mondrian),
    so that the coverage is also correct for these answers."""
    chosen_on: str = ""
    """How and on which images the thresholds were fitted."""


class FusionRule(msgspec.Struct, frozen=True, kw_only=True):
    """Weights of the sequences in the answer for a study."""

    weights: dict[str, Annotated[float, Meta(ge=0.0)]] = {}
    """Keyed by ``labels.SEQUENCES``; a sequence that is not here, or not known, counts 1."""
    chosen_on: str = ""
    """How and on which studies the weights were chosen."""


class GateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How ``gate.onnx`` is used: it accepts images of heads and rejects everything else."""

    preprocess: PreprocessConfig
    threshold: float
    """Logit below which an image is rejected."""
    chosen_on: str
    """How and on which images the threshold was chosen."""


class ReferenceStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Summary of validation images, with which the images of a site are compared.

    ``evaluation.drift`` computes it. No image can be reconstructed from it.
    """

    images: int
    chosen_on: str
    """Which images these are."""
    levels: tuple[float, ...]
    """Levels of the quantiles, rising."""
    quantiles: dict[str, tuple[float, ...]]
    """Quantiles at ``levels`` of each quantity of ``evaluation.drift.QUANTITIES``."""
    sequences: dict[str, float] = {}
    """Share of the images that the network takes for each of ``labels.SEQUENCES``."""
    embedding_mean: tuple[float, ...]
    embedding_deviation: tuple[float, ...]
    """Standard deviation of each of the D features; above 0."""


class SiteCalibration(msgspec.Struct, frozen=True, kw_only=True):
    """How a bundle was calibrated to a site: the parent bundle and the cases."""

    parent_name: str
    parent_version: str
    parent_sha256: str
    """Of the parent's ``bundle.json``."""
    data_sha256: str
    """Of the manifest of local cases (``Manifest.sha256``)."""
    patients: int
    images: int
    by_class: dict[str, int]
    """Patients of each class."""
    seen_images: str
    """A few bytes of each image's hash (``evaluation.training_images``): testing on one of them
    would be testing on what was fitted."""
    fitted: tuple[str, ...] = ()
    """What was fitted to the site, in words."""
    kept: tuple[str, ...] = ()
    """What was kept from the parent, and why, in words."""


class BundleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """``bundle.json``."""

    format_version: int = FORMAT_VERSION
    name: str
    version: str
    classes: ClassSet = BRAIN_TUMORS
    preprocess: PreprocessConfig
    temperature: Annotated[float, Meta(gt=0.0)] = 1.0
    """Logits are divided by it before the softmax; fitted on validation."""
    decision: DecisionRule = DecisionRule()
    volume_decisions: dict[WholeKind, DecisionRule] = {}
    """For whole heads, whose probabilities are computed differently; by the slices' orientation.
    Where there is none, ``decision`` applies."""
    fusion: FusionRule = FusionRule()
    """How the series of a study count together."""
    prediction_sets: ConformalThresholds | None = None
    """None: answers come without one."""
    gate: GateFacts | None = None
    """Present if the bundle has a ``gate.onnx``."""
    network: NetworkFacts
    training: dict[str, Any]
    """Provenance: data and split hashes, recipe, seed, versions, hardware, wall time."""
    metrics: dict[str, Any]
    """Measured metrics, each with its protocol."""
    reference: ReferenceStatistics | None = None
    """Summary of validation images; None for older bundles."""
    site: SiteCalibration | None = None
    """Present if temperature, thresholds and sets were fitted to a site."""
    licence: str = LICENCE
    """Of the weights. Those that were trained further keep the licence that they started with."""
    intended_use: str = RESEARCH_NOTICE
    files: dict[str, str] = {}
    """SHA-256 of every other file of the bundle."""

    @property
    def caveats(self) -> tuple[str, ...]:
        """Caveats that are shown with each answer."""
        return () if self._holds_back else (f"bundle {self.name} {_NOT_CALIBRATED}",)

    @property
    def _holds_back(self) -> bool:
        """Whether any threshold was chosen: without one, every probability is an answer."""
        rules = (self.decision, *self.volume_decisions.values())
        return any(rule != DecisionRule() for rule in rules)


@dataclasses.dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose hashes and version were checked."""

    info: BundleInfo
    model: bytes
    """The ONNX file."""
    gate: bytes | None = None
    """The gate's ONNX file, where there is one."""
    info_sha256: str = ""
    """Hash of ``bundle.json`` as it was read; empty for a bundle that was not read."""

    @property
    def sha256(self) -> str:
        """Hash of the ONNX file: the identity of the model."""
        return self.info.files[MODEL_FILE]


def locate(name_or_path: str | Path) -> Path:
    """Folder of a bundle, given the name of a bundled one, its folder, or the folder of a run.

    A bundled name takes precedence over a folder of that name; use ``./default`` for the folder.
    """
    folder = _shipped(str(name_or_path)) or Path(name_or_path)
    of_run = folder / BUNDLE_FOLDER
    return of_run if _is_folder(of_run) and not (folder / INFO_FILE).exists() else folder


def load(name_or_path: str | Path = "default") -> Bundle:
    """Load the bundle that ``locate`` finds; raise ``BundleError``."""
    folder = locate(name_or_path)
    if not _is_folder(folder):
        present = ", ".join(name for name in SHIPPED if _is_folder(_weights() / name)) or "none"
        raise BundleError(
            f"{name_or_path}: neither a bundled network ({present}) nor a bundle folder"
            f"{did_you_mean(str(name_or_path), SHIPPED)}"
        )
    info, info_sha256 = _read_info(folder)
    parts = {name: _read_part(folder, name, digest) for name, digest in info.files.items()}
    if MODEL_FILE not in parts:
        raise BundleError(f"{folder}: {INFO_FILE} lists no {MODEL_FILE}")
    if info.gate is not None and GATE_FILE not in parts:
        raise BundleError(f"{folder}: {INFO_FILE} lists no {GATE_FILE}")
    gate = parts.get(GATE_FILE) if info.gate else None
    return Bundle(info, parts[MODEL_FILE], gate, info_sha256)


def save(folder: str | Path, info: BundleInfo, model: bytes, gate: bytes | None = None) -> Bundle:
    """Write a bundle, ``bundle.json`` last and atomically; return it as loaded."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = {MODEL_FILE: model} | ({GATE_FILE: gate} if gate is not None else {})
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}
    info = msgspec.structs.replace(info, files=hashes)
    for name, data in parts.items():
        write_synced(folder / name, data)
    text = msgspec.json.format(msgspec.json.encode(info, order="deterministic"), indent=2)
    write_synced(folder / INFO_FILE, text + b"\n")
    return load(folder.resolve())


def _weights() -> Path:
    return Path(str(files("tumorlens").joinpath("weights")))


def _shipped(name: str) -> Path | None:
    return _weights() / name if name in SHIPPED else None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name longer than the file system allows
        return False


def _read_part(folder: Path, name: str, digest: str) -> bytes:
    """Return the bytes of a listed file, which must lie in the folder and have the hash stated."""
    if Path(name).name != name:
        raise BundleError(f"{folder}: {INFO_FILE} lists {name!r}, which is not a plain file name")
    data = _read(folder / name)
    if hashlib.sha256(data).hexdigest() != digest:
        raise BundleError(
            f"{folder}: {name} is not the file that {INFO_FILE} describes (its SHA-256 differs); "
            "get the bundle again"
        )
    return data


def _read_info(folder: Path) -> tuple[BundleInfo, str]:
    """``bundle.json`` and its hash."""
    data = _read(folder / INFO_FILE, _MAX_INFO_BYTES)
    try:
        facts = msgspec.json.decode(data, type=dict[str, Any])
        version = facts.get("format_version")
        if version != FORMAT_VERSION:
            raise BundleError(
                f"{folder}: bundle format {version!r}; this version of tumorlens reads "
                f"{FORMAT_VERSION}. Install the version that the bundle was made for, or a newer "
                "one"
            )
        info = msgspec.convert(facts, BundleInfo)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BundleError(f"{folder}: {INFO_FILE} is damaged ({error})") from error
    sets = info.prediction_sets
    fitted = [] if sets is None else [sets.thresholds, *sets.by_decision.values()]
    if any(len(row) != len(info.classes) for row in fitted):
        raise BundleError(
            f"{folder}: its prediction sets have another number of classes than its network"
        )
    return info, hashlib.sha256(data).hexdigest()


def _read(path: Path, most_bytes: int = _MAX_PART_BYTES) -> bytes:
    try:
        return read_regular(path, most_bytes)
    except OSError as error:
        raise BundleError(
            f"{path.parent}: {path.name} cannot be read ({error.strerror})"
        ) from error
    except ValueError as error:  # a NUL in the name
        raise BundleError(f"{path.parent}: {path.name!r} is not a file name") from error
