"""Messages in Kafka: traffic, lag, owners of partitions, and refused messages."""

from __future__ import annotations

from monitoring.dashboards.board import board, row
from monitoring.dashboards.panels import above, timeseries
from monitoring.dashboards.queries import STEP, increase, of, of_all, quantiles, rate, total

KNOWN = f"{of('lag_known_timestamp_seconds')} > 0"
"""Time of the brokers' last answer about the ends of the logs. A worker without an answer has no value."""

LAG = row(
    "Lag",
    timeseries(
        "Lag in seconds",
        "Age of the oldest message that waits or is in flight, on the worker that is furthest behind.",
        "s",
        {"{{topic}}": total(of("consumer_lag_seconds"), "topic", how="max")},
        above(30, 5),
        none="no workers",
    ),
    timeseries(
        "Lag in messages",
        "Records from the committed offset, or from the fetch position if nothing is in flight, to the end of the log.",
        "short",
        {"{{topic}}": total(of("consumer_lag_records"), "topic")},
        none="no partitions owned",
    ),
    timeseries(
        "Partitions furthest behind",
        "The ten partitions with the most waiting messages. A single one has a very busy key or a stuck message.",
        "short",
        {"{{topic}}/{{partition}}": f"topk(10, {total(of('consumer_lag_records'), 'topic', 'partition')})"},
        none="no partitions owned",
    ),
    timeseries(
        "Growth of the lag",
        "Growth of the lag in messages per second. If it stays above 0, more messages arrive than workers process.",
        "cps",
        {"{{topic}}": total(f"deriv({of('consumer_lag_records')}[{STEP}])", "topic")},
        none="no partitions owned",
    ),
)

FLOW = row(
    "Flow",
    timeseries(
        "Messages processed",
        "Messages by topic, with any outcome.",
        "cps",
        {"{{topic}}": rate("events_total", by=("topic",))},
        stacked=True,
    ),
    timeseries(
        "Invalid, replayed and late messages",
        "Messages refused (invalid), applied before (replayed), or older than the shopper's latest event (late).",
        "cps",
        {"{{topic}}, {{outcome}}": rate("events_total", 'outcome!="ok"', by=("topic", "outcome"))},
    ),
    timeseries(
        "Dead letters",
        "Refused messages that went to the dead-letter topic, by topic and reason.",
        "cps",
        {"{{topic}}, {{reason}}": rate("dead_letters_total", by=("topic", "reason"))},
        above(1, 0.1),
    ),
    timeseries(
        "Messages in wrong partitions",
        "Messages in another partition than that of their key: a producer does not use Kafka's default partitioner. "
        "They are forwarded once. Those that cannot be forwarded are processed where they are (kept).",
        "cps",
        {"{{topic}}, {{outcome}}": rate("misplaced_messages_total", by=("topic", "outcome"))},
    ),
    timeseries(
        "Unknown items and future events",
        "Actions on items that the catalogue lacks, and events too far ahead of Kafka's clock, which count at the "
        "latest time that is allowed. Both are answered.",
        "cps",
        {
            "unknown items": rate("unknown_items_total"),
            "{{topic}}, future": rate("future_events_total", by=("topic",)),
        },
    ),
    timeseries(
        "In flight",
        "Interactions read and not yet answered, by worker.",
        "short",
        {"{{instance}}": total(of("events_in_flight"), "instance")},
        none="no workers",
    ),
)

PARTITIONS = row(
    "Partitions",
    timeseries(
        "Without an owner",
        "Partitions that no worker owns, selected or not. Their shoppers wait. A short peak in a rebalance is normal.",
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
        "Partitions of all topics, by worker. A worker without a partition has nothing to do.",
        "none",
        {"{{instance}}": total(of("assigned_partitions"), "instance")},
        stacked=True,
        none="no workers",
    ),
    timeseries(
        "Rebalances",
        "Rebalances started. If they repeat, workers come and go, or heartbeats exceed the session time-out.",
        "none",
        {"{{instance}}": increase("rebalances_total", by=("instance",))},
        none="no workers",
    ),
    timeseries(
        "Rebalance duration",
        "Time from the start of a rebalance until messages flow again, recovery included.",
        "s",
        quantiles("rebalance_seconds", 0.5, 0.99),
        above(120, 30),
        none="no rebalance",
    ),
)

COMMITS = row(
    "Commits and brokers",
    timeseries(
        "Committed messages",
        "Growth of the committed offsets per second. If it is 0 while there is lag, a partition is stuck.",
        "cps",
        {"{{topic}}": total(f"deriv({of('consumer_offset')}[{STEP}])", "topic")},
        none="no partitions owned",
    ),
    timeseries(
        "Commit duration",
        "Time until the brokers acknowledge an offset commit.",
        "s",
        quantiles("commit_seconds", 0.5, 0.99),
        above(2.5, 0.5),
        none="no commits",
    ),
    timeseries(
        "Commits",
        "Offset commits, by worker.",
        "ops",
        {"{{instance}}": rate("commit_seconds_count", by=("instance",))},
        none="no workers",
    ),
    timeseries(
        "Brokers' last answer",
        "Time since the brokers last reported the ends of the logs. Beyond a few seconds, the lag shown is that old.",
        "s",
        {"{{instance}}": f"time() - {total(KNOWN, 'instance', how='max')}"},
        above(120, 30),
        none="no workers",
    ),
)

DASHBOARD = board(
    "kafka",
    "Stream and Kafka",
    "Traffic, lag, owners of partitions, and refused messages.",
    LAG,
    FLOW,
    PARTITIONS,
    COMMITS,
    runbooks=["lag", "partitions", "rebalance-storm", "dead-letters"],
)
