"""The deadline of a batch: lists that shoppers wait for are in time, lists that are late anyway are ranked in full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, time

from faust.types import Message

from streams.settings_lists import Latency
from streams.worker.checkpoint import Batch

WINDOW_S = 10.0
"""Seconds of batches that are compared with the seconds before, to see whether a backlog grows."""


@dataclass(slots=True)
class Deadlines:
    """Deadlines of the batches, in the order in which they are taken.

    A batch has none if all its events were appended to Kafka longer than `catch_up_seconds` ago: after an outage nobody
    waits for these lists, and a list in retrieval order would only be worse. With a single newer event the deadline
    applies to the whole batch.

    It applies too while the backlog grows, that is while the newest events become older and older. The worker then has
    more events than it can rank, and without the deadline the backlog would grow faster and never end.

    Attributes:
        limits: the deadline, and the age from which a batch has none.
        now: the time in seconds since the epoch.
    """

    limits: Latency
    now: Callable[[], float] = time
    _since: float = 0.0
    _newest: float = 0.0
    _before: float | None = None
    _grows: bool = False

    def left_s(self, batch: Batch[Message]) -> float | None:
        """Return the seconds that are left to rank a batch, None without a deadline."""
        now = self.now()
        age = now - max(message.timestamp for message in batch.messages)
        if age > self.limits.catch_up_seconds and not self._backlog_grows(age, now):
            return None
        return self.limits.scoring_deadline_ms / 1e3 - (monotonic() - batch.taken_s)

    def _backlog_grows(self, age: float, now: float) -> bool:
        """Return whether the newest events of the last whole window were older than those of the window before."""
        if now > self._since + 2 * WINDOW_S:  # a new backlog: it is worked off until it is seen to grow
            self._since, self._newest, self._before, self._grows = now, age, None, False
        elif now > self._since + WINDOW_S:
            self._grows = self._before is not None and self._newest > self._before
            self._since, self._newest, self._before = now, age, self._newest
        self._newest = min(self._newest, age)
        return self._grows
