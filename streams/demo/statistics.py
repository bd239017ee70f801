"""The demo's counts: events, lists, latencies, and the actions of one shopper. No I/O: time is an argument."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from streams.assets.inventory import DataFinding
from streams.contracts.messages import Interaction, Recommendations, Search

LATENCIES_KEPT = 20_000
ACTIONS_KEPT = 40
_RATE_SECONDS = 3.0

REASONS: Mapping[str | None, str] = {
    "search": "matches your search",
    "clicked": "chosen after a search",
    "together": "goes with …",
    "similar": "because you …",
    "habit": "you buy this every …",
    "before": "you … it before",
    "trending": "trending in …",
    "popular": "popular right now",
    "new": "new in …",
    None: "nothing claimed",
}
"""The name of each kind of reason."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """End-to-end latencies in milliseconds, from the send of an event to the arrival of its list."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Action:
    """An action of the shown shopper: its time, its type, and the item's title or the text of the search."""

    at: datetime
    verb: str
    what: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An action of the shown shopper, and the list that answers it."""

    action: Action
    message: Recommendations


@dataclass(slots=True, kw_only=True)
class Statistics:
    """The figures of one replay. `titles` are the items' titles by id. Times are seconds of one monotonic clock.

    `findings` is what is wrong with the data. `items` counts the items of the lists that the model ranked. `sources`
    and `reasons` count them by source and by kind of reason.
    """

    total: int
    shopper: str
    titles: Mapping[str, str]
    sent: int = 0
    answered: int = 0
    fallbacks: int = 0
    refused: int = 0
    findings: Sequence[DataFinding] = ()
    items: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    day: datetime | None = None
    actions: deque[Action] = field(default_factory=lambda: deque(maxlen=ACTIONS_KEPT))
    shown: Answer | None = None
    _waiting: dict[str, float] = field(default_factory=dict)
    _unanswered_actions: dict[str, Action] = field(default_factory=dict)
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    _recent: deque[tuple[float, int, int]] = field(default_factory=deque)

    @property
    def unanswered(self) -> int:
        """The number of events that have been sent and have no list yet."""
        return len(self._waiting)

    def send(self, event: Interaction, now: float) -> None:
        """Count an event that is sent."""
        self.sent += 1
        self._waiting[event.event_id] = now
        self.day = event.occurred_at
        if event.user_id == self.shopper:
            what = f"“{event.query}”" if isinstance(event, Search) else self.titles[event.item_id]
            action = self._unanswered_actions[event.event_id] = Action(event.occurred_at, event.type, what)
            self.actions.append(action)

    def receive(self, message: Recommendations, now: float, *, warm: bool = True) -> None:
        """Count a list that arrives, except a repeat or an answer to another client. `warm` False omits its latency."""
        sent = self._waiting.pop(message.trigger.event_id, None)
        if sent is None:
            return
        self.answered += 1
        self._count_items(message)
        if warm:
            self._latencies.append(now - sent)
        if action := self._unanswered_actions.pop(message.trigger.event_id, None):
            self.shown = Answer(action, message)

    def _count_items(self, message: Recommendations) -> None:
        if message.fallback is not None:
            self.fallbacks += 1
            return
        self.items += len(message.items)
        for item in message.items:
            self.sources.update(item.sources)
            self.reasons[REASONS.get(item.because.kind, "others")] += 1

    def percentiles(self) -> Percentiles | None:
        """Return the end-to-end latencies of the newest `LATENCIES_KEPT` lists, None before the first."""
        if not self._latencies:
            return None
        p50, p95, p99 = np.percentile(np.array(self._latencies) * 1e3, (50, 95, 99))
        return Percentiles(float(p50), float(p95), float(p99))

    def rates(self, now: float) -> tuple[float, float]:
        """Return the events sent and answered a second, over the last seconds. Call it a few times a second."""
        self._recent.append((now, self.sent, self.answered))
        while now - self._recent[0][0] > _RATE_SECONDS:
            self._recent.popleft()
        then, sent, answered = self._recent[0]
        elapsed = now - then
        return ((self.sent - sent) / elapsed, (self.answered - answered) / elapsed) if elapsed else (0.0, 0.0)
