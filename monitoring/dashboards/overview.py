"""The first dashboard to read: whether shoppers get their lists in time, and how many workers serve them."""

from __future__ import annotations

from monitoring.dashboards.board import board, row
from monitoring.dashboards.objective import ANSWERED, IN_TIME, LATENCY, attained, spent
from monitoring.dashboards.panels import above, below, heatmap, stat, states, timeseries
from monitoring.dashboards.queries import SHOWN, of, quantile, quantiles, rate, share, shares, total
from monitoring.slo import OBJECTIVE, PERIOD, THRESHOLD_S

LATE = above(THRESHOLD_S, THRESHOLD_S / 2)
FALLBACKS = share(rate("fallbacks_total", 'reason!="rate_limited"'), ANSWERED)

NOW = row(
    "Now",
    stat("Events", "Shoppers' events that got a list, per second.", "eps", ANSWERED),
    stat("p50", "Half of the lists are delivered within this time of their event.", "s", quantile(0.5, LATENCY), LATE),
    stat("p99", "99 of 100 lists are delivered within this time of their event.", "s", quantile(0.99, LATENCY), LATE),
    stat(
        "SLO attainment",
        "Share of the lists in the time range shown that are within the threshold.",
        "percentunit",
        attained(SHOWN),
        below(OBJECTIVE, (1 + OBJECTIVE) / 2),
    ),
    stat(
        "Error budget left",
        f"Unspent share of the error budget of {PERIOD}, in which {OBJECTIVE:.0%} of the lists must be in time."
        " The period is shorter if Prometheus holds less data.",
        "percentunit",
        f"1 - {spent(PERIOD)}",
        below(0, 0.25),
    ),
    stat(
        "Lag",
        "Age of the oldest message that waits or is in flight.",
        "s",
        total(of("consumer_lag_seconds"), how="max"),
        above(30, 5),
        none="no workers",
    ),
    stat(
        "Fallbacks",
        "Share of the lists that the model did not rank, or ranked without the vector of the search.",
        "percentunit",
        FALLBACKS,
        above(0.05, 0.01),
    ),
    stat(
        "Unreachable workers",
        "Workers that Prometheus has found but cannot scrape.",
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
        "From the broker's append of the event to the delivery of its list. Points are single lists with their ids.",
        "s",
        quantiles(LATENCY, 0.5, 0.9, 0.99, 0.999),
        LATE,
        exemplars=True,
    ),
    timeseries(
        "p99 by trigger",
        "99th percentile of the latency, by the shopper's action.",
        "s",
        {"{{trigger}}": quantile(0.99, LATENCY, by=("trigger",))},
        LATE,
    ),
    heatmap("Distribution", "Number of lists by latency.", "s", LATENCY),
)

OBJECTIVES = row(
    "Objective",
    timeseries(
        "Within the threshold",
        "Share of the lists that are within the threshold selected above.",
        "percentunit",
        {"within $slo_threshold s": attained("$__rate_interval")},
        below(OBJECTIVE, (1 + OBJECTIVE) / 2),
    ),
    timeseries(
        "Burn rate",
        f"Speed at which the error budget is spent. At 1, the budget lasts exactly {PERIOD}."
        " Alerts use longer windows: they page at 14.4 and at 6, and open a ticket at 1.",
        "none",
        {"burn rate": spent("$__rate_interval")},
        above(6, 1),
    ),
    timeseries(
        "Fallbacks by reason",
        "Share of the lists that the model did not rank, or ranked without the vector of the search."
        " Lists of single shoppers who send too many events are rate_limited.",
        "percentunit",
        {"{{reason}}": shares(rate("fallbacks_total", by=("reason",)), ANSWERED)},
        above(0.05, 0.01),
    ),
)

WORKERS = row(
    "Traffic and workers",
    timeseries(
        "Lists by trigger",
        "Delivered lists, by the shopper's action.",
        "eps",
        {"{{trigger}}": rate(f"{LATENCY}_count", by=("trigger",))},
        stacked=True,
    ),
    timeseries(
        "Lists by worker",
        "Delivered lists, by worker. A worker far above the others owns a busy partition.",
        "eps",
        {"{{instance}}": rate(f"{LATENCY}_count", by=("instance",))},
        stacked=True,
    ),
    states(
        "Ready",
        "Whether each worker is ready: partitions assigned, tables recovered, model verified, catalogue read.",
        total(of("ready"), "instance", how="max"),
        {0: ("not ready", "red"), 1: ("ready", "green")},
    ),
)

DASHBOARD = board(
    "overview",
    "Overview and SLO",
    "Whether shoppers get their lists in time, and how many workers serve them.",
    NOW,
    LATENCIES,
    OBJECTIVES,
    WORKERS,
    runbooks=["latency-budget", "not-ready", "worker-down", "metrics-absent"],
    variables=[IN_TIME],
)
