"""Classify images with one bundle."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens import bundle as bundles
from tumorlens import preprocessing
from tumorlens.bundle import Bundle, DecisionRule, WholeKind
from tumorlens.config import Device
from tumorlens.cores import available_cores
from tumorlens.imaging import reader
from tumorlens.imaging.array import from_array
from tumorlens.imaging.facts import AcquisitionFacts
from tumorlens.imaging.image import MedicalImage, single
from tumorlens.imaging.samples import layout
from tumorlens.inference import conformal, gate
from tumorlens.inference.decision import decide
from tumorlens.inference.postprocessing import softmax
from tumorlens.inference.record import (
    REJECTED,
    Decision,
    Heatmap,
    ModelIdentity,
    Prediction,
    SequenceAnswer,
)
from tumorlens.inference.sequence import (
    contradiction,
    known_sequence,
    predicted_sequence,
    stated_sequence,
)
from tumorlens.inference.session import Outputs, Session
from tumorlens.inference.summary import summarize
from tumorlens.labels import BRAIN_TUMORS, ClassSet
from tumorlens.preprocessing import Square

ImageInput = str | Path | NDArray[np.generic] | MedicalImage
"""What ``Classifier.predict`` takes: a file, an array (H, W) or (H, W, 3), a decoded image."""

_FORWARD_BATCH: Final = 64
_MAX_DECODERS: Final = 8


class PreparedImage(msgspec.Struct, frozen=True):
    """A preprocessed image before its forward pass; small, whatever the original size."""

    path: str
    pixels: NDArray[np.uint8]
    """(S, S), the input of the network."""
    square: Square
    """The part of the image that it shows."""
    shape: tuple[int, int]
    """(H, W) of the image."""
    gate_pixels: NDArray[np.uint8] | None = None
    """(G, G), the input of the gate; None if the bundle has none."""
    notes: tuple[str, ...] = ()
    """Caveats of the image."""
    refusal: str = ""
    """Why it is rejected whatever the networks answer, such as several slices in one image
    (``imaging.samples.layout``); otherwise empty."""
    facts: AcquisitionFacts | None = None
    """What the file states about the acquisition."""


class Conclusion(NamedTuple):
    """The part of a record that is the same for an image, a volume and a study."""

    decision: Decision
    label: str | None
    summary: str
    reason: str
    tumor_probability: float | None
    probabilities: dict[str, float] | None
    prediction_set: tuple[str, ...] | None


class RawPrediction(NamedTuple):
    """A prediction, and what is needed to explain it."""

    prediction: Prediction
    prepared: PreparedImage
    cam: NDArray[np.float32]
    """(C, h, w): class activation map."""
    row: NDArray[np.float64]
    """(C,): probabilities, also for a rejected image."""
    lesion: NDArray[np.float32] | None = None
    """(h, w): the lesion map, if the network has a lesion head."""
    sequence: NDArray[np.float32] | None = None
    """(5,): logits of ``labels.SEQUENCES``, if the network has them."""

    def explained(self) -> Prediction:
        """The prediction with its heatmap, if it has one."""
        return msgspec.structs.replace(self.prediction, heatmap=self.heatmap())

    def heatmap(self, label: str | None = None) -> Heatmap | None:
        """The map of ``label``, by default of the answer's kind or the most probable one.

        None for a rejected image, and by default if the answer is "no finding", because there is
        nothing to show.
        """
        # Imported here: scipy would slow the start where no heatmap is wanted.
        from tumorlens.inference import heatmap

        classes = self.prediction.model.class_set
        label = label or self.prediction.label or classes.likeliest_kind(self.row)
        if self.prediction.decision == REJECTED or label == classes.no_finding:
            return None
        # A lesion map, trained on outlines, points at tumours better than the class map
        # (docs/measurements.md, Heatmaps).
        cam = self.cam[classes.names.index(label)] if self.lesion is None else self.lesion
        return heatmap.explain(cam, label, self.prepared.square, self.prepared.shape)


class Classifier:
    """Reads images and classifies them with the network of ``bundle``.

    It can be shared between threads. Raises ``BundleError`` if the bundle cannot be run.
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int | None = None,
        *,
        answer_all: bool = False,
        device: Device = "cpu",
    ) -> None:
        """Load the graph; images are decoded by ``threads``, None: one for each core.

        With ``answer_all`` every image is classified, without gate and thresholds, to measure the
        network itself. Raises ``DeviceError`` if the ``device`` does not exist.
        """
        self.bundle = bundle
        self.classes: ClassSet = bundle.info.classes
        self._rule = DecisionRule() if answer_all else bundle.info.decision
        self._volume_rules = {} if answer_all else bundle.info.volume_decisions
        self.model = ModelIdentity(
            name=bundle.info.name,
            version=bundle.info.version,
            sha256=bundle.sha256,
            classes=None if self.classes == BRAIN_TUMORS else self.classes,
        )
        self._threads, self._device = threads, device
        self._session = Session(bundle, device=device)
        self._answer_all = answer_all
        self._gate = None if answer_all else gate.load_gate(bundle, device)

    @classmethod
    def load(
        cls,
        name_or_path: str | Path = "default",
        threads: int | None = None,
        device: Device = "cpu",
        *,
        answer_all: bool = False,
    ) -> Self:
        """Load a bundled network or a bundle folder; raise ``BundleError``, ``DeviceError``."""
        return cls(bundles.load(name_or_path), threads, answer_all=answer_all, device=device)

    def without_abstention(self) -> Self:
        """The same network without rejection or abstention, for evaluation."""
        return type(self)(self.bundle, self._threads, answer_all=True, device=self._device)

    def predict(self, image: ImageInput) -> Prediction:
        """Classify one image; raise ``InputError`` if it cannot be used."""
        return self.answer([self.prepare(_image(image))])[0].prediction

    def preprocess(self, image: MedicalImage) -> NDArray[np.uint8]:
        """Convert a decoded image (H, W) to the network's input: uint8 (S, S)."""
        return self.prepare(image).pixels

    def prepare(self, image: MedicalImage) -> PreparedImage:
        """Preprocess one image for the forward pass; raise ``InputError``."""
        single(image)
        config = self.bundle.info.preprocess
        # The range of a float file may overflow float32; the result is clipped anyway.
        with np.errstate(over="ignore"):
            windowed = preprocessing.Windowed(image.samples, config, image.source)
            pixels, square = windowed.fit(config)
            gate_pixels = None
            if self._gate is not None:
                gate_pixels = self._gate.preprocess(image, windowed)
        shape = image.height, image.width
        refusal = ""
        if not self._answer_all:
            refusal = layout.refusal(windowed.samples, image.color)
        return PreparedImage(
            image.source, pixels, square, shape, gate_pixels, image.notes, refusal, image.facts
        )

    def answer(self, prepared: Sequence[PreparedImage]) -> list["RawPrediction"]:
        """Classify prepared images, in order."""
        if not prepared:
            return []
        outputs = self.forward(np.stack([image.pixels for image in prepared]))
        table = softmax(outputs.logits, self.bundle.info.temperature)
        nothing = [None] * len(prepared)
        lesions = nothing if outputs.lesion is None else list(outputs.lesion[:, 0])
        sequences = nothing if outputs.sequence is None else list(outputs.sequence)
        rejections = self.rejections(prepared, self.gate_scores(prepared))
        return [
            RawPrediction(self._predict(image, row, rejection, sequence), image, cam, row, lesion,
                          sequence)
            for image, row, rejection, cam, lesion, sequence in zip(
                prepared, table, rejections, outputs.cam, lesions, sequences, strict=True
            )
        ]  # fmt: skip

    def forward(self, images: NDArray[np.uint8]) -> Outputs:
        """Run any number of preprocessed images (N, S, S), 0 to 255.

        Logits are before temperature.
        """
        config = self.bundle.info.preprocess
        starts = range(0, len(images) or 1, _FORWARD_BATCH)
        batches = (np.asarray(images[start : start + _FORWARD_BATCH]) for start in starts)
        return Outputs.joined(
            [self._session.run(preprocessing.normalize(batch, config)) for batch in batches]
        )

    def gate_scores(self, prepared: Sequence[PreparedImage]) -> NDArray[np.float64] | None:
        """(N,): score of the gate for each image; None if the bundle has no gate."""
        pixels = [image.gate_pixels for image in prepared if image.gate_pixels is not None]
        if self._gate is None or len(pixels) < len(prepared):
            return None
        return self._gate.scores(np.stack(pixels))

    def rejections(
        self, prepared: Sequence[PreparedImage], gate_scores: NDArray[np.float64] | None
    ) -> list[str]:
        """Why each image is rejected, as text; empty if it is not."""
        refusals = [""] * len(prepared)
        if self._gate is not None and gate_scores is not None:
            refusals = self._gate.refusals(gate_scores)
        return [image.refusal or refusal for image, refusal in zip(prepared, refusals, strict=True)]

    def conclude(
        self,
        row: NDArray[np.float64],
        rejection: str = "",
        sequence: str | None = None,
        *,
        whole: WholeKind | None = None,
        is_part: bool = False,
    ) -> Conclusion:
        """Decide on probabilities (C,), and write the summary.

        ``rejection`` is the reason to reject the image, if any; ``sequence`` is the known sequence;
        ``whole`` is the kind of volume, whose thresholds apply, None for an image; ``is_part``
        means that most of the head is not shown.
        """
        rule = self._volume_rules.get(whole, self._rule) if whole else self._rule
        decided = decide(row, rule.thresholds(sequence), rejection, self.classes)
        probabilities = dict(zip(self.classes.names, row.tolist(), strict=True))
        rejected = decided.decision == REJECTED
        return Conclusion(
            *decided[:2],
            summarize(
                decided.decision,
                decided.label,
                probabilities,
                decided.reason,
                sequence=sequence,
                is_part=is_part,
                classes=self.classes,
            ),
            decided.reason,
            None if rejected else self.classes.finding_probability(row),
            None if rejected else probabilities,
            conformal.named(row, self.bundle.info.prediction_sets, decided.decision, self.classes),
        )

    def _predict(
        self,
        image: PreparedImage,
        row: NDArray[np.float64],
        rejection: str,
        sequence_logits: NDArray[np.float32] | None,
    ) -> Prediction:
        predicted: SequenceAnswer | None = None
        if sequence_logits is not None and not rejection:
            predicted = predicted_sequence(sequence_logits)
        stated = stated_sequence(image.facts)
        known = known_sequence(predicted, stated)
        return Prediction(
            path=image.path,
            sequence=predicted,
            model=self.model,
            notes=(*image.notes, *contradiction(predicted, stated)),
            **self.conclude(row, rejection, known)._asdict(),
        )

    @property
    def decoders(self) -> int:
        """Number of threads that may decode ahead of the forward pass."""
        return min(_MAX_DECODERS, self._threads or available_cores())


def _image(image: ImageInput) -> MedicalImage:
    if isinstance(image, MedicalImage):
        return image
    if isinstance(image, str | Path):
        return reader.read(image)
    return from_array(image)
