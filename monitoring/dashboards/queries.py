"""PromQL for the dashboards: selectors of the chosen workers, rates per scrape, and no value instead of NaN."""

from __future__ import annotations

PREFIX = "intentstream_"
OTHERS = ("process_", "python_", "up")
"""Prefixes of the metrics that come from the client library or from Prometheus itself."""
JOB = 'job=~"$job"'
WORKER = 'instance=~"$instance"'
STEP = "$__rate_interval"
SHOWN = "$__range"
"""The time range of the dashboard."""


def of(metric: str, *matchers: str) -> str:
    """Select a metric's series of the chosen workers."""
    return of_all(metric, WORKER, *matchers)


def of_all(metric: str, *matchers: str) -> str:
    """Select a metric's series of all workers in the chosen jobs."""
    name = metric if metric.startswith(OTHERS) else PREFIX + metric
    return f"{name}{{{','.join((JOB, *matchers))}}}"


def total(series: str, *by: str, how: str = "sum") -> str:
    """Aggregate series by these labels: their sum, or their `max` or `min`."""
    return f"{how} by ({', '.join(by)}) ({series})" if by else f"{how}({series})"


def rate(counter: str, *matchers: str, by: tuple[str, ...] = (), window: str = STEP) -> str:
    """Increase per second over all chosen workers."""
    return total(f"rate({of(counter, *matchers)}[{window}])", *by)


def increase(counter: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Increase within the rate interval over all chosen workers."""
    return total(f"increase({of(counter, *matchers)}[{STEP}])", *by)


def share(part: str, whole: str) -> str:
    """Part of the whole. There is no value if the whole is 0."""
    return f"{part} / ({whole} > 0)"


def shares(parts: str, whole: str) -> str:
    """Parts with labels, each divided by one whole without labels. There is no value if the whole is 0."""
    return f"{parts} / on () group_left () ({whole} > 0)"


def quantile(q: float, histogram: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Estimate a quantile from the buckets. There is no value without observations."""
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', *matchers, by=(*by, 'le'))}) >= 0"


def quantiles(histogram: str, *qs: float, matchers: tuple[str, ...] = ()) -> dict[str, str]:
    """Quantiles of one histogram, keyed by their usual names, such as p99."""
    return {f"p{q * 100:g}": quantile(q, histogram, *matchers) for q in qs}


def mean(histogram: str, by: tuple[str, ...] = ()) -> str:
    """Mean of the observations. There is no value without observations."""
    return share(rate(f"{histogram}_sum", by=by), rate(f"{histogram}_count", by=by))
