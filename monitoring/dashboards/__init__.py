"""Grafana dashboards, one per module, as tables of panels: title, description, unit, queries, thresholds."""

from __future__ import annotations

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.dashboards import kafka, overview, quality, runtime, scorer, state

DASHBOARDS: tuple[Dashboard, ...] = (
    overview.DASHBOARD,
    kafka.DASHBOARD,
    state.DASHBOARD,
    scorer.DASHBOARD,
    quality.DASHBOARD,
    runtime.DASHBOARD,
)


def files() -> dict[str, str]:
    """Return the JSON of each dashboard, keyed by path."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    return {f"monitoring/grafana/dashboards/{each.uid}.json": encoder.encode(each) + "\n" for each in DASHBOARDS}
