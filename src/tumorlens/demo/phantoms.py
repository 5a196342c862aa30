"""Synthetic heads with and without a lesion: a labelled image set without patients.

For the demonstration and for tests. A number measured on phantoms shows that the software works,
and says nothing about patients.

Each phantom patient has one to three neighbouring slices of one head. Head, signal, level and
noise are drawn in the same way for every class; only the lesion depends on the class. There is one
exception: a pituitary tumour lies at the base of the skull, so slices of the other classes are
drawn there in ``BASE_SHARE`` of the cases. From the level alone the class can be predicted in
25% + (1 - BASE_SHARE) * 25% = 35%.
"""

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tumorlens.datasets.manifest import Manifest, Record, pixel_hash
from tumorlens.datasets.splits import EXCLUDED, TEST, TRAIN, VALIDATION, Split, SplitRow, build
from tumorlens.demo.phantom_canvas import SIZE, Field, Waves
from tumorlens.demo.phantom_head import Head
from tumorlens.demo.phantom_lesions import Lesion
from tumorlens.files import write_file
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.raster import encode
from tumorlens.labels import CLASSES
from tumorlens.progress import Progress, reported

BASE_SHARE: Final = 0.6
_TESTING_SHARE: Final = 0.25


@dataclasses.dataclass(frozen=True, slots=True)
class Phantom:
    """One synthetic slice."""

    pixels: NDArray[np.uint8]
    """(H, W), 0 to 255."""
    label: str
    mask: NDArray[np.bool_]
    """(H, W), where the lesion is, without oedema."""


@dataclasses.dataclass(frozen=True, slots=True)
class Acquisition:
    """Properties of the scanner: the same for all slices of a phantom patient."""

    blur: float
    """Standard deviation in pixels."""
    noise: float
    """Standard deviation of the noise in either channel; full signal is 1."""
    gamma: float
    shading: float
    field: Waves
    white: float
    """Grey value of full signal."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw a scanner at random."""
        return cls(
            blur=rng.uniform(0.45, 0.95),
            noise=rng.uniform(0.008, 0.03),
            gamma=rng.uniform(0.85, 1.2),
            shading=rng.uniform(0.03, 0.14),
            field=Waves.smooth(rng, 1.2, count=8),
            white=rng.uniform(190.0, 250.0),
        )

    def render(self, signal: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Shade, blur, add Rician noise (the magnitude of a complex signal), round to 8 bits."""
        shaded = np.clip(signal, 0.0, None) ** self.gamma * np.exp(self.shading * self.field.at(0))
        blurred = ndimage.gaussian_filter(shaded, self.blur)
        real, imaginary = rng.normal(0.0, self.noise, (2, *signal.shape)).astype(np.float32)
        magnitude: Field = np.hypot(blurred + real, imaginary)
        return np.asarray(np.rint(np.clip(magnitude * self.white, 0.0, 255.0)), dtype=np.uint8)


@dataclasses.dataclass(frozen=True, slots=True)
class Patient:
    """A phantom patient: a head, perhaps a lesion, and the scanner."""

    label: str
    head: Head
    lesion: Lesion | None
    acquisition: Acquisition

    @classmethod
    def draw(cls, rng: np.random.Generator, label: str) -> Self:
        """Draw a patient of class ``label``."""
        base = bool(rng.uniform() < BASE_SHARE) or label == "pituitary"
        head = Head.draw(rng, base)
        return cls(label, head, Lesion.draw(rng, label, head), Acquisition.draw(rng))

    def slice(self, rng: np.random.Generator, z: float = 0.0) -> Phantom:
        """Image the plane ``z`` half head lengths above the lesion's middle."""
        grid = self.head.grid(z)
        if self.lesion is None:
            canvas = self.head.paint(z, grid, (grid.x, grid.y))
            mask = np.zeros((SIZE, SIZE), dtype=np.bool_)
        else:
            canvas = self.head.paint(z, grid, self.lesion.push(self.head, grid, z))
            mask = self.lesion.paint(canvas, self.head, grid, z)
        return Phantom(self.acquisition.render(canvas.image, rng), self.label, mask)


def make_phantom(rng: np.random.Generator, label: str) -> Phantom:
    """Draw a phantom patient of class ``label`` and image one slice of it, 192 x 192."""
    return Patient.draw(rng, label).slice(rng)


def write_phantoms(
    folder: str | Path, patients_per_class: int, seed: int, *, progress: Progress | None = None
) -> Path:
    """Write a phantom set and its manifest below ``folder``; return the manifest's path.

    The files are ``training|testing/<class>/phantom-<seed>-<patient>-<slice>.png``, a patient's
    group being ``phantom-<seed>-<patient>``; lesions have their outline under ``masks/``. As in the
    public set, and on purpose, each image is assigned to a folder by itself, so patients are
    in both, and a few test files are copies of training files: the audit finds them, and
    ``phantom_split`` separates them. Overwrites files of these names, deletes none.
    """
    folder = Path(folder)
    records: list[Record] = []
    total = patients_per_class * len(CLASSES)
    for number in reported(range(total), total, progress):
        rng = np.random.default_rng([seed, number])
        label = CLASSES[number % len(CLASSES)]
        records.extend(_write_patient(folder, rng, f"phantom-{seed}-{number:04d}", label))
    records.extend(_write_copies(folder, records))
    path = folder / "manifest.csv"
    Manifest(tuple(sorted(records, key=lambda r: r.path)), folder.resolve()).save(path)
    return path


def phantom_split(manifest: Manifest) -> Split:
    """Three fifths of the patients train, one validates, one tests, class by class.

    Patients are ranked by a hash of their name, not of an image: floating-point sums differ
    between processors, so the test part would depend on the machine. Duplicates are excluded.
    """
    part_of: dict[str, str] = {}
    for label in CLASSES:
        groups = {r.group for r in manifest if r.label == label}
        for rank, group in enumerate(sorted(groups, key=_hash)):
            part_of[group] = (TEST, VALIDATION, TRAIN, TRAIN, TRAIN)[rank % 5]
    hashes_so_far: set[str] = set()
    rows = []
    for record in manifest:
        part = EXCLUDED if record.sha256 in hashes_so_far else part_of[record.group]
        hashes_so_far.add(record.sha256)
        rows.append(SplitRow(record.sha256, record.label, record.group, part))
    description = "No phantom patient is in two parts; each distinct image once."
    return build("phantom", description, rows, disjoint=True)


def _hash(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()


def _write_patient(
    folder: Path, rng: np.random.Generator, name: str, label: str
) -> Iterator[Record]:
    """Write one to three neighbouring slices of a new patient, each into a folder drawn for it."""
    patient = Patient.draw(rng, label)
    for number in range(int(rng.integers(1, 4))):
        phantom = patient.slice(rng, z=0.05 * number + rng.uniform(-0.02, 0.02))
        part = "testing" if rng.uniform() < _TESTING_SHARE else "training"
        yield _write(folder, f"{part}/{label}/{name}-{number}.png", name, part, phantom)


def _write(folder: Path, path: str, patient: str, part: str, phantom: Phantom) -> Record:
    data = encode.png(phantom.pixels)
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, data)
    image = MedicalImage(phantom.pixels.astype(np.float32), str(file), bit_depth=8, mode="L")
    mask = f"masks/{path}" if phantom.mask.any() else ""
    if mask:
        (folder / mask).parent.mkdir(parents=True, exist_ok=True)
        write_file(folder / mask, encode.png(phantom.mask.astype(np.uint8) * 255))
    return Record(
        path=path, label=phantom.label, split=part, sha256=hashlib.sha256(data).hexdigest(),
        pixel_sha256=pixel_hash(image), width=image.width, height=image.height, mode=image.mode,
        group=patient, source="phantom", patient=patient, mask=mask,
        orientation="id" if mask else "",
    )  # fmt: skip


def _write_copies(folder: Path, records: list[Record]) -> Iterator[Record]:
    """Copy the first training file of every class into the testing folder."""
    for label in CLASSES:
        original = next((r for r in records if (r.label, r.split) == (label, "training")), None)
        if original is None:
            continue
        path = f"testing/{label}/{Path(original.path).stem}-copy.png"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_file(folder / path, (folder / original.path).read_bytes())
        yield dataclasses.replace(original, path=path, split="testing")
