"""What the server counts, for Prometheus. No label ever holds what a client sent."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

MEDIA_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """One registry a server, so that two of them in one process do not mix."""

    def __init__(self) -> None:
        """Register everything, at zero."""
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "tumorlens_requests", "Requests answered.",
            ("method", "route", "status"), registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "tumorlens_request_seconds", "From the first byte of a request to its answer's last.",
            ("route",), buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.refusals = Counter(
            "tumorlens_refusals", "Requests refused, by reason.", ("reason",),
            registry=self.registry,
        )  # fmt: skip
        self.images = Counter(
            "tumorlens_pictures", "Images by outcome: a decision or an error.",
            ("outcome",), registry=self.registry,
        )  # fmt: skip
        self.queue = Gauge(
            "tumorlens_queue_pictures", "Images accepted and not yet answered.",
            registry=self.registry,
        )  # fmt: skip
        self.workers = Gauge(
            "tumorlens_workers", "Worker processes that are ready.", registry=self.registry
        )
        self.queue_bytes = Gauge(
            "tumorlens_queue_bytes", "Bytes of uploads in memory.", registry=self.registry
        )

    def exposition(self) -> bytes:
        """The text format."""
        text: bytes = generate_latest(self.registry)
        return text
