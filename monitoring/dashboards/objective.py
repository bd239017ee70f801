"""The service objective in PromQL: the share of the lists that are in time."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import CustomVariable
from grafana_foundation_sdk.models.dashboard import VariableOption

from monitoring.dashboards.queries import rate, share
from monitoring.slo import OBJECTIVE, THRESHOLD_S
from streams.metric_families import END_TO_END

LATENCY = "end_to_end_latency_seconds"
ANSWERED = rate(f"{LATENCY}_count")
IN_TIME = (
    CustomVariable("slo_threshold")
    .label("In time, s")
    .description(f"A list is in time if it is delivered this soon after its event. The objective uses {THRESHOLD_S} s.")
    .values(",".join(map(str, END_TO_END)))
    .current(VariableOption(selected=True, text=str(THRESHOLD_S), value=str(THRESHOLD_S)))
)


def attained(window: str) -> str:
    """Share of the lists in a window that are within the selected threshold."""
    within = rate(f"{LATENCY}_bucket", 'le="$slo_threshold"', window=window)
    return share(within, rate(f"{LATENCY}_count", window=window))


def spent(window: str) -> str:
    """Late lists in a window, as a multiple of the number that the objective allows."""
    return f"(1 - {attained(window)}) / {1 - OBJECTIVE:g}"
