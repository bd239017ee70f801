"""The four kinds of panels. Each names its metrics, shows a text if it has no data, and may have thresholds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders import common, statetimeline
from grafana_foundation_sdk.builders import heatmap as heatmaps
from grafana_foundation_sdk.builders import stat as stats
from grafana_foundation_sdk.builders import timeseries as lines
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    DataSourceRef,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import Threshold, ThresholdsMode, ValueMap, ValueMappingResult
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from monitoring.dashboards.queries import increase

SOURCE = DataSourceRef("prometheus", "${datasource}")
NO_TRAFFIC = "no traffic"
METRIC = re.compile(r"(\w+?)(?:_bucket|_sum|_count)?\{")
"""Matches a metric's name in a query. Every selector has braces, and a histogram's name comes without a suffix."""

Panel = stats.Panel | lines.Panel | heatmaps.Panel | statetimeline.Panel
P = TypeVar("P", stats.Panel, lines.Panel, heatmaps.Panel, statetimeline.Panel)


def above(bad: float | None = None, warn: float | None = None) -> ThresholdsConfig:
    """Green; yellow at `warn` and above; red at `bad` and above."""
    return _steps((None, "green"), (warn, "yellow"), (bad, "red"))


def below(bad: float, warn: float | None = None) -> ThresholdsConfig:
    """Red below `bad`; yellow below `warn`; green otherwise."""
    if warn is None:
        return _steps((None, "red"), (bad, "green"))
    return _steps((None, "red"), (bad, "yellow"), (warn, "green"))


def stat(
    title: str, text: str, unit: str, query: str, limits: ThresholdsConfig | None = None, none: str = NO_TRAFFIC
) -> stats.Panel:
    """Return a panel with the current value of one query."""
    panel = _formatted(stats.Panel(), unit, limits, none).graph_mode(BigValueGraphMode.NONE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return _with_queries(panel, title, text, [_query(title, query).instant()])


def timeseries(
    title: str,
    text: str,
    unit: str,
    queries: Mapping[str, str],
    limits: ThresholdsConfig | None = None,
    none: str = NO_TRAFFIC,
    *,
    stacked: bool = False,
    exemplars: bool = False,
) -> lines.Panel:
    """Return lines over time; `queries` are keyed by legend. Thresholds are dashed. Stacked lines add up as areas."""
    panel = _formatted(lines.Panel(), unit, limits, none).show_points(VisibilityMode.AUTO).axis_soft_min(0)
    panel.legend(common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST))
    panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(30)
    if limits is not None:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    targets = [_query(legend, query).exemplar(exemplars) for legend, query in queries.items()]
    return _with_queries(panel, title, text, targets)


def heatmap(title: str, text: str, unit: str, histogram: str) -> heatmaps.Panel:
    """Return the distribution of a histogram's observations over time; `unit` is the unit of the observations."""
    color = heatmaps.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").exponent(0.5).steps(64)
    panel = _formatted(heatmaps.Panel(), "short").color(color).y_axis(heatmaps.YAxisConfig().unit(unit))
    buckets = _query("{{le}}", increase(f"{histogram}_bucket", by=("le",)))
    return _with_queries(panel, title, text, [buckets.format(PromQueryFormat.HEATMAP)])


def states(title: str, text: str, query: str, names: Mapping[int, tuple[str, str]]) -> statetimeline.Panel:
    """Return the state of each worker over time; `names` gives the name and the colour of each value."""
    results = {str(value): ValueMappingResult(name, color) for value, (name, color) in names.items()}
    panel = _formatted(statetimeline.Panel(), "none", none="no workers").mappings([ValueMap(results)])
    return _with_queries(panel.show_value(VisibilityMode.NEVER), title, text, [_query("{{instance}}", query)])


def _formatted(panel: P, unit: str, limits: ThresholdsConfig | None = None, none: str = NO_TRAFFIC) -> P:
    return panel.unit(unit).no_value(none).thresholds(limits or above())


def _with_queries(panel: P, title: str, text: str, queries: Sequence[Dataquery]) -> P:
    for ref, query in zip(ascii_uppercase, queries, strict=False):
        panel.with_target(query.ref_id(ref))
    expressions = " ".join(query.build().expr for query in queries)
    metrics = ", ".join(f"`{name}`" for name in sorted(set(METRIC.findall(expressions))))
    return panel.title(title).description(f"{text}\n\nFrom {metrics}.").datasource(SOURCE)


def _query(legend: str, expr: str) -> Dataquery:
    return Dataquery().datasource(SOURCE).expr(expr).legend_format(legend).format(PromQueryFormat.TIME_SERIES).range()


def _steps(*steps: tuple[float | None, str]) -> ThresholdsConfig:
    first, *others = steps
    shown = [first, *(step for step in others if step[0] is not None)]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([Threshold(value, color) for value, color in shown])
