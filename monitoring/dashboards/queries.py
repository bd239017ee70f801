"""PromQL as the dashboards write it: the workers that are chosen, rates per scrape, and nothing where NaN would be."""

from __future__ import annotations

PREFIX = "intentstream_"
OTHERS = ("process_", "python_", "up")
"""How the metrics begin that the client library and Prometheus itself give."""
JOB = 'job=~"$job"'
WORKER = 'instance=~"$instance"'
STEP = "$__rate_interval"
SHOWN = "$__range"
"""All the time that the dashboard shows."""


def of(metric: str, *matchers: str) -> str:
    """Select a metric's series, of the chosen workers."""
    return of_all(metric, WORKER, *matchers)


def of_all(metric: str, *matchers: str) -> str:
    """Select a metric's series, of all workers of the chosen jobs."""
    name = metric if metric.startswith(OTHERS) else PREFIX + metric
    return f"{name}{{{','.join((JOB, *matchers))}}}"


def total(series: str, *by: str, how: str = "sum") -> str:
    """Add series up, by these labels; or take their `max` or `min`."""
    return f"{how} by ({', '.join(by)}) ({series})" if by else f"{how}({series})"


def rate(counter: str, *matchers: str, by: tuple[str, ...] = (), window: str = STEP) -> str:
    """Increase per second, of all the chosen workers together."""
    return total(f"rate({of(counter, *matchers)}[{window}])", *by)


def increase(counter: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Increase within the last scrapes, of all the chosen workers together."""
    return total(f"increase({of(counter, *matchers)}[{STEP}])", *by)


def share(part: str, whole: str) -> str:
    """Part of the whole; nothing where there is no whole."""
    return f"{part} / ({whole} > 0)"


def shares(parts: str, whole: str) -> str:
    """Parts, told apart by their labels, of one whole that has none; nothing where there is no whole."""
    return f"{parts} / on () group_left () ({whole} > 0)"


def quantile(q: float, histogram: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Estimate a quantile from buckets; nothing where nothing was observed."""
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', *matchers, by=(*by, 'le'))}) >= 0"


def quantiles(histogram: str, *qs: float, matchers: tuple[str, ...] = ()) -> dict[str, str]:
    """Quantiles of one histogram, by the names that operators call them."""
    return {f"p{q * 100:g}": quantile(q, histogram, *matchers) for q in qs}


def mean(histogram: str, by: tuple[str, ...] = ()) -> str:
    """Mean of what was observed; nothing where nothing was."""
    return share(rate(f"{histogram}_sum", by=by), rate(f"{histogram}_count", by=by))
