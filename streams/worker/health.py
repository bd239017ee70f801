"""Liveness and readiness of a worker. The endpoint's thread reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic

ALIVE_S = 30.0
"""Seconds without a heartbeat after which the event loop counts as stopped. Opening a large state takes several."""
SILENT_S = 10.0
"""Seconds without an answer of the brokers after which the worker is not ready. Fetches are answered within 0.2 s."""


@dataclass(slots=True)
class Health:
    """Conditions of liveness and readiness. The event loop writes them, and any thread may read them.

    Attributes:
        model_verified: a bundle is loaded, and its checksums and golden outputs are right.
        catalogue_read: the broadcast topics are read up to the ends that they had at the start.
        partitions_assigned: the group has assigned this worker's partitions.
        tables_recovered: the tables hold everything that their changelogs hold.
        topics_right: all topics exist and are the ones that the worker began with, or reads again.
        stopping: the worker is stopping.
        beat: time of the event loop's last heartbeat, by `time.monotonic`.
        answered: time of the brokers' last answer to the consumer, by `time.monotonic`. It asks several times a second.
    """

    model_verified: bool = False
    catalogue_read: bool = False
    partitions_assigned: bool = False
    tables_recovered: bool = False
    topics_right: bool = True
    stopping: bool = False
    beat: float = field(default_factory=monotonic)
    answered: float = field(default_factory=monotonic)

    def alive(self) -> Mapping[str, bool]:
        """Return whether the event loop runs. Kafka and recovery do not matter here: a restart would not help them."""
        return {"event_loop": monotonic() - self.beat < ALIVE_S}

    def ready(self) -> Mapping[str, bool]:
        """Return the conditions of readiness and whether each holds."""
        return {
            "model_verified": self.model_verified,
            "catalogue_read": self.catalogue_read,
            "partitions_assigned": self.partitions_assigned,
            "tables_recovered": self.tables_recovered,
            "topics_right": self.topics_right,
            "kafka_answers": monotonic() - self.answered < SILENT_S,
            "not_stopping": not self.stopping,
        }

    def kafka_answered(self) -> None:
        """Record that a broker answered. For any thread."""
        self.answered = monotonic()

    @property
    def is_ready(self) -> bool:
        """Whether the worker processes interactions."""
        return all(self.ready().values())

    def rebalancing(self) -> None:
        """Clear readiness until partitions are assigned and their tables recovered."""
        self.partitions_assigned = self.tables_recovered = False
