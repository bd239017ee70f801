"""The records of the topic of asset profiles: snapshots and acceptances. No I/O."""

from __future__ import annotations

from collections.abc import Iterator

from streams.assets.history import AssetHistory
from streams.assets.monitor import QualityMonitor
from streams.assets.snapshots import ACCEPTANCE, Snapshot, decode_acceptance, decode_snapshot
from streams.errors import InvalidEvent

MOST_AHEAD_MS = 60_000
"""Most time by which the end of an interval may lie in the future."""


def apply_record(
    history: AssetHistory, monitor: QualityMonitor, key: bytes | None, value: bytes | None, now_ms: float
) -> None:
    """Apply a record. Raises InvalidEvent or ValueError for an unreadable one, which is left out."""
    if value is None:
        return
    if (key or b"").startswith(ACCEPTANCE):
        monitor.accept(decode_acceptance(value).stream)
        return
    snapshot = past_snapshot(value, now_ms)
    window = history.apply(snapshot)
    if window is not None:
        monitor.observe(snapshot, window)


def past_snapshot(value: bytes | None, now_ms: float) -> Snapshot:
    """Read a snapshot. Raises InvalidEvent for an unreadable one, and for one of the future.

    With it, the history would drop the snapshots of all workers whose clocks are right as outdated. If the reader's own
    clock is slow, only the reader is blind.
    """
    snapshot = decode_snapshot(value)
    if snapshot.until_ms > now_ms + MOST_AHEAD_MS:
        detail = "required an interval that is over: the clock of its worker is wrong, or the reader's"
        raise InvalidEvent("out_of_range", "$", detail)
    return snapshot


def learn_hours(history: AssetHistory, monitor: QualityMonitor) -> Iterator[None]:
    """Learn from the hours that are over, a stream at a step."""
    for hour in history.seal():
        monitor.learn_hour(hour.stream, hour.profile)
        yield
