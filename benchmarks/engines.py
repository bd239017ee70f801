"""The cost of the stream engine: CPU per event under Faust and under Quix Streams, with the same work and with none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from time import process_time

from threadpoolctl import threadpool_limits

from benchmarks.figures import Spread
from benchmarks.report import Section, Table
from benchmarks.stage import Counter, Stage
from benchmarks.workers.one_pass import Event, Pass
from benchmarks.workers.sizes import LIST_BYTES, PROFILE_BYTES
from streams.contracts.serde import decode_item_action
from streams.profiles.events import Source
from streams.settings import Settings

TIMEOUT_S = 300.0

HOW = """\
The figures are user and system time of all threads of the worker's process while it drains a backlog of {events:,} item
actions of {shoppers:,} shoppers on 8 partitions. The start and the first {warm_up:,} events do not count. The variants
run in turn, {repeats} times. The table shows the median (minimum to maximum). "The same pass" is the function that the
worker calls for each batch, with the real model and {items:,} items: it reads profiles and returns profiles and lists,
in batches of {batch}. "The pass alone" calls it for the same events without Kafka, and includes the decoding of the
events. The difference to it is the cost of the engine. The bare engines move the same number of bytes ({profile:,} of
profile, {list:,} of list) and compute nothing. Quix Streams writes profiles to its store and changelog only at its
checkpoints: after each batch with the pass, otherwise once a second."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the workers that are compared."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()


ALONE = "the pass alone"


def variants(batch: int) -> tuple[Variant, ...]:
    """Return the workers that are compared."""
    return (
        Variant("Faust: our worker", "ours"),
        Variant("Quix Streams, the same pass", "quix", (f"pass={batch}",)),
        Variant("Faust: our worker, null ranker", "ours", ("null",)),
        Variant("Faust, bare: the obvious agent", "obvious"),
        Variant("Quix Streams, bare", "quix"),
    )


def measure(stage: Stage) -> Section:
    """Run the variants in turn."""
    sizes = stage.sizes
    source = stage.settings("engines")
    stage.publish_catalogue(source)
    events = stage.shop.events(sizes.cpu_events, shoppers=sizes.shoppers, searches=0.0, seed=sizes.seed)
    stage.publish_events(source, events)
    chosen = variants(sizes.engine_batch)
    micros: dict[str, list[float]] = {name: [] for name in (*(variant.name for variant in chosen), ALONE)}
    for repeat in range(sizes.cpu_repeats):
        for variant in chosen:
            stage.progress(f"CPU per event, {repeat + 1} of {sizes.cpu_repeats}: {variant.name}")
            micros[variant.name].append(_drain(stage, variant, source))
        stage.progress(f"CPU per event, {repeat + 1} of {sizes.cpu_repeats}: {ALONE}")
        micros[ALONE].append(_alone(stage, source))
    return _section(stage, micros)


def _drain(stage: Stage, variant: Variant, source: Settings) -> float:
    """Return the microseconds per event of one run over the backlog."""
    shared = {"clicks_topic": source.topics.clicks, "item_vectors_topic": source.topics.item_vectors}
    settings = stage.settings(variant.module, **shared)
    lists = Counter(stage, settings, settings.topics.recommendations)
    with stage.worker(variant.module, settings, *variant.arguments) as worker:
        first = lists.wait(stage.sizes.cpu_warm_up, worker, TIMEOUT_S)
        used = -worker.cpu_seconds()
        last = lists.wait(stage.sizes.cpu_events, worker, TIMEOUT_S)
        used += worker.cpu_seconds()
    return 1e6 * used / (last - first)


def _alone(stage: Stage, settings: Settings) -> float:
    """Return the microseconds per event of the pass itself, over the same events."""
    sizes = stage.sizes
    one_pass = Pass(settings, stage.bundle, stage.records)
    profiles: dict[bytes, bytes] = {}
    sent = stage.shop.events(sizes.cpu_events, shoppers=sizes.shoppers, searches=0.0, seed=sizes.seed)
    numbered = ((each.key, each.value, offset) for offset, each in enumerate(sent))
    used, begun = 0.0, 0
    with threadpool_limits(1, "blas"):
        for batch in _batches(numbered, sizes.engine_batch):
            started = process_time()
            keys = list(dict.fromkeys(key for key, _, _ in batch))
            places = {key: place for place, key in enumerate(keys)}
            events = [
                Event(decode_item_action(key, value), Source(settings.topics.clicks, 0, offset, 0), places[key], None)
                for key, value, offset in batch
            ]
            passed = one_pass(events, [profiles.get(key) for key in keys])
            profiles.update(zip(keys, passed.profiles, strict=True))
            if batch[0][2] >= sizes.cpu_warm_up:
                used += process_time() - started
                begun += len(batch)
    return 1e6 * used / begun


def _batches(events: Iterator[tuple[bytes, bytes, int]], size: int) -> Iterator[list[tuple[bytes, bytes, int]]]:
    while batch := list(islice(events, size)):
        yield batch


def _section(stage: Stage, micros: dict[str, list[float]]) -> Section:
    sizes = stage.sizes
    spreads = {name: Spread.of(values) for name, values in micros.items()}
    alone = spreads[ALONE].median
    with_pass = {variant.name for variant in variants(sizes.engine_batch)[:2]}
    rows = tuple(
        (name, each.text(), f"{each.median - alone:,.0f}" if name in with_pass else "")
        for name, each in spreads.items()
    )
    how = HOW.format(
        events=sizes.cpu_events, shoppers=sizes.shoppers, warm_up=sizes.cpu_warm_up, repeats=sizes.cpu_repeats,
        items=sizes.catalogue, batch=sizes.engine_batch, profile=PROFILE_BYTES, list=LIST_BYTES,
    )  # fmt: skip
    header = ("", "µs of CPU per event", "above the pass alone")
    return Section(title="Cost of the stream engine", how=how, tables=(Table(header, rows),), data=micros)
