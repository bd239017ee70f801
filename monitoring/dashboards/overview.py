"""What an operator looks at first: whether shoppers are served within the objective, and by how many workers."""

from __future__ import annotations

from monitoring.dashboards.board import board, row
from monitoring.dashboards.objective import ANSWERED, IN_TIME, LATENCY, attained, spent
from monitoring.dashboards.panels import above, below, heatmap, stat, states, timeseries
from monitoring.dashboards.queries import SHOWN, of, quantile, quantiles, rate, share, shares, total
from monitoring.slo import OBJECTIVE, PERIOD, THRESHOLD_S

LATE = above(THRESHOLD_S, THRESHOLD_S / 2)
FALLBACKS = share(rate("fallbacks_total"), ANSWERED)

NOW = row(
    "Now",
    stat("Events", "Shoppers' events answered with a list.", "eps", ANSWERED),
    stat("p50", "Half of the lists come within this time of their event.", "s", quantile(0.5, LATENCY), LATE),
    stat("p99", "99 of 100 lists come within this time of their event.", "s", quantile(0.99, LATENCY), LATE),
    stat(
        "SLO attainment",
        "Share of the lists within the threshold, of all in the time shown.",
        "percentunit",
        attained(SHOWN),
        below(OBJECTIVE, (1 + OBJECTIVE) / 2),
    ),
    stat(
        "Error budget left",
        f"Of the late lists that {OBJECTIVE:.0%} in time allow in {PERIOD}, or as far back as Prometheus remembers.",
        "percentunit",
        f"1 - {spent(PERIOD)}",
        below(0, 0.25),
    ),
    stat(
        "Lag",
        "Age of the oldest message that waits or is under way.",
        "s",
        total(of("consumer_lag_seconds"), how="max"),
        above(30, 5),
        none="no workers",
    ),
    stat(
        "Fallbacks",
        "Share of the lists that were made without the model, or without the search's vector.",
        "percentunit",
        FALLBACKS,
        above(0.05, 0.01),
    ),
    stat(
        "Unreachable workers",
        "Workers that Prometheus knows of and cannot scrape.",
        "none",
        f"sum(1 - {of('up')})",
        above(1),
        none="no workers",
    ),
    height=4,
)

LATENCIES = row(
    "Latency",
    timeseries(
        "From event to list",
        "From the moment the broker took the event until its list was delivered. Points are lists, by their ids.",
        "s",
        quantiles(LATENCY, 0.5, 0.9, 0.99, 0.999),
        LATE,
        exemplars=True,
    ),
    timeseries(
        "p99 by trigger",
        "By what the shopper did.",
        "s",
        {"{{trigger}}": quantile(0.99, LATENCY, by=("trigger",))},
        LATE,
    ),
    heatmap("Distribution", "How many lists took how long.", "s", LATENCY),
)

OBJECTIVES = row(
    "Objective",
    timeseries(
        "Within the threshold",
        "Share of the lists that came within the threshold chosen above.",
        "percentunit",
        {"within $slo_threshold s": attained("$__rate_interval")},
        below(OBJECTIVE, (1 + OBJECTIVE) / 2),
    ),
    timeseries(
        "Burn rate",
        f"How many times faster the error budget is spent than would last for {PERIOD}."
        " Alerts judge it over longer windows: 14.4 and 6 wake somebody, 1 is a ticket.",
        "none",
        {"burn rate": spent("$__rate_interval")},
        above(6, 1),
    ),
    timeseries(
        "Fallbacks by reason",
        "Share of the lists that were made without the model, or without the search's vector.",
        "percentunit",
        {"{{reason}}": shares(rate("fallbacks_total", by=("reason",)), ANSWERED)},
        above(0.05, 0.01),
    ),
)

WORKERS = row(
    "Traffic and workers",
    timeseries(
        "Lists by trigger",
        "Lists delivered, by what the shopper did.",
        "eps",
        {"{{trigger}}": rate(f"{LATENCY}_count", by=("trigger",))},
        stacked=True,
    ),
    timeseries(
        "Lists by worker",
        "A worker that does much more than the others owns a partition that does.",
        "eps",
        {"{{instance}}": rate(f"{LATENCY}_count", by=("instance",))},
        stacked=True,
    ),
    states(
        "Ready",
        "Whether each worker serves: partitions assigned, tables recovered, model verified, catalogue read.",
        total(of("ready"), "instance", how="max"),
        {0: ("not ready", "red"), 1: ("ready", "green")},
    ),
)

DASHBOARD = board(
    "overview",
    "Overview and SLO",
    "Are shoppers served in time, and by how many workers?",
    NOW,
    LATENCIES,
    OBJECTIVES,
    WORKERS,
    runbooks=["latency-budget", "not-ready", "worker-down", "metrics-absent"],
    variables=[IN_TIME],
)
