"""The objective in PromQL: how many of the lists came in time."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import CustomVariable
from grafana_foundation_sdk.models.dashboard import VariableOption

from monitoring.dashboards.queries import rate, share
from monitoring.slo import OBJECTIVE, THRESHOLD_S
from streams.metrics import END_TO_END

LATENCY = "end_to_end_latency_seconds"
ANSWERED = rate(f"{LATENCY}_count")
IN_TIME = (
    CustomVariable("slo_threshold")
    .label("In time, s")
    .description(f"Up to so many seconds after its event a list is in time; the objective is of {THRESHOLD_S} s.")
    .values(",".join(map(str, END_TO_END)))
    .current(VariableOption(selected=True, text=str(THRESHOLD_S), value=str(THRESHOLD_S)))
)


def attained(window: str) -> str:
    """Share of the lists within the threshold that is chosen, of all in a window."""
    within = rate(f"{LATENCY}_bucket", 'le="$slo_threshold"', window=window)
    return share(within, rate(f"{LATENCY}_count", window=window))


def spent(window: str) -> str:
    """Late lists in a window, as a multiple of those that the objective allows."""
    return f"(1 - {attained(window)}) / {1 - OBJECTIVE:g}"
