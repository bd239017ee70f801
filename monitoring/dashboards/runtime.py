"""The worker processes: resources, event loop and versions."""

from __future__ import annotations

from monitoring.dashboards.board import board, row
from monitoring.dashboards.panels import above, states, timeseries
from monitoring.dashboards.queries import of, quantile, rate, share, total

EACH = ("instance",)

PROCESSES = row(
    "Processes",
    timeseries(
        "CPU",
        "CPU cores in use, by worker.",
        "none",
        {"{{instance}}": rate("process_cpu_seconds_total", by=EACH)},
        none="no workers",
    ),
    timeseries(
        "Memory",
        "Resident memory, by worker.",
        "bytes",
        {"{{instance}}": total(of("process_resident_memory_bytes"), *EACH)},
        none="no workers",
    ),
    timeseries(
        "Open files",
        "Share of the process's limit of open files. RocksDB keeps many files open.",
        "percentunit",
        {"{{instance}}": share(total(of("process_open_fds"), *EACH), total(of("process_max_fds"), *EACH))},
        above(0.9, 0.7),
        none="no workers",
    ),
)

PYTHON = row(
    "Python",
    timeseries(
        "Event loop lag, p99",
        "99th percentile of the loop's wake-up delay. It grows if something blocks the loop or the CPU is busy.",
        "s",
        {"{{instance}}": quantile(0.99, "event_loop_lag_seconds", by=EACH)},
        above(0.25, 0.05),
        none="no workers",
    ),
    timeseries(
        "Event loop lag, p50",
        "Median delay of the loop's wake-ups.",
        "s",
        {"{{instance}}": quantile(0.5, "event_loop_lag_seconds", by=EACH)},
        above(0.05, 0.01),
        none="no workers",
    ),
    timeseries(
        "Garbage collections",
        "Garbage collections, by generation. The oldest generation stops the loop for longest.",
        "ops",
        {"generation {{generation}}": rate("python_gc_collections_total", by=("generation",))},
        none="no workers",
    ),
)

VERSIONS = row(
    "Versions",
    timeseries(
        "Uptime",
        "Time since each worker started.",
        "s",
        {"{{instance}}": f"time() - {total(of('started_timestamp_seconds'), *EACH, how='max')}"},
        none="no workers",
    ),
    timeseries(
        "Versions",
        "Workers by version. If two versions stay, a roll-out is stuck.",
        "none",
        {"{{version}}, Python {{python}}": f"count by (version, python) ({of('build_info')})"},
        none="no workers",
        stacked=True,
    ),
    states(
        "Reachable",
        "Whether Prometheus can scrape each worker.",
        total(of("up"), *EACH, how="min"),
        {0: ("unreachable", "red"), 1: ("reachable", "green")},
    ),
)

DASHBOARD = board(
    "runtime",
    "Runtime",
    "Resources, event loop, versions and uptime of the worker processes.",
    PROCESSES,
    PYTHON,
    VERSIONS,
    runbooks=["event-loop", "worker-down"],
)
