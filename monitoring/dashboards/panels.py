"""The four kinds of panels. Each names its metrics, shows a word where there is no number, and has its limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    StackingMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import Threshold, ThresholdsMode, ValueMap, ValueMappingResult
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from monitoring.dashboards.queries import increase

SOURCE = DataSourceRef("prometheus", "${datasource}")
NO_TRAFFIC = "no traffic"
METRIC = re.compile(r"(\w+?)(?:_bucket|_sum|_count)?\{")
"""A metric's name in a query, where every selector has its braces; a histogram's without its series' endings."""

Panel = stats.Panel | lines.Panel | heatmaps.Panel | statetimeline.Panel
P = TypeVar("P", stats.Panel, lines.Panel, heatmaps.Panel, statetimeline.Panel)


def above(bad: float | None = None, warn: float | None = None) -> ThresholdsConfig:
    """Green, yellow from `warn` on, red from `bad` on."""
    return _steps((None, "green"), (warn, "yellow"), (bad, "red"))


def below(bad: float, warn: float | None = None) -> ThresholdsConfig:
    """Red below `bad`, yellow below `warn`, else green."""
    if warn is None:
        return _steps((None, "red"), (bad, "green"))
    return _steps((None, "red"), (bad, "yellow"), (warn, "green"))


def stat(
    title: str, text: str, unit: str, query: str, limits: ThresholdsConfig | None = None, none: str = NO_TRAFFIC
) -> stats.Panel:
    """One number, of now."""
    panel = (
        stats.Panel()
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    return _filled(panel, title, text, unit, {title: query}, limits, none, instant=True)


def timeseries(
    title: str,
    text: str,
    unit: str,
    queries: Mapping[str, str],
    limits: ThresholdsConfig | None = None,
    none: str = NO_TRAFFIC,
    stacked: bool = False,
) -> lines.Panel:
    """Lines over time, by their legends; limits are dashed. Stacked, they are areas that add up."""
    panel = lines.Panel().show_points(VisibilityMode.AUTO).fill_opacity(30 if stacked else 0)
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if limits is not None:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    return _filled(panel, title, text, unit, queries, limits, none)


def heatmap(title: str, text: str, unit: str, histogram: str) -> heatmaps.Panel:
    """How a histogram's observations lie, over time; `unit` is that of what was observed."""
    color = heatmaps.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").exponent(0.5).steps(64)
    panel = heatmaps.Panel().color(color).y_axis(heatmaps.YAxisConfig().unit(unit))
    queries = {"{{le}}": increase(f"{histogram}_bucket", by=("le",))}
    return _filled(panel, title, text, "short", queries, None, NO_TRAFFIC, shape=PromQueryFormat.HEATMAP)


def states(
    title: str, text: str, queries: Mapping[str, str], names: Mapping[int, tuple[str, str]]
) -> statetimeline.Panel:
    """States over time, each with its name and colour."""
    results = {str(value): ValueMappingResult(name, color) for value, (name, color) in names.items()}
    panel = statetimeline.Panel().mappings([ValueMap(results)]).show_value(VisibilityMode.NEVER)
    return _filled(panel, title, text, "none", queries, None, "no workers")


def _filled(
    panel: P,
    title: str,
    text: str,
    unit: str,
    queries: Mapping[str, str],
    limits: ThresholdsConfig | None,
    none: str,
    *,
    instant: bool = False,
    shape: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> P:
    metrics = sorted({name for query in queries.values() for name in METRIC.findall(query)})
    panel.title(title).description(f"{text}\n\nFrom {', '.join(f'`{name}`' for name in metrics)}.")
    panel.datasource(SOURCE).unit(unit).no_value(none).thresholds(limits or above())
    for ref, (legend, expr) in zip(ascii_uppercase, queries.items(), strict=False):
        query = Dataquery().ref_id(ref).datasource(SOURCE).expr(expr).legend_format(legend).format(shape)
        panel.with_target(query.instant() if instant else query.range())
    return panel


def _steps(*steps: tuple[float | None, str]) -> ThresholdsConfig:
    first, *others = steps
    shown = [first, *(step for step in others if step[0] is not None)]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([Threshold(value, color) for value, color in shown])
