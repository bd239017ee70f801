"""The cost of data: bytes of events and items, memory of tables, the time of sources, and the metrics of a worker."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from time import process_time
from typing import NamedTuple
from urllib.request import urlopen

import msgspec
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from inference.pipeline import Recommender
from inference.placements import Placement
from inference.queries import QueryBatch
from inference.retrieval.sources import SOURCES
from inference.types import Item
from streams.contracts.messages import Interaction
from streams.errors import ConfigurationError
from streams.replay import Replay
from streams.value.costs import WorkerCosts
from training.ranker.gather import WARM_UP

MICROSECONDS = 1e6
TIMEOUT_S = 10.0
LABELS = {
    "intentstream_end_to_end_latency_seconds_count": "trigger",
    "intentstream_stage_duration_seconds_sum": "stage",
    "intentstream_rocksdb_live_data_bytes": "table",
    "intentstream_rocksdb_memtable_bytes": "table",
    "intentstream_recommendations_total": "source",
    "intentstream_recommendation_items_count": "",
    "process_cpu_seconds_total": "",
    "process_resident_memory_bytes": "",
}
"""The series of a worker that are read, and the label that splits each; empty for series without labels."""
JSON_FIELD = 4
"""Bytes of JSON around a field: two quotes, a colon and a comma."""
NEVER_BYTES = frozenset({"type"})
"""Fields that carry no data of their own."""


class Bytes(NamedTuple):
    """Bytes of JSON, as producers send them, before compression: all, and by type, field and context key."""

    total: int
    by_type: Mapping[str, int]
    by_field: Mapping[str, int]
    by_context: Mapping[str, int]


def bytes_of_events(interactions: Iterable[Interaction]) -> Bytes:
    """Return the bytes of events."""
    by_type: Counter[str] = Counter()
    by_field: Counter[str] = Counter()
    by_context: Counter[str] = Counter()
    for each in interactions:
        row: dict[str, object] = msgspec.to_builtins(each)
        by_type[str(row["type"])] += len(msgspec.json.encode(row))
        context = row.get("context")
        for name, value in row.items():
            if name not in NEVER_BYTES:
                by_field[name] += _size(name, value)
        if isinstance(context, dict):
            for name, value in context.items():
                by_context[name] += _size(name, value)
    return Bytes(by_type.total(), by_type, by_field, by_context)


def bytes_of_items(items: Iterable[Item]) -> Mapping[str, int]:
    """Return the bytes of each attribute of the catalogue."""
    by_field: Counter[str] = Counter()
    for each in items:
        row: dict[str, object] = msgspec.to_builtins(each)
        for name, value in row.items():
            by_field[name] += _size(name, value)
    return by_field


def _size(name: str, value: object) -> int:
    return len(name.encode()) + JSON_FIELD + len(msgspec.json.encode(value))


def memory_of(replay: Replay) -> Mapping[str, int]:
    """Return the bytes of each table of a replay, which are those of a worker with all partitions."""
    behaviour, seen = replay.behaviour, set[int]()
    numbers = array_bytes(behaviour.numbers, seen)
    learned = {name: array_bytes(getattr(behaviour, name), seen) for name in ("sessions", "transitions", "clicked")}
    return {
        **learned,
        "item numbers": numbers,
        "catalogue": array_bytes(replay.recommender.catalogue, seen),
        "profiles": sum(map(len, replay.profiles.values())),
        "pairs": sum(map(len, replay.learned.pairs.values())),
    }


def array_bytes(thing: object, seen: set[int]) -> int:
    """Return the bytes of all arrays that an object of the project holds; those in `seen` do not count again."""
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        # A view holds no memory of its own: its base counts, once. An array over foreign memory (a file, bytes) has a
        # base that is no array, and its own size counts.
        base = thing if thing.base is None else thing.base
        if base is not thing:
            return array_bytes(base, seen) if isinstance(base, np.ndarray) else thing.nbytes
        return thing.nbytes
    if isinstance(thing, dict):
        return sum(array_bytes(each, seen) for each in thing.values())
    if isinstance(thing, (list, tuple)):
        return sum(array_bytes(each, seen) for each in thing)
    # Other libraries' objects are not searched: an ONNX session, for example, would lead into the whole process.
    if not type(thing).__module__.startswith(("inference", "streams", "training")):
        return 0
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    held = [getattr(thing, name) for name in slots if hasattr(thing, name)]
    return sum(array_bytes(each, seen) for each in (*held, *getattr(thing, "__dict__", {}).values()))


class Times(NamedTuple):
    """Microseconds of CPU, in one thread.

    Attributes:
        event_us: to fold an event in.
        list_us: to make a list.
        sources_us: of each source, per list, without the part that does not depend on the sources.
    """

    event_us: float
    list_us: float
    sources_us: Mapping[str, float]


def times_of(replay: Replay, interactions: Sequence[Interaction], learned: int) -> Times:
    """Replay a log, and time what follows the first `learned` events: each event and its list, and each source alone.

    Batches are as large as those of a replay. A worker that is not busy has smaller ones, and a list costs more there.
    """
    start = max(learned - WARM_UP, 0)
    replay.learn(interactions[:start])
    recommender = replay.recommender
    totals: defaultdict[str, float] = defaultdict(float)
    lists, folded_s, listed_s, began = 0, 0.0, 0.0, process_time()
    position, is_warm = start, False
    for folded in replay.fold(interactions[start:]):
        position += len(folded.queries)
        elapsed_s = process_time() - began
        if position > learned:
            list_s, sources_s = _time_lists(recommender, folded.queries)
            # The first lists load the kernels.
            if is_warm:
                lists += len(folded.queries)
                folded_s += elapsed_s
                listed_s += list_s
                for name, seconds in sources_s.items():
                    totals[name] += seconds
            is_warm = True
        began = process_time()
    scale = MICROSECONDS / max(lists, 1)
    # Every call sorts and merges; the cheapest source is nearly nothing else.
    fixed = min(totals.values(), default=0.0)
    return Times(
        folded_s * scale,
        listed_s * scale,
        {name: (seconds - fixed) * scale for name, seconds in totals.items()},
    )


def _time_lists(recommender: Recommender, queries: QueryBatch) -> tuple[float, Mapping[str, float]]:
    """Return the seconds of CPU to make the lists of a batch, and to retrieve from each source alone."""
    began = process_time()
    recommender.rank(recommender.retrieve(queries))
    whole_s = process_time() - began
    sources_s = {}
    for name in recommender.source_names:
        began = process_time()
        recommender.retrieve(queries, placement=Placement(sources=(name,)))
        sources_s[name] = process_time() - began
    return whole_s, sources_s


def table_of_source(name: str) -> str | None:
    """Return the table that a source reads beside the catalogue, None without one."""
    reads = next(source.reads for source in SOURCES if source.name == name)
    return reads if reads in ("sessions", "transitions", "clicked") else None


def read_worker_costs(where: str) -> WorkerCosts:
    """Read the metrics at a URL or in a file.

    Raises:
        ConfigurationError: there are none, or the worker has not delivered a list yet.
    """
    try:
        if where.startswith(("http://", "https://")):
            with urlopen(where, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the user gives the URL, and it is HTTP
                text = answer.read().decode()
        else:
            text = Path(where).read_text(encoding="utf-8")
        found = worker_costs(text)
    except (OSError, HTTPException, ValueError) as error:
        raise ConfigurationError(f"--metrics {where}: required the metrics of a worker, got {error}") from error
    if not found.events:
        raise ConfigurationError(f"--metrics {where}: required a worker that has delivered lists, got none")
    return found


def worker_costs(text: str) -> WorkerCosts:
    """Return the costs from metrics in Prometheus' text format."""
    sums: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = LABELS.get(sample.name)
            if label is not None and sample.value:
                sums[sample.name][sample.labels.get(label, "")] = sample.value
    events = sums["intentstream_end_to_end_latency_seconds_count"]
    stages = sums["intentstream_stage_duration_seconds_sum"]
    cpu_s = sums["process_cpu_seconds_total"].get("")
    number = sum(events.values())
    lists = sums["intentstream_recommendation_items_count"].get("", 0.0)
    return WorkerCosts(
        events=events,
        stages_us={name: seconds / number * MICROSECONDS for name, seconds in stages.items() if number},
        cpu_us=None if cpu_s is None or not number else cpu_s / number * MICROSECONDS,
        tables_bytes=sums["intentstream_rocksdb_live_data_bytes"],
        memtables_bytes=sums["intentstream_rocksdb_memtable_bytes"],
        memory_bytes=sums["process_resident_memory_bytes"].get(""),
        sources={name: each / lists for name, each in sums["intentstream_recommendations_total"].items() if lists},
    )
