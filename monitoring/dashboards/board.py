"""The parts that all dashboards share: variables, annotations, links, and a grid of 24 columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    CustomVariable,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
)
from grafana_foundation_sdk.builders.dashboard import (
    Row as GridRow,
)
from grafana_foundation_sdk.models import dashboard as models

from monitoring.dashboards.panels import SOURCE, Panel
from monitoring.dashboards.queries import PREFIX, increase, of
from monitoring.runbooks import page

TAG = "intentstream"
COLUMNS = 24


@dataclass(frozen=True, slots=True)
class Row:
    """Panels of equal width in one row."""

    title: str
    panels: tuple[Panel, ...]
    height: int


def row(title: str, *panels: Panel, height: int = 8) -> Row:
    """Return a row of panels under a heading."""
    return Row(title, panels, height)


def board(
    name: str,
    title: str,
    text: str,
    *rows: Row,
    runbooks: Sequence[str],
    variables: Sequence[CustomVariable] = (),
) -> models.Dashboard:
    """Build a dashboard of rows, with links to `runbooks`, and with `variables` besides the shared ones."""
    made = _empty(name, title, text)
    for variable in (*_variables(), *variables):
        made.with_variable(variable)
    for annotation in _annotations():
        made.annotation(annotation)
    for link in _links(runbooks):
        made.link(link)
    numbers = count(1)
    for each in rows:
        made.with_row(GridRow(each.title).id(next(numbers)))
        for panel in each.panels:
            made.with_panel(panel.id(next(numbers)).span(COLUMNS // len(each.panels)).height(each.height))
    return made.build()


def _empty(name: str, title: str, text: str) -> Dashboard:
    return (
        Dashboard(f"Intentstream: {title}")
        .uid(f"{TAG}-{name}")
        .description(text)
        .tags([TAG])
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
    )


def _variables() -> tuple[DatasourceVariable | QueryVariable, ...]:
    return (
        DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _labels("job", f"label_values({PREFIX}build_info, job)").label("Job"),
        _labels("instance", 'label_values(up{job=~"$job"}, instance)').label("Worker"),
    )


def _labels(name: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .datasource(SOURCE)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )


def _annotations() -> tuple[AnnotationQuery, ...]:
    swaps = increase("model_swaps_total", 'outcome="taken_over"', by=("job",))
    rebalances = increase("rebalances_total", by=("job",))
    started = f"max by (job, instance) ({of('started_timestamp_seconds')}) * 1000"
    return (
        _annotation("Model change", "purple", f"{swaps} > 0", "{{job}}"),
        _annotation("Rebalance", "yellow", f"{rebalances} > 0", "{{job}}"),
        # The value is the start time itself, in milliseconds, so it does not depend on the step of the query.
        _annotation("Restart", "blue", started, "{{instance}}").use_value_for_time(True),
    )


def _annotation(name: str, color: str, expr: str, text: str) -> AnnotationQuery:
    annotation = AnnotationQuery().name(name).enable(True).icon_color(color).datasource(SOURCE)
    return annotation.expr(expr).title_format(name).text_format(text)


def _links(runbooks: Sequence[str]) -> tuple[DashboardLink, ...]:
    boards = DashboardLink("Dashboards").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    return (
        boards.as_dropdown(True).include_vars(True).keep_time(True),
        _runbook("Runbooks", "README"),
        *(_runbook(f"Runbook: {name.replace('-', ' ')}", name) for name in runbooks),
    )


def _runbook(title: str, name: str) -> DashboardLink:
    link = DashboardLink(title).type(models.DashboardLinkType.LINK).icon("doc").url(page(name))
    return link.tooltip("Meaning of the alerts, and remedies").target_blank(True)
