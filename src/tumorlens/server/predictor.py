"""From uploaded bytes to records: decode in threads, batch the forward passes, explain.

What a picture is, what is wrong with it and what it shows all come from ``imaging`` and
``inference``; a record is what ``tumorlens predict`` writes.
"""

import asyncio
import base64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from tumorlens.errors import InputError
from tumorlens.imaging import encode, reader
from tumorlens.imaging.facts import sides_of
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.pixel_budget import limit_pixels
from tumorlens.inference import records
from tumorlens.inference.classifier import Classifier, Failure, PreparedImage, RawPrediction
from tumorlens.inference.explanation import overlay
from tumorlens.inference.volume import predict_volume
from tumorlens.server import studies
from tumorlens.server.admission import Ticket
from tumorlens.server.batching import Batcher
from tumorlens.server.metrics import Metrics
from tumorlens.server.settings import Settings
from tumorlens.server.uploads import Upload

HeatmapMode = Literal["0", "1", "grid"]
Record = dict[str, Any]


class Predictor:
    """The network behind the routes. ``start`` and ``stop`` belong to the server's life."""

    def __init__(self, classifier: Classifier, settings: Settings, metrics: Metrics) -> None:
        """Take a loaded classifier."""
        self.classifier = classifier
        self._limits, self._metrics = settings.limits, metrics
        self._pool = ThreadPoolExecutor(settings.decoders, thread_name_prefix="server-decode")
        self._studies = ThreadPoolExecutor(1, thread_name_prefix="server-study")
        self._decoding = 0
        self._batcher: Batcher[PreparedImage, RawPrediction] = Batcher(
            classifier.answer, size=settings.batch_size, seconds=settings.batch_seconds,
            coming=lambda: self._decoding, observe=metrics.batches.observe,
        )  # fmt: skip
        # The decoding threads are the parallelism, as in `Classifier.predict_paths`.
        self._blas: threadpool_limits | None = None

    def start(self) -> None:
        """Begin to work; needs a running loop."""
        self._blas = threadpool_limits(limits=1, user_api="blas")
        self._batcher.start()

    async def stop(self) -> None:
        """Finish what was accepted, then end the threads."""
        await self._batcher.stop()
        self._pool.shutdown()
        self._studies.shutdown()
        if self._blas is not None:
            self._blas.restore_original_limits()

    async def records(
        self, uploads: list[Upload], ticket: Ticket, *, heatmap: HeatmapMode, preview: bool
    ) -> list[Record]:
        """One record a file, in order. ``uploads`` is emptied: bytes are let go once decoded."""
        tasks = [
            self._record(uploads, place, ticket, heatmap, preview) for place in range(len(uploads))
        ]
        return list(await asyncio.gather(*tasks))

    async def study(self, uploads: list[Upload], ticket: Ticket) -> tuple[list[Record], int]:
        """Records of one study, and how many of its files are no pictures.

        One study at a time: its volumes are the largest things that the server holds.
        """
        loop = asyncio.get_running_loop()
        made, skipped = await loop.run_in_executor(
            self._studies, studies.answer, self.classifier, uploads, self._limits.pixels
        )
        for one in made:
            self._count(one)
        ticket.free(ticket.bytes)
        return made, skipped

    async def _record(
        self,
        uploads: list[Upload],
        place: int,
        ticket: Ticket,
        heatmap: HeatmapMode,
        preview: bool,
    ) -> Record:
        keep = heatmap == "1" or preview
        loop = asyncio.get_running_loop()
        self._decoding += 1
        try:
            decoded = await loop.run_in_executor(self._pool, self._decode, uploads[place], keep)
        finally:
            self._decoding -= 1
            self._batcher.nudge()
            # Not needed any more, however long the other files of the request still take.
            ticket.free(len(uploads[place].data))
            uploads[place] = Upload(uploads[place].name, b"")
        if isinstance(decoded, dict):
            return self._count(decoded)
        prepared, image = decoded
        answer = await self._batcher.submit(prepared)
        if heatmap == "0" and not preview:
            return self._count(records.record(answer.prediction))
        return self._count(
            await loop.run_in_executor(self._pool, _illustrate, answer, image, heatmap, preview)
        )

    def _count(self, made: Record) -> Record:
        """Count what became of a picture, and pass it on."""
        failed = "error" in made
        outcome = f"error_{made['error']['kind']}" if failed else made.get("decision", "classified")
        self._metrics.pictures.labels(outcome).inc()
        return made

    def _decode(
        self, upload: Upload, keep: bool
    ) -> tuple[PreparedImage, MedicalImage | None] | Record:
        """In a thread: everything before the forward pass. ``keep`` the picture for drawing.

        What needs no shared forward pass, a volume or a failure, is a record already.
        """
        try:
            with limit_pixels(self._limits.pixels):
                image = reader.read_bytes(upload.data, upload.name)
            if image.is_volume:
                return records.record(predict_volume(self.classifier, image))
            return self.classifier.prepare(image), image if keep else None
        except InputError as error:
            return records.record(Failure.of(upload.name, error))


def _illustrate(
    answer: RawPrediction, image: MedicalImage | None, heatmap: HeatmapMode, preview: bool
) -> Record:
    """In a thread: add what was asked for to see."""
    prediction = answer.prediction if heatmap == "0" else answer.explained()
    made = records.record(prediction)
    if image is not None and heatmap == "1" and prediction.heatmap is not None:
        made["heatmap"]["overlay_png"] = _base64(overlay(image, prediction.heatmap, image.facts))
    if image is not None and preview:
        made["preview"] = _preview(image)
    return made


def _preview(image: MedicalImage) -> Record:
    """The picture as 16-bit PNG: ``low`` and ``high`` are the intensities of 0 and 65535."""
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


def unusable(made: Sequence[Record]) -> bool:
    """Whether not one of the files got an answer."""
    return all("error" in one for one in made)
