"""What a server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from neuropack import __version__

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The counters of one application, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory, processor time, open files
        Gauge("neuropack_info", "What runs.", ["version"], registry=self.registry).labels(__version__).set(1)
        self.requests = Counter(
            "neuropack_requests_total",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "neuropack_request_seconds",
            "From the request to the last byte of its answer.",
            ["route"],
            registry=self.registry,
        )
        self.busy = Gauge("neuropack_requests_in_progress", "Requests in work.", registry=self.registry)
        self.sent = Counter("neuropack_sent_bytes_total", "Bytes of bodies sent.", registry=self.registry)
        self.crashes = Counter("neuropack_crashes_total", "Requests that ended in a crash.", registry=self.registry)

    def text(self) -> bytes:
        """All of them as Prometheus reads them."""
        return generate_latest(self.registry)
