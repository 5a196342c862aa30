"""From pictures to predictions, with one bundle."""

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tumorlens import preprocessing
from tumorlens.bundle import Bundle, DecisionRule
from tumorlens.errors import InputError
from tumorlens.imaging import layout, reader
from tumorlens.imaging.array import from_array
from tumorlens.imaging.image import MedicalImage, single
from tumorlens.inference import conformal, gate
from tumorlens.inference.decision import (
    ABSTAINED,
    CLASSIFIED,
    REJECTED,
    Decision,
    abstention_reason,
)
from tumorlens.inference.postprocessing import label, softmax
from tumorlens.inference.session import Outputs, Session
from tumorlens.labels import CLASSES, NO_TUMOR
from tumorlens.preprocessing import Square

if TYPE_CHECKING:
    from tumorlens.inference.heatmap import Heatmap

Picture = str | Path | NDArray[np.generic] | MedicalImage
"""What ``Classifier.predict`` takes: a file, an array (H, W) or (H, W, 3), a decoded image."""

_FORWARD_BATCH: Final = 64
_MAX_DECODERS: Final = 8


class ModelIdentity(msgspec.Struct, frozen=True):
    """Which model gave an answer."""

    name: str
    version: str
    sha256: str
    """Hash of the ONNX file."""


class Prediction(msgspec.Struct, frozen=True):
    """The answer for one picture."""

    path: str
    decision: Decision
    """``classified``; ``abstained``, not sure enough; ``rejected``, not a picture to answer for."""
    label: str | None
    """The most probable class where ``decision`` is ``classified``; None otherwise."""
    reason: str
    """Why no answer is given, in words; empty where one is."""
    probabilities: dict[str, float]
    """Keyed by class, in the order of ``labels.CLASSES``; they sum to 1. Of a rejected picture
    they mean nothing."""
    model: ModelIdentity
    prediction_set: tuple[str, ...] | None = None
    """The classes that are not excluded, the most probable first (``inference.conformal``); None
    of a rejected picture, and where the bundle has no rule for it."""
    heatmap: "Heatmap | None" = None
    """Where the answer comes from, if that was asked for."""
    notes: tuple[str, ...] = ()
    """What DICOM and NIfTI readers left out or assumed: a copy of the slice, a useless window."""


class FailureReason(msgspec.Struct, frozen=True):
    """Why a picture got no answer."""

    kind: str
    """Stable word for programs: the ``kind`` of an ``errors.InputError``."""
    message: str


class Failure(msgspec.Struct, frozen=True):
    """Stands where a prediction would, for a picture that cannot be used."""

    path: str
    error: FailureReason

    @classmethod
    def of(cls, path: str | Path, error: InputError) -> "Failure":
        """Make the record of ``error``."""
        return cls(str(path), FailureReason(error.kind, str(error)))


class PreparedImage(msgspec.Struct, frozen=True):
    """A picture that waits for its forward pass: small, whatever the size of the picture."""

    path: str
    pixels: NDArray[np.uint8]
    """(S, S), what the network sees."""
    square: Square
    """Where that lies in the picture."""
    shape: tuple[int, int]
    """(H, W) of the picture."""
    gate_pixels: NDArray[np.uint8] | None = None
    """(G, G), what the gate sees; None where the bundle has none."""
    notes: tuple[str, ...] = ()
    """Those of the picture."""
    refusal: str = ""
    """Why it is no one slice on dark air, whatever networks say of it (``imaging.layout``)."""


class RawPrediction(NamedTuple):
    """A prediction, and what is needed to explain it."""

    prediction: Prediction
    prepared: PreparedImage
    cam: NDArray[np.float32]
    """(4, h, w): class activation map."""
    lesion: NDArray[np.float32] | None = None
    """(h, w): where the network sees tumour, if it was taught by experts' outlines."""

    def explained(self, name: str | None = None) -> Prediction:
        """The prediction with the heatmap of class ``name``; a rejected one has none.

        By default of its most probable class.
        """
        # Here, not above: scipy would slow the start of those who ask for no heatmap.
        from tumorlens.inference import heatmap

        if self.prediction.decision == REJECTED:
            return self.prediction
        probabilities = self.prediction.probabilities
        name = name or max(probabilities, key=probabilities.__getitem__)
        # What was taught where tumours are points at them, and better than the class's own map
        # (docs/measurements.md, Heatmaps).
        place = self.cam[CLASSES.index(name)]
        if self.lesion is not None and name != NO_TUMOR:
            place = self.lesion
        found = heatmap.explain(place, name, self.prepared.square, self.prepared.shape)
        return msgspec.structs.replace(self.prediction, heatmap=found)


class Classifier:
    """Reads pictures, runs the network of ``bundle`` and names what it sees.

    Safe to share between threads. Raises ``BundleError`` where the bundle cannot be run.
    """

    def __init__(
        self, bundle: Bundle, threads: int | None = None, *, answer_all: bool = False
    ) -> None:
        """Load the graph; ``threads`` a forward pass may use, None lets the runtime choose.

        With ``answer_all`` every picture is classified, however unsure, and whatever it is: to
        measure the network.
        """
        self.bundle = bundle
        self._rule = DecisionRule() if answer_all else bundle.info.decision
        self.model = ModelIdentity(bundle.info.name, bundle.info.version, bundle.sha256)
        self._threads = threads
        self._session = Session(bundle, threads)
        self._answer_all = answer_all
        self._gate = None if answer_all else gate.of_bundle(bundle, threads)

    def predict(self, picture: Picture) -> Prediction:
        """Classify one picture; raise ``InputError`` where it cannot be used."""
        return self.predict_batch([picture])[0]

    def predict_batch(self, pictures: Sequence[Picture]) -> list[Prediction]:
        """Classify several; raise ``InputError`` at the first unusable."""
        if not pictures:
            return []
        answers = self.answer([self.prepare(_image(picture)) for picture in pictures])
        return [answer.prediction for answer in answers]

    def predict_paths(
        self, paths: Iterable[str | Path], batch_size: int = 32, *, explain: bool = False
    ) -> Generator[Prediction | Failure]:
        """Classify files, in order; one that cannot be used gives a ``Failure`` in its place.

        With ``explain`` each prediction has its heatmap.

        A few threads decode ahead of the forward pass, by at most two batches of preprocessed
        pictures and one decoded picture a thread, however many paths there are.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        remaining = iter(paths)
        pool = ThreadPoolExecutor(self._decoders(), thread_name_prefix="decode")
        ahead: deque[Future[PreparedImage | Failure]] = deque()
        # The decoding threads are the parallelism: a matrix product that starts threads of its own
        # in each of them makes them wait for one another.
        limit = threadpool_limits(limits=1, user_api="blas")
        try:
            while True:
                wanted = 2 * batch_size - len(ahead)
                ahead.extend(pool.submit(self._prepare, p) for p in islice(remaining, wanted))
                if not ahead:
                    return
                taken = [ahead.popleft() for _ in range(min(batch_size, len(ahead)))]
                yield from self._finish([future.result() for future in taken], explain)
        finally:
            pool.shutdown(cancel_futures=True)
            limit.restore_original_limits()

    def preprocess(self, image: MedicalImage) -> NDArray[np.uint8]:
        """Turn one decoded image (H, W) into what the network sees: uint8 (S, S)."""
        return self.prepare(image).pixels

    def prepare(self, image: MedicalImage) -> PreparedImage:
        """Do everything that comes before the forward pass; raise ``InputError``."""
        single(image)
        config = self.bundle.info.preprocess
        # Float files may span more than float32 can divide by; clipping mends the result.
        with np.errstate(over="ignore"):
            windowed = preprocessing.Windowed(image.samples, config, image.source)
            pixels, square = windowed.fit(config)
            seen = None
            if self._gate is not None:
                seen = self._gate.preprocess(image, windowed)
        shape = image.height, image.width
        refusal = "" if self._answer_all else layout.refusal(image.samples)
        return PreparedImage(image.source, pixels, square, shape, seen, image.notes, refusal)

    def answer(self, prepared: Sequence[PreparedImage]) -> list["RawPrediction"]:
        """Answer prepared pictures, in order."""
        if not prepared:
            return []
        outputs = self.forward(np.stack([one.pixels for one in prepared]))
        predictions = self._predictions(prepared, outputs)
        lesions = [None] * len(prepared) if outputs.lesion is None else list(outputs.lesion[:, 0])
        rows = zip(predictions, prepared, outputs.cam, lesions, strict=True)
        return [RawPrediction(*parts) for parts in rows]

    def forward(self, batch: NDArray[np.uint8]) -> Outputs:
        """Run preprocessed images (N, S, S), 0 to 255; logits are before temperature."""
        return self._session.run(preprocessing.normalize(batch, self.bundle.info.preprocess))

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, 4), before temperature, of any number of preprocessed images (N, S, S)."""
        starts = range(0, len(images), _FORWARD_BATCH)
        parts = [self.forward(np.asarray(images[s : s + _FORWARD_BATCH])).logits for s in starts]
        return np.concatenate(parts)

    def _prepare(self, path: str | Path) -> PreparedImage | Failure:
        try:
            return msgspec.structs.replace(self.prepare(reader.read(path)), path=str(path))
        except InputError as error:
            return Failure.of(path, error)

    def _finish(
        self, results: Sequence[PreparedImage | Failure], explain: bool
    ) -> Iterator[Prediction | Failure]:
        prepared = [result for result in results if isinstance(result, PreparedImage)]
        answers = iter(self.answer(prepared))
        for result in results:
            if isinstance(result, Failure):
                yield result
            else:
                answer = next(answers)
                yield answer.explained() if explain else answer.prediction

    def _predictions(self, prepared: Sequence[PreparedImage], outputs: Outputs) -> list[Prediction]:
        table = softmax(outputs.logits, self.bundle.info.temperature)
        rows = zip(prepared, table, self._refusals(prepared), strict=True)
        return [self._decide(one, row, refusal) for one, row, refusal in rows]

    def _refusals(self, prepared: Sequence[PreparedImage]) -> list[str]:
        """Why each picture is refused, in words; empty where it is not."""
        seen = [one.gate_pixels for one in prepared if one.gate_pixels is not None]
        refusals = [""] * len(prepared)
        if self._gate is not None and len(seen) == len(prepared):
            refusals = self._gate.refusals(np.stack(seen))
        return [one.refusal or said for one, said in zip(prepared, refusals, strict=True)]

    def decide(self, row: NDArray[np.float64], refusal: str = "") -> tuple[Decision, str]:
        """Decision and reason for probabilities (4,), or for a picture refused with a reason."""
        if refusal:
            return REJECTED, refusal
        reason = abstention_reason(row, self._rule, self.prediction_set(row, ABSTAINED))
        return (ABSTAINED, reason) if reason else (CLASSIFIED, "")

    def prediction_set(
        self, row: NDArray[np.float64], decision: Decision
    ) -> tuple[str, ...] | None:
        """Classes that probabilities (4,) do not exclude; None as ``Prediction`` says."""
        rule = self.bundle.info.prediction_sets
        if rule is None or decision == REJECTED:
            return None
        return conformal.named(row, rule)

    def _decide(self, one: PreparedImage, row: NDArray[np.float64], refusal: str) -> Prediction:
        decision, reason = self.decide(row, refusal)
        probabilities = dict(zip(CLASSES, row.tolist(), strict=True))
        answer = label(row) if decision == CLASSIFIED else None
        kept = self.prediction_set(row, decision)
        return Prediction(
            one.path, decision, answer, reason, probabilities, self.model, kept, notes=one.notes
        )

    def _decoders(self) -> int:
        return min(_MAX_DECODERS, self._threads or os.cpu_count() or 1)


def _image(picture: Picture) -> MedicalImage:
    if isinstance(picture, MedicalImage):
        return picture
    if isinstance(picture, str | Path):
        return reader.read(picture)
    return from_array(picture)
