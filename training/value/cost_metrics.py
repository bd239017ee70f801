"""The costs of a running system, from its Prometheus metrics: a file that was saved, or the URL of a worker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from streams.errors import ConfigurationError

PREFIX = "intentstream_"
TIMEOUT_S = 10.0
MICROSECONDS = 1e6


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The costs of a running worker since its start.

    Attributes:
        events: messages processed, by topic.
        stages_us: microseconds of each stage, per message.
        cpu_us: microseconds of CPU of the whole process per message, with Kafka and the garbage collector; None if the
            process exports no time.
        tables_bytes: live data of each table on disk.
        memory_bytes: resident memory of the process, None if it exports none.
        sources: share of the lists whose first item each source proposed.
    """

    events: Mapping[str, float]
    stages_us: Mapping[str, float]
    cpu_us: float | None
    tables_bytes: Mapping[str, float]
    memory_bytes: float | None
    sources: Mapping[str, float]


def read_running(where: str) -> Running:
    """Read the metrics at a URL or in a file.

    Raises:
        ConfigurationError: there are none.
    """
    try:
        if where.startswith(("http://", "https://")):
            with urlopen(where, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the user gives the URL, and it is HTTP
                text = answer.read().decode()
        else:
            text = Path(where).read_text(encoding="utf-8")
        found = running(text)
    except (OSError, URLError, ValueError) as error:
        raise ConfigurationError(f"--metrics {where}: required the metrics of a worker, got {error}") from error
    if not sum(found.events.values()):
        raise ConfigurationError(f"--metrics {where}: required a worker that has processed events, got none")
    return found


def running(text: str) -> Running:
    """Return the costs from metrics in Prometheus' text format."""
    sums: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    labels = {
        "events_total": "topic", "stage_duration_seconds_sum": "stage", "rocksdb_live_data_bytes": "table",
        "recommendations_total": "source",
    }  # fmt: skip
    process: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix(PREFIX)
            if name in labels:
                sums[name][sample.labels.get(labels[name], "")] += sample.value
            elif name in ("process_cpu_seconds_total", "process_resident_memory_bytes"):
                process[name] = sample.value
    events = max(sum(sums["events_total"].values()), 1.0)
    lists = max(sum(sums["recommendations_total"].values()), 1.0)
    cpu = process.get("process_cpu_seconds_total")
    return Running(
        events=dict(sums["events_total"]),
        stages_us={name: value / events * MICROSECONDS for name, value in sums["stage_duration_seconds_sum"].items()},
        cpu_us=None if cpu is None else cpu / events * MICROSECONDS,
        tables_bytes=dict(sums["rocksdb_live_data_bytes"]),
        memory_bytes=process.get("process_resident_memory_bytes"),
        sources={name: value / lists for name, value in sums["recommendations_total"].items() if value},
    )
