"""The committed dashboards: panels and their queries."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from monitoring.__main__ import ROOT

GRAFANA = ROOT / "monitoring" / "grafana"
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}


@dataclass(frozen=True, slots=True)
class Query:
    """A panel's query. An instant query returns one value for each series."""

    dashboard: str
    panel: str
    description: str
    expr: str
    legend: str
    instant: bool
    exemplars: bool

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel}: {self.expr}"

    @property
    def metrics(self) -> set[str]:
        """Names of the time series in the query."""
        return series_in(self.expr)


def series_in(expr: str) -> set[str]:
    """Return the names of the time series in a PromQL expression. Every selector must have braces."""
    return set(re.findall(r"(\w+)\{", expr))


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a dashboard's panels without rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries() -> list[Query]:
    """Return all queries of all panels."""
    return [
        Query(
            name,
            panel["title"],
            panel["description"],
            target["expr"],
            target["legendFormat"],
            target.get("instant", False),
            target.get("exemplar", False),
        )
        for name, dashboard in DASHBOARDS.items()
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def dashboard_annotations() -> list[dict[str, Any]]:
    """Return the annotations of all dashboards."""
    return [annotation for dashboard in DASHBOARDS.values() for annotation in dashboard["annotations"]["list"]]
