"""A loaded bundle: what ``tumorlens.load`` returns."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.api.answers import Answer, Answers
from tumorlens.api.arguments import Threads, checked
from tumorlens.api.sources import Encoded, Single, Source, one_or_several
from tumorlens.bundle import BundleInfo
from tumorlens.config import Device
from tumorlens.errors import InputError
from tumorlens.imaging import finder, reader
from tumorlens.imaging.array import SOURCE, from_array, volume_from_array
from tumorlens.imaging.facts import DEFAULT_PLANE, Plane
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.input import Input
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import Failure, StudyPrediction
from tumorlens.inference.stream import outcomes
from tumorlens.inference.volume import answer_image
from tumorlens.reporting.html import render

Progress = bool | Callable[[int, int], None]
"""Whether to show progress, or a function that is called with (done, total)."""
_CHANNELS: Final = range(1, 5)
"""Lengths of the last axis that are colours, with 2 and 4 an opacity: that is refused."""
_SECONDS: Final = 0.2
"""Fewest seconds between two updates of the progress."""


class Model:
    """A loaded bundle that classifies images. It can be shared between threads."""

    @checked
    def __init__(self, classifier: Classifier) -> None:
        """Wrap ``classifier``, which can also be used directly; ``load`` makes one."""
        self.classifier = classifier

    @property
    def info(self) -> BundleInfo:
        """The bundle's ``bundle.json``: classes, preprocessing, thresholds, provenance."""
        return self.classifier.bundle.info

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self.info.classes.names

    @checked
    def predict(
        self, source: Source, *, volume: bool = False, study: bool = False, plane: Plane = "axial"
    ) -> Answer | Answers:
        """Classify one input or several; answers can be displayed with their images.

        Returns an ``Answer`` for a file (an image, a volume, a DICOM file), an array (H, W) or
        (H, W, 3), a Pillow image, or a ``MedicalImage``, and raises ``InputError`` if it cannot
        be used. Anything that numpy can convert, such as a torch tensor in CPU memory, is accepted
        as an array. Raises ``TypeError`` for other types, such as an open file.

        Returns ``Answers`` for a folder, an archive, a pattern such as ``scans/*.png``, an array
        (N, H, W) or (N, H, W, 3) of N images, or a list of any of these. An input that cannot be
        used gives an answer with an ``error``. The DICOM files of a folder are grouped into
        series. The series of a study get one joint answer, which precedes their own.

        With ``volume``, an array (D, H, W) is a volume of axial slices from foot to head, and gets
        one answer; so does each array of a list. With ``study``, everything below a path is treated
        as one study. ``plane`` is the plane in which a volume is cut: axial, coronal or sagittal.
        """
        given = one_or_several(source)
        if not isinstance(given, list) and not _is_several(given, volume=volume):
            return self._one(given, volume=volume, plane=plane)
        return Answers(list(self._each(_listed(given), study, plane, _nothing, volume=volume)))

    @checked
    def iterate(
        self,
        source: Source,
        *,
        study: bool = False,
        plane: Plane = "axial",
        progress: Progress | None = None,
    ) -> Iterator[Answer]:
        """Yield the answers for ``source`` one by one; inputs are as for ``predict``.

        Memory use does not grow with the number of inputs. ``progress`` shows a progress bar on
        standard error; by default only in a terminal or a notebook. Inputs are counted before
        the first answer.
        """
        return self._each(_listed(one_or_several(source)), study, plane, _reporter(progress))

    def __repr__(self) -> str:
        info = self.info
        return (
            f"<Model {info.name} {info.version}: {', '.join(self.classes)}; "
            f"{info.network.parameters:,} parameters>"
        )

    def _repr_html_(self) -> str:
        return render("model.html", info=self.info, sha256=self.classifier.bundle.sha256)

    def _one(self, source: Single, *, volume: bool, plane: str) -> Answer:
        if isinstance(source, str | Path):
            read: Callable[[], MedicalImage] = partial(reader.read, source, plane)
            return Answer(answer_image(self.classifier, read()).answer, self.classifier, read)
        image = _decoded(source, volume=volume)
        return Answer(answer_image(self.classifier, image).answer, self.classifier, lambda: image)

    def _each(
        self,
        sources: Sequence[Single],
        study: bool,
        plane: str,
        tell: Callable[[int, int], None],
        *,
        volume: bool = False,
    ) -> Iterator[Answer]:
        found = [
            finder.find(str(source)) if isinstance(source, str | Path) else None
            for source in sources
        ]
        total = sum(len(part.inputs) + len(part.failures) if part else 1 for part in found)
        done = 0
        for answer in self._answers(sources, found, study, plane, volume=volume):
            # Answers for studies and failures for missing files of a series are no inputs.
            if done < total and not isinstance(answer.result, StudyPrediction):
                done += 1
                tell(done, total)
            yield answer

    def _answers(
        self,
        sources: Sequence[Single],
        found: Sequence[finder.Found | None],
        study: bool,
        plane: str,
        *,
        volume: bool,
    ) -> Iterator[Answer]:
        for source, files in zip(sources, found, strict=True):
            if files is None:
                yield self._answer_alone(source, volume=volume)
            else:
                yield from self._answer_files(files, str(source) if study else None, plane)

    def _answer_alone(self, source: Single, *, volume: bool) -> Answer:
        try:
            return self._one(source, volume=volume, plane=DEFAULT_PLANE)
        except InputError as error:
            path = source.source if isinstance(source, MedicalImage) else SOURCE
            return self._failed(path, error)

    def _failed(self, path: str, error: InputError) -> Answer:
        return Answer(Failure.from_error(path, error), self.classifier)

    def _answer_files(self, files: finder.Found, study: str | None, plane: str) -> Iterator[Answer]:
        for outcome in outcomes(self.classifier, files.inputs, plane=plane, study=study):
            source = outcome.source
            read = None if source is None else partial(_image_of, source, plane)
            yield Answer(outcome.result, self.classifier, read)
        for path, error in files.failures:
            yield self._failed(path, error)


@checked
def load(
    name_or_path: str | Path = "default", *, threads: Threads | None = None, device: Device = "auto"
) -> Model:
    """Load a bundled network (``default``, ``folder``) or a bundle folder, ready to predict.

    ``threads`` is the number of threads that decode images; None: one for each core.
    ``device`` is ``auto`` (a GPU if onnxruntime's GPU package can use one), ``cpu`` or ``cuda``.
    Raises ``errors.BundleError``, ``errors.DeviceError``.
    """
    return Model(Classifier.load(name_or_path, threads, device))


def _image_of(source: Input, plane: str) -> MedicalImage:
    return source.read(plane).image


def _is_several(source: Single, *, volume: bool) -> bool:
    if isinstance(source, np.ndarray):
        return not volume and (
            source.ndim > 3 or (source.ndim == 3 and source.shape[2] not in _CHANNELS)
        )
    return isinstance(source, str | Path) and not finder.names_one(str(source))


def _listed(given: Single | list[Single]) -> Sequence[Single]:
    if isinstance(given, np.ndarray) and _is_several(given, volume=False):
        return list(given)
    return given if isinstance(given, list) else [given]


def _decoded(
    source: NDArray[np.generic] | MedicalImage | Encoded | InputError, *, volume: bool
) -> MedicalImage:
    if isinstance(source, InputError):
        raise source
    if isinstance(source, MedicalImage):
        return source
    if isinstance(source, Encoded):
        return reader.read_bytes(source.data, SOURCE).remarked(*source.notes)
    return volume_from_array(source) if volume else from_array(source)


def _reporter(progress: Progress | None) -> Callable[[int, int], None]:
    """The function that shows progress: a line that is overwritten."""
    if callable(progress):
        return progress
    if progress is None:
        progress = sys.stderr.isatty() or "ipykernel" in sys.modules
    if not progress:
        return _nothing
    last = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last > _SECONDS:
            last = time.monotonic()
            end = "\n" if done == total else ""
            print(f"\rclassified {done:,} of {total:,}", end=end, file=sys.stderr, flush=True)

    return tell


def _nothing(done: int, total: int) -> None:
    """Report no progress."""
