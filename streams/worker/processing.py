"""Work on the event path: batches with their state and deadlines, deletions of profiles, and forgotten shoppers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, time
from typing import NamedTuple

from faust.types import Message

from streams.batch import Folded, Pass
from streams.contracts.messages import Recommendations
from streams.errors import InvalidEvent
from streams.serving.servable import Servable
from streams.settings_lists import Latency
from streams.worker.checkpoint import Batch
from streams.worker.delivery import Delivered, Shopper

WINDOW_S = 10.0
"""Seconds of batches that are compared with the seconds before, to see whether a backlog grows."""
REQUESTS_KEPT = 100_000
"""Newest requests that a worker remembers. Events from before an older request are read long since."""


class Processing:
    """State of a batch on its path. The scorer's thread writes it, and the event loop reads it meanwhile.

    Attributes:
        batch: the messages.
        servable: the servable that processes the batch, from its query vectors to its lists.
        refused: messages that become dead letters, with the reason.
        misplaced: messages that are forwarded to the partitions of their keys.
        messages: the other messages, in the order of the pass's events.
        shoppers: partition and key of each profile, in the order of the pass's `stored`.
        ranking: the pass, None until the messages are decoded.
        answers, values: the lists and their bytes, one for each of `messages` and its placements, empty until they are
            made.
    """

    __slots__ = ("answers", "batch", "messages", "misplaced", "ranking", "refused", "servable", "shoppers", "values")

    def __init__(self, batch: Batch[Message], servable: Servable) -> None:
        self.batch = batch
        self.servable = servable
        self.refused: list[tuple[Message, InvalidEvent]] = []
        self.misplaced: list[Message] = []
        self.messages: list[Message] = []
        self.shoppers: list[Shopper] = []
        self.ranking: Pass | None = None
        self.answers: list[Recommendations] = []
        self.values: list[bytes] = []

    @property
    def folded(self) -> Folded | None:
        """Result of the fold, once the profiles are stored. None before that, and if all messages are refused."""
        return self.ranking.folded if self.ranking is not None else None


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


class Removal(NamedTuple):
    """Deletion of profiles, between two batches. `deliveries` completes when the tombstones are sent."""

    requests: Sequence[Message]
    deliveries: asyncio.Future[list[Delivered]]


class Forgotten:
    """Times of the newest requests, by user id. The event loop writes them, and the scorer's thread reads them.

    An event may wait on its topic while its shopper's profile is deleted, for example after an outage. It would begin a
    new profile with data from before the request. So events that Kafka took before the request are not processed.
    """

    def __init__(self, kept: int = REQUESTS_KEPT) -> None:
        self._kept = kept
        self._asked_at_ms: dict[bytes, int] = {}

    def __bool__(self) -> bool:
        return bool(self._asked_at_ms)

    def note(self, user_id: bytes, asked_at_ms: int) -> None:
        """Record a request that Kafka took at `asked_at_ms`, in milliseconds since the epoch."""
        # Taken out and put back at the end, so that the first key is that of the oldest request.
        asked_at_ms = max(asked_at_ms, self._asked_at_ms.pop(user_id, asked_at_ms))
        self._asked_at_ms[user_id] = asked_at_ms
        if len(self._asked_at_ms) > self._kept:
            del self._asked_at_ms[next(iter(self._asked_at_ms))]

    def includes(self, user_id: bytes, timestamp_ms: int) -> bool:
        """Return whether an event of a shopper, which Kafka took at `timestamp_ms`, came before a request."""
        asked_at_ms = self._asked_at_ms.get(user_id)
        return asked_at_ms is not None and timestamp_ms <= asked_at_ms
