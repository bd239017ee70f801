"""Grafana's dashboards, one module each, written as tables of panels: title, text, unit, query, limits."""

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
    """Return the JSON of each dashboard, by its path."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    return {f"monitoring/grafana/dashboards/{each.uid}.json": encoder.encode(each) + "\n" for each in DASHBOARDS}
