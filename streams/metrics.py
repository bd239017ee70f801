"""Prometheus: the only place that knows the names of metrics. Base units; no user, item, session or text in a label."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
END_TO_END = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Every metric of a worker, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = self._counter("events", "Messages read", "topic", "outcome")
        self.dead_letters = self._counter("dead_letters", "Messages refused", "reason")
        self.fallbacks = self._counter("fallbacks", "Lists that the model did not rank", "reason")
        self.recommendations = self._counter("recommendations", "Lists produced")
        self.end_to_end = self._histogram(
            "end_to_end_latency_seconds", "From the trigger's append to its list's delivery", END_TO_END
        )
        self.stage = self._histogram("stage_duration_seconds", "Time of a stage for its batch", FAST, "stage")
        self.batch_size = self._histogram("batch_size", "Queries ranked at once", (1, 2, 4, 8, 16, 32, 64, 128, 256))
        self.in_flight = self._gauge("events_in_flight", "Interactions read and not yet answered")
        self.catalogue_items = self._gauge("catalogue_items", "Items with a vector of the model in use")
        self.learned = self._counter("learned", "Records of what shoppers do, taken over", "topic")
        self.learned_anew = self._counter("learned_anew", "States of items that could not be read")
        self.ready = self._gauge("ready", "1 once the catalogue is read and interactions are served")
        self.model_info = self._gauge("model_info", "The model in use", "name", "version", "provider")
        self.model_loaded = self._gauge("model_loaded_timestamp_seconds", "When the model in use took over")
        self.model_swaps = self._counter("model_swaps", "Models that were to take over", "outcome")
        self.model_swap_missing_items = self._gauge(
            "model_swap_missing_items", "Items that the model to take over has yet to get a vector of"
        )

    def serves(self, name: str, version: str, provider: str) -> None:
        """Tell which model is in use from now on."""
        self.model_info.clear()
        self.model_info.labels(name, version, provider).set(1)
        self.model_loaded.set_to_current_time()

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Record how long a stage took."""
        self.stage.labels(stage).observe(seconds)

    def serve(self, host: str, port: int) -> None:
        """Serve /metrics on its own thread."""
        start_http_server(port, addr=host, registry=self.registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"intentstream_{name}", documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"intentstream_{name}", documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"intentstream_{name}", documentation, labels, registry=self.registry, buckets=buckets)
