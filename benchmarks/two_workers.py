"""Two workers of one group on the same 8 partitions: events per second, and the division of the work."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from confluent_kafka import Consumer, TopicPartition

from benchmarks.backlog import Drained, drain, publish
from benchmarks.held import READY_S
from benchmarks.process import Process
from benchmarks.report import Section, Table
from benchmarks.stage import Stage
from streams.errors import StreamsError
from streams.settings import Settings

POLL_S = 0.2

HOW = """\
{events:,} events ({searches:.0%} searches) are sent at once to 8 partitions while the workers of a group serve. One
worker drains them, then two, with the real model and {items:,} items. The rate covers the time from list {warm_up:,} to
the last list. All workers, the broker and the sender share the machine's {cores} cores, so a second worker can use only
what the first one leaves idle. "Events" are those of the partitions that the worker owned. "CPU" is the usage of its
process in this time, as a share of one core."""


def measure(stage: Stage) -> Section:
    """Drain the same backlog with one worker and with two."""
    rows: list[tuple[str, ...]] = []
    data: dict[str, object] = {}
    for number in (1, 2):
        settings = stage.settings("two-workers")
        stage.publish_catalogue(settings)
        with ExitStack() as stack:
            workers = [stack.enter_context(_worker(stage, settings, each)) for each in range(number)]
            owned = wait_for_partitions(settings, workers)
            publish(stage, settings)
            stage.progress(f"draining with {number} worker(s)")
            drained = drain(stage, settings, workers, stage.sizes.backlog_warm_up, stage.sizes.backlog_events)
            events = [events_of(stage, settings, each) for each in owned]
        rows += _rows(number, drained, owned, events)
        data[str(number)] = {"events_per_s": drained.rate, "events": events, "partitions": list(map(len, owned))}
    sizes = stage.sizes
    how = HOW.format(
        events=sizes.backlog_events, searches=sizes.searches, items=sizes.catalogue, warm_up=sizes.backlog_warm_up,
        cores=stage.cores,
    )  # fmt: skip
    header = ("", "events/s", "partitions", "events", "CPU", "µs per event")
    return Section(title="Two workers", how=how, tables=(Table(header, tuple(rows)),), data=data)


def _worker(stage: Stage, settings: Settings, number: int) -> Process:
    data = settings.state.data_dir
    own = settings.replace(data_dir=data.with_name(f"{data.name}-{number}"))
    return stage.worker("ours", own, log=f"{settings.kafka.app_id}-{number}")


def wait_for_partitions(settings: Settings, workers: Sequence[Process]) -> list[set[int]]:
    """Wait until the workers together own every partition of the clicks and have recovered their state.

    Returns the partitions of each worker.
    """
    for worker in workers:
        worker.wait_for("ready", READY_S)
        worker.wait_for("recovered", READY_S)
    deadline = time.monotonic() + READY_S
    while True:
        owned = [assigned_partitions(worker, settings.topics.clicks) for worker in workers]
        divided = sorted(partition for each in owned for partition in each) == list(range(settings.topics.partitions))
        if divided and all(owned) and all(map(is_recovered, workers)):
            return owned
        for worker in workers:
            worker.check()
        if time.monotonic() > deadline:
            raise StreamsError(f"required partitions divided among the workers within {READY_S:g} s, got {owned}")
        # Workers report through their log files, which send no notification: poll until the deadline.
        time.sleep(POLL_S)


def assigned_partitions(worker: Process, topic: str) -> set[int]:
    """Return a topic's partitions that the worker received at the last rebalance."""
    assignments = worker.emitted("assigned")
    return {partition for name, partition in assignments[-1]["partitions"] if name == topic} if assignments else set()


def is_recovered(worker: Process) -> bool:
    """Return whether the recovery after the worker's last assignment is complete."""
    assigned, recovered = (worker.emitted(event) for event in ("assigned", "recovered"))
    return bool(assigned and recovered and recovered[-1]["at"] > assigned[-1]["at"])


def events_of(stage: Stage, settings: Settings, partitions: set[int]) -> int:
    """Return the number of events on some partitions of both topics."""
    consumer = Consumer({"bootstrap.servers": stage.bootstrap_servers, "group.id": "nobody"})
    places = [TopicPartition(t, p) for t in (settings.topics.clicks, settings.topics.searches) for p in partitions]
    count = sum(int(consumer.get_watermark_offsets(place, timeout=10)[1]) for place in places)
    consumer.close()
    return count


def _rows(number: int, drained: Drained, owned: Sequence[set[int]], events: Sequence[int]) -> list[tuple[str, ...]]:
    whole = sum(events) or 1
    both = "one worker" if number == 1 else f"{number} workers"
    cpu = [micros * drained.rate / 1e6 for micros in drained.micros]
    rows: list[tuple[str, ...]] = [
        (both, f"{drained.rate:,.0f}", str(sum(map(len, owned))), f"{whole:,}", f"{sum(cpu):.0%}",
         f"{sum(drained.micros):,.0f}")
    ]  # fmt: skip
    if number > 1:
        rows += [
            (f"no. {place}", "", str(len(own)), f"{count:,}", f"{used:.0%}", f"{micros * whole / max(count, 1):,.0f}")
            for place, (own, count, used, micros) in enumerate(
                zip(owned, events, cpu, drained.micros, strict=True), start=1
            )
        ]
    return rows
