"""The committed dashboards as Grafana reads them: panels, and the queries in them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from monitoring.__main__ import ROOT

GRAFANA = ROOT / "monitoring" / "grafana"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}


@dataclass(frozen=True, slots=True)
class Query:
    """A panel's query. An instant one is answered by one value for each series."""

    board: str
    panel: str
    expr: str
    legend: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.board}: {self.panel}: {self.expr}"

    @property
    def metrics(self) -> set[str]:
        """Names of the time series that it reads."""
        return set(re.findall(r"(\w+)\{", self.expr))


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a dashboard shows, without the headings of rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries_of(name: str, panel: dict[str, Any]) -> list[Query]:
    """Return a panel's queries."""
    return [
        Query(name, panel["title"], target["expr"], target["legendFormat"], target.get("instant", False))
        for target in panel["targets"]
    ]


def queries() -> list[Query]:
    """Return all queries of all panels."""
    return [query for name, board in BOARDS.items() for panel in panels(board) for query in queries_of(name, panel)]
