"""The page that lists every panel: what it shows and from which metrics, for those who have no Grafana open."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel, RowPanel

from monitoring.dashboards import DASHBOARDS

HEAD = """\
# Dashboards

What operators see in Grafana, panel by panel. This page and the dashboards have one source: `monitoring/dashboards`,
written out by `python -m monitoring`.
"""


def files() -> dict[str, str]:
    """Return the page, by its path."""
    return {"docs/dashboards.md": "\n".join([HEAD, *map(_section, DASHBOARDS)])}


def _section(board: Dashboard) -> str:
    lines = [f"## {board.title}", "", f"{board.description}", "", "| Panel | Shows |", "|---|---|"]
    return "\n".join([*lines, *map(_line, board.panels or ()), ""])


def _line(panel: Panel | RowPanel) -> str:
    if isinstance(panel, RowPanel):
        return f"| **{panel.title}** | |"
    return f"| {panel.title} | {' '.join((panel.description or '').split())} |"
