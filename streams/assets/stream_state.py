"""The state of one stream between evaluations: its last intervals, and what waits to be learned. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.assets.profile import StreamProfile
from streams.assets.quality import merged
from streams.assets.reference import StreamReference

INTERVALS = 3
"""Intervals that are judged together."""
FEW_MESSAGES = 50
"""A stream with fewer messages in these intervals is judged by all that are kept, LONG_MS."""
LONG_MS = 300_000


class Waiting(NamedTuple):
    """A profile that waits to be learned: of an interval, or of an hour that was read as a whole."""

    from_ms: int
    until_ms: int
    profile: StreamProfile
    is_hour: bool


@dataclass(slots=True)
class StreamState:
    """State of a stream.

    Attributes:
        reference: what was learned.
        interval_ms: interval of the snapshots.
        intervals: its last intervals, each with its end.
        waiting: profiles that wait to be learned.
        last_ms: end of the last interval with messages.
        new_messages: messages since the last evaluation.
        steady: intervals in a row with messages.
        is_silent: whether it fell silent.
        per_second: usual number of messages in a second.
        shoppers: shoppers by message in the last window.
    """

    reference: StreamReference
    interval_ms: float
    intervals: deque[tuple[int, StreamProfile]] = field(default_factory=deque)
    waiting: deque[Waiting] = field(default_factory=deque)
    last_ms: int = 0
    new_messages: int = 0
    steady: int = 0
    is_silent: bool = False
    per_second: float = 0.0
    shoppers: float = 1.0

    def recent(self, now_ms: int, *, is_long: bool) -> list[StreamProfile]:
        """Return the profiles of the last INTERVALS, or of all intervals that are kept."""
        while self.intervals and self.intervals[0][0] <= now_ms - LONG_MS:
            self.intervals.popleft()
        since_ms = 0 if is_long else now_ms - (INTERVALS - 0.5) * self.interval_ms
        return [profile for until_ms, profile in self.intervals if until_ms > since_ms]

    def window(self, now_ms: int) -> StreamProfile:
        """Return the profile of the last INTERVALS, or of all intervals that are kept if there are few messages."""
        recent = self.recent(now_ms, is_long=False)
        if messages_of(recent) < FEW_MESSAGES:
            recent = self.recent(now_ms, is_long=True)
        return merged(recent)


def messages_of(profiles: Iterable[StreamProfile]) -> int:
    """Return the number of the messages of profiles."""
    return sum(profile.messages for profile in profiles)
