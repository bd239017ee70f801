"""The service objective: shoppers get their lists in time. Dashboards and alerts use these three values."""

from __future__ import annotations

OBJECTIVE = 0.99
"""Required share of the lists that are in time."""
THRESHOLD_S = 0.25
"""A list is in time if it is delivered within this many seconds of the broker's append of its event.

The value must be a bucket bound of the latency histogram.
"""
PERIOD = "30d"
"""Period of the error budget."""
