"""The page that lists the metrics and the meaning of every panel, for readers without Grafana."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel, RowPanel

from monitoring.dashboards import DASHBOARDS

HEAD = """\
# Dashboards

This page describes each Grafana panel. The build of the documentation site generates it from
`monitoring/dashboards`.
"""


def files() -> dict[str, str]:
    """Return the page, keyed by path."""
    return {"docs/dashboards.md": "\n".join([HEAD, *map(_section, DASHBOARDS)])}


def _section(board: Dashboard) -> str:
    lines = [f"## {board.title}", "", f"{board.description}", "", "| Panel | Meaning |", "|---|---|"]
    return "\n".join([*lines, *map(_line, board.panels or ()), ""])


def _line(panel: Panel | RowPanel) -> str:
    if isinstance(panel, RowPanel):
        return f"| **{panel.title}** | |"
    return f"| {panel.title} | {' '.join((panel.description or '').split())} |"
