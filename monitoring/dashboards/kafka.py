"""The stream: what comes in, what waits, who owns which partitions, what is refused."""

from __future__ import annotations

from monitoring.dashboards.board import board, row
from monitoring.dashboards.panels import above, timeseries
from monitoring.dashboards.queries import STEP, increase, of, of_all, quantiles, rate, total

KNOWN = f"{of('lag_known_timestamp_seconds')} > 0"
"""When a worker was last told where the logs end; nothing where it never was."""

LAG = row(
    "Lag",
    timeseries(
        "Lag in seconds",
        "Age of the oldest message that waits or is under way, of the worker that is furthest behind.",
        "s",
        {"{{topic}}": total(of("consumer_lag_seconds"), "topic", how="max")},
        above(30, 5),
        none="no workers",
    ),
    timeseries(
        "Lag in messages",
        "From the committed offset to the end of the log.",
        "short",
        {"{{topic}}": total(of("consumer_lag_records"), "topic")},
        none="no partitions owned",
    ),
    timeseries(
        "Partitions furthest behind",
        "The ten with the most messages that wait. One alone is a key that does too much, or a message that is stuck.",
        "short",
        {"{{topic}}/{{partition}}": f"topk(10, {total(of('consumer_lag_records'), 'topic', 'partition')})"},
        none="no partitions owned",
    ),
    timeseries(
        "Growth of the lag",
        "Above 0 for long, more comes in than the workers can do.",
        "cps",
        {"{{topic}}": total(f"deriv({of('consumer_lag_records')}[{STEP}])", "topic")},
        none="no partitions owned",
    ),
)

FLOW = row(
    "Flow",
    timeseries(
        "Messages taken",
        "By topic, whatever became of them.",
        "cps",
        {"{{topic}}": rate("events_total", by=("topic",))},
        stacked=True,
    ),
    timeseries(
        "Not as usual",
        "Refused (invalid), applied before (replayed), or older than what the shopper did last (late).",
        "cps",
        {"{{topic}}, {{outcome}}": rate("events_total", 'outcome!="ok"', by=("topic", "outcome"))},
    ),
    timeseries(
        "Dead letters",
        "Messages that were refused and put on the topic of dead letters, by reason.",
        "cps",
        {"{{reason}}": rate("dead_letters_total", by=("reason",))},
        above(1, 0.1),
    ),
    timeseries(
        "Under way",
        "Interactions that were read and not yet answered, by worker.",
        "short",
        {"{{instance}}": total(of("events_in_flight"), "instance")},
        none="no workers",
    ),
)

PARTITIONS = row(
    "Partitions",
    timeseries(
        "Without an owner",
        "Partitions that no worker owns, chosen or not. For a moment during a rebalance; else their shoppers wait.",
        "none",
        {
            "{{topic}}": f"{total(of_all('partitions'), 'topic', how='max')}"
            f" - {total(of_all('assigned_partitions'), 'topic')}"
        },
        above(1),
        none="no workers",
    ),
    timeseries(
        "Owned by each worker",
        "Of all topics together. Workers that own none are too many.",
        "none",
        {"{{instance}}": total(of("assigned_partitions"), "instance")},
        stacked=True,
        none="no workers",
    ),
    timeseries(
        "Rebalances",
        "Begun lately. Many in a row: workers come and go, or are silent for longer than a session.",
        "none",
        {"{{instance}}": increase("rebalances_total", by=("instance",))},
        none="no workers",
    ),
    timeseries(
        "Time of a rebalance",
        "Until messages flow again, recovery included.",
        "s",
        quantiles("rebalance_seconds", 0.5, 0.99),
        above(120, 30),
        none="no rebalance",
    ),
)

COMMITS = row(
    "Commits and brokers",
    timeseries(
        "Committed",
        "How fast committed offsets grow. At 0 under lag, a partition is stuck.",
        "cps",
        {"{{topic}}": total(f"deriv({of('consumer_offset')}[{STEP}])", "topic")},
        none="no partitions owned",
    ),
    timeseries(
        "Time of a commit",
        "As the brokers take it.",
        "s",
        quantiles("commit_seconds", 0.5, 0.99),
        above(2.5, 0.5),
        none="no commits",
    ),
    timeseries(
        "Commits",
        "By worker.",
        "ops",
        {"{{instance}}": rate("commit_seconds_count", by=("instance",))},
        none="no workers",
    ),
    timeseries(
        "Brokers' last answer",
        "Since brokers last told a worker where the logs end. Beyond a few seconds, the lag shown is of that time.",
        "s",
        {"{{instance}}": f"time() - {total(KNOWN, 'instance', how='max')}"},
        above(120, 30),
        none="no workers",
    ),
)

DASHBOARD = board(
    "kafka",
    "Stream and Kafka",
    "What comes in, what waits, who owns which partitions, what is refused.",
    LAG,
    FLOW,
    PARTITIONS,
    COMMITS,
    runbooks=["lag", "partitions", "rebalance-storm", "dead-letters"],
)
