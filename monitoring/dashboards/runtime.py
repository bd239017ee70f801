"""The worker processes: resources, event loop and versions."""

from __future__ import annotations

from monitoring.dashboards.board import board, row
from monitoring.dashboards.panels import above, states, timeseries
from monitoring.dashboards.queries import of, quantile, rate, share, shares, total

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

HTTP = row(
    "HTTP service",
    timeseries(
        "Requests",
        "Requests per second, by route.",
        "reqps",
        {"{{route}}": rate("http_requests_total", by=("route",))},
    ),
    timeseries(
        "p99 by route",
        "99th percentile of the time from a request to its answer.",
        "s",
        {"{{route}}": quantile(0.99, "http_request_duration_seconds", by=("route",))},
        above(0.25, 0.1),
    ),
    timeseries(
        "Failed requests",
        "Share of the requests with each status from 400 on: 4xx are wrong requests, and 5xx failures of workers.",
        "percentunit",
        {
            "{{status}}": shares(
                rate("http_requests_total", 'status=~"4..|5.."', by=("status",)), rate("http_requests_total")
            )
        },
    ),
    timeseries(
        "Less good lists",
        "Lists on request per second that lack something. `no_profile`: the owner of the profile did not answer.",
        "ops",
        {"{{reason}}": rate("http_fallbacks_total", by=("reason",))},
    ),
    timeseries(
        "Suggestions",
        "Queries that each worker can suggest. 0 until the first build.",
        "none",
        {"{{instance}}": total(of("suggestions"), *EACH)},
    ),
    timeseries(
        "Builds of suggestions",
        "Builds in an hour, by outcome. After a failed build the former suggestions stay, and the log has the reason.",
        "none",
        {"{{outcome}}": f"{rate('suggestion_builds_total', by=('outcome',))} * 3600"},
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
    "Resources, event loop, HTTP service, versions and uptime of the worker processes.",
    PROCESSES,
    PYTHON,
    HTTP,
    VERSIONS,
    runbooks=["event-loop", "worker-down"],
)
