"""Faust's sensor, silent: what it does for every event costs more than all of ours, and nobody reads its figures."""

from __future__ import annotations

import logging
from typing import Any

from faust.sensors.monitor import Monitor


def _nothing(*_arguments: Any, **_options: Any) -> None:
    return None


class SilentMonitor(Monitor):  # type: ignore[misc]  # Faust is untyped
    """A monitor that does nothing per message. What operators watch is in `metrics.py`."""

    logger = logging.getLogger("faust.sensors")

    on_message_in = _nothing
    on_stream_event_in = _nothing
    on_stream_event_out = _nothing
    on_message_out = _nothing
    on_send_initiated = _nothing
    on_send_completed = _nothing
    on_tp_commit = _nothing
    track_tp_end_offset = _nothing
