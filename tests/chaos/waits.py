"""How long events waited for their lists, and how long each fault lasted for shoppers. Measured, never required."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.evidence import Evidence

SLOW_MS = 1000
"""A longer wait belongs to a fault."""


@dataclass(frozen=True)
class Waits:
    """Waits of the events of a run, by the broker's clock.

    Attributes:
        median_ms, p99_ms: of all events.
        recovery_s: for each fault, the time from its begin until the last slow event was answered that arrived before
            the next fault. 0 if no event was slow.
        repeats: lists beyond the first of an event.
        fallbacks: lists by the reason why the model did not rank them.
    """

    median_ms: float
    p99_ms: float
    recovery_s: list[float]
    repeats: int
    fallbacks: dict[str, int]


def measure(evidence: Evidence, begun_ms: Sequence[float]) -> Waits:
    """Measure the waits. `begun_ms` holds the begin of each fault in milliseconds since the epoch, in order."""
    answered: dict[tuple[str, str], int] = {}
    fallbacks: Counter[str] = Counter()
    for record, message in evidence.lists:
        identity = message["user_id"], message["trigger"]["event_id"]
        answered[identity] = min(record.timestamp_ms, answered.get(identity, record.timestamp_ms))
        if message["fallback"] is not None:
            fallbacks[message["fallback"]] += 1
    times = []
    for event in evidence.events.values():
        at_ms = answered.get((event.user_id, event.event_id))
        if at_ms is not None:
            times.append((event.record.timestamp_ms, max(at_ms, event.record.timestamp_ms)))
    waits = sorted(end - begin for begin, end in times)
    slow = [(begin, end) for begin, end in times if end - begin > SLOW_MS]
    recovery = []
    for number, begun in enumerate(begun_ms):
        until = begun_ms[number + 1] if number + 1 < len(begun_ms) else float("inf")
        ends = [end for begin, end in slow if begun - SLOW_MS <= begin < until and end > begun]
        recovery.append(max(ends, default=begun) / 1000 - begun / 1000)
    return Waits(
        median_ms=_quantile(waits, 0.5),
        p99_ms=_quantile(waits, 0.99),
        recovery_s=recovery,
        repeats=len(evidence.lists) - len(answered),
        fallbacks=dict(fallbacks),
    )


def _quantile(ordered: Sequence[int], share: float) -> float:
    return float(ordered[min(int(share * len(ordered)), len(ordered) - 1)]) if ordered else 0.0
