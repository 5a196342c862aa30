"""The worker processes of the server: from bytes or files to records as JSON.

Reading and classifying are done by ``imaging`` and ``inference``; a record is what ``tumorlens
predict`` writes. Nothing here runs in the process that listens: a damaged file can block or end
only the worker, or fill its memory (``isolation``).
"""

import base64
from collections.abc import Iterator

import msgspec
import numpy as np

from tumorlens.bundle import Bundle, BundleInfo
from tumorlens.errors import InputError
from tumorlens.imaging import finder, reader
from tumorlens.imaging.facts import AcquisitionFacts, sides_of
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.input import Failures, Input
from tumorlens.imaging.limits import limit_pixels
from tumorlens.imaging.raster import encode
from tumorlens.inference.classifier import Classifier, RawPrediction
from tumorlens.inference.fusion import fuse_examinations
from tumorlens.inference.record import Failure, ImageAnswer, Prediction
from tumorlens.inference.volume import answer_image
from tumorlens.isolation.frames import Message
from tumorlens.isolation.worker import Handler
from tumorlens.reporting import records
from tumorlens.reporting.answer_image import draw
from tumorlens.server.renaming import Renaming
from tumorlens.server.tasks import IMAGE, Record, part


def make(options: Message) -> Handler:
    """Load the network; raise ``BundleError``."""
    info, model, *gate = options.blobs
    bundle = Bundle(msgspec.json.decode(info, type=BundleInfo), model, gate[0] if gate else None)
    work = _Work(Classifier(bundle, threads=1))
    # Whatever else a request may need is imported here, before the first one waits for it.
    from tumorlens.imaging.dicom import reader as dicom
    from tumorlens.imaging.raster import pillow
    from tumorlens.imaging.volumes import mgh, nifti, nrrd
    from tumorlens.inference import heatmap

    del mgh, nifti, nrrd, pillow, dicom, heatmap
    return work


class _Work:
    """The handler of a worker."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    def __call__(self, request: Message) -> Iterator[Message]:
        asked = request.content
        with limit_pixels(asked["pixels"]):
            if asked["task"] == IMAGE:
                yield part(self._image(asked, request.blobs[0]))
            else:
                yield from self._study(asked)

    def _image(self, asked: Record, data: bytes) -> Record:
        heatmap, preview = asked["heatmap"], asked["preview"]
        try:
            image = reader.read_bytes(data, asked["name"])
            if image.is_volume:
                return records.record(answer_image(self._classifier, image).answer)
            (answer,) = self._classifier.answer([self._classifier.prepare(image)])
        except InputError as error:
            return records.record(Failure.from_error(asked["name"], error))
        if heatmap == "0" and not preview:
            return _record(answer.prediction)
        return _illustrate(answer, image, heatmap, preview)

    def _study(self, asked: Record) -> Iterator[Message]:
        renaming = Renaming(asked["folder"], asked["names"])
        listing = finder.find(renaming.whole)
        answers: list[ImageAnswer] = []
        facts: list[AcquisitionFacts | None] = []
        yield Message({"skipped": listing.skipped + listing.own, "inputs": len(listing.inputs)})
        # Before an input can end this process.
        for path, error in listing.failures if not asked["start"] else ():
            yield part(renaming(records.record(Failure.from_error(path, error))))
        for number, source in enumerate(listing.inputs[asked["start"] :], asked["start"]):
            yield Message({"at": number, "path": renaming(source.path)})
            for record in self._records(source, answers, facts):
                yield part(renaming(record))
        # After a crash only a part of the study is answered here: that is no answer for all of it.
        if not asked["start"]:
            # By the client's names, which may state a patient or a visit.
            named = [
                msgspec.structs.replace(answer, path=renaming(answer.path)) for answer in answers
            ]
            whole = renaming(renaming.whole)
            for study, _ in fuse_examinations(self._classifier, whole, named, facts):
                yield part(renaming(records.record(study)))

    def _records(
        self, source: Input, answers: list[ImageAnswer], facts: list[AcquisitionFacts | None]
    ) -> Iterator[Record]:
        """The records of an input, whose answer and facts are added to ``answers`` and ``facts``.

        Never more than one series or volume is in memory.
        """
        missing: Failures = ()
        try:
            image, missing = source.read()
            answers.append(answer_image(self._classifier, image).answer)
            facts.append(image.facts)
            yield records.record(answers[-1])
        except InputError as error:
            missing = ((source.path, error), *missing)
        for file, reason in missing:
            yield records.record(Failure.from_error(file, reason))


def _illustrate(answer: RawPrediction, image: MedicalImage, heatmap: str, preview: bool) -> Record:
    """Add the heatmap and the preview that the request asks for."""
    prediction = answer.prediction if heatmap == "0" else answer.explained()
    record = _record(prediction)
    if heatmap == "1" and prediction.heatmap is not None:
        record["heatmap"]["overlay_png"] = _base64(
            draw(image, prediction, prediction.heatmap, image.facts)
        )
    if preview:
        record["preview"] = _preview(image)
    return record


def _record(prediction: Prediction) -> Record:
    """As ``schemas.ImagePrediction`` has it."""
    return records.record(prediction) | {"preview": None}


def _preview(image: MedicalImage) -> Record:
    """The image as 16-bit PNG: ``low`` and ``high`` are the intensities of 0 and 65535."""
    low, high = float(image.pixels.min()), float(image.pixels.max())
    sides = sides_of(image.facts)
    scaled = (image.pixels.astype(np.float64) - low) * (65535.0 / max(high - low, 1e-30))
    return {
        "png": _base64(encode.png(np.rint(scaled).astype(np.uint16))),
        "low": low,
        "high": high,
        "height": image.height,
        "width": image.width,
        "sides": sides._asdict() if sides else None,
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
