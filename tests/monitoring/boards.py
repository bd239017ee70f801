"""The committed dashboards: panels and their queries."""

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
    description: str
    expr: str
    legend: str
    instant: bool
    exemplars: bool

    def __str__(self) -> str:
        return f"{self.board}: {self.panel}: {self.expr}"

    @property
    def metrics(self) -> set[str]:
        """Names of the time series that it reads."""
        return series_in(self.expr)


def series_in(expr: str) -> set[str]:
    """Return the names of the time series that PromQL reads: every selector has its braces."""
    return set(re.findall(r"(\w+)\{", expr))


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a dashboard shows, without the headings of rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


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
        for name, board in BOARDS.items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def marks() -> list[dict[str, Any]]:
    """Return the annotations of all dashboards."""
    return [annotation for board in BOARDS.values() for annotation in board["annotations"]["list"]]
