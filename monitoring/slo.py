"""The service's objective: shoppers get their list in time. Dashboards and alerts follow from these three."""

from __future__ import annotations

OBJECTIVE = 0.99
"""Share of the lists that are in time."""
THRESHOLD_S = 0.25
"""In time: so many seconds after the broker took the event. It must be a bucket's bound of the histogram."""
PERIOD = "30d"
"""What the error budget is for."""
