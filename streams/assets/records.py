"""The records of the topic of asset profiles: snapshots and acceptances. No I/O."""

from __future__ import annotations

from streams.assets.history import AssetHistory
from streams.assets.monitor import QualityMonitor
from streams.assets.snapshots import ACCEPTANCE, decode_acceptance, decode_snapshot


def apply_record(history: AssetHistory, monitor: QualityMonitor, key: bytes | None, value: bytes | None) -> None:
    """Apply a record of the topic of asset profiles. Raises InvalidEvent or ValueError for an unreadable one."""
    if value is None:
        return
    if (key or b"").startswith(ACCEPTANCE):
        monitor.accept(decode_acceptance(value).stream)
        return
    snapshot = decode_snapshot(value)
    profiles = history.apply(snapshot)
    if profiles is not None:
        monitor.observe(snapshot, *profiles)
