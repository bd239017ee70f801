"""Whether a worker lives and whether it serves, as the thread of the endpoint sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic

ALIVE_S = 30.0
"""Seconds that the event loop may be silent: opening a large state takes some, an answer to a probe takes none."""


@dataclass(slots=True)
class Health:
    """Conditions, each told by who knows of it. Written on the event loop, read by any thread.

    Attributes:
        model_verified: a bundle was loaded, its checksums and golden outputs are right.
        catalogue_read: the broadcast topics were read to where they ended at the start.
        partitions_assigned: the group gave this worker its partitions.
        tables_recovered: what was written to their changelogs is in their tables.
        stopping: the worker was told to stop.
        beat: when the event loop was last seen to run, by `time.monotonic`.
    """

    model_verified: bool = False
    catalogue_read: bool = False
    partitions_assigned: bool = False
    tables_recovered: bool = False
    stopping: bool = False
    beat: float = field(default_factory=monotonic)

    def alive(self) -> Mapping[str, bool]:
        """Say whether the event loop runs. Neither Kafka nor recovery can make this fail: a restart would not help."""
        return {"event_loop": monotonic() - self.beat < ALIVE_S}

    def ready(self) -> Mapping[str, bool]:
        """Say which conditions of serving hold."""
        return {
            "model_verified": self.model_verified,
            "catalogue_read": self.catalogue_read,
            "partitions_assigned": self.partitions_assigned,
            "tables_recovered": self.tables_recovered,
            "not_stopping": not self.stopping,
        }

    @property
    def is_ready(self) -> bool:
        """Whether interactions are served."""
        return all(self.ready().values())

    def rebalancing(self) -> None:
        """Partitions may come and go: until they are there and recovered, nothing is served."""
        self.partitions_assigned = self.tables_recovered = False
