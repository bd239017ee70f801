"""The time at which a viewer of the console acts: now, or the time of a replay. No I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

EVENTS_KEPT = 100
OLD = timedelta(days=1)
"""An event that Kafka took this long after the action is a replayed one."""


@dataclass(slots=True)
class Clock:
    """Time of a viewer's actions: that of the newest replayed event if most of the last events are replayed, or now.

    During a replay an action of today would be years later, and every intent and trend would have faded by then. A few
    events of today, such as those of somebody who tries the demo, do not end the replay.
    """

    _replay: datetime | None = None
    _are_replayed: deque[bool] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))

    def add(self, occurred_at: datetime, sent_ms: float) -> None:
        """Add the time of an event that Kafka took at `sent_ms`."""
        is_replayed = datetime.fromtimestamp(sent_ms / 1e3, UTC) - occurred_at > OLD
        self._are_replayed.append(is_replayed)
        if is_replayed:
            self._replay = occurred_at if self._replay is None else max(self._replay, occurred_at)

    def time(self, now: datetime) -> datetime:
        """Return the time of an action at `now`."""
        is_replay = 2 * sum(self._are_replayed) > len(self._are_replayed)
        return self._replay if is_replay and self._replay is not None else now
