"""The delay that one shopper's burst causes to the other shoppers of its partition."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from confluent_kafka import Producer

from benchmarks.figures import percentile
from benchmarks.held import READY_S
from benchmarks.load import Answer, at_the_end
from benchmarks.process import Process
from benchmarks.report import Section, Table
from benchmarks.shop import Sent
from benchmarks.stage import Counter, Stage, producer_options
from streams.contracts.messages import View
from streams.contracts.serde import encode_json
from streams.errors import StreamsError
from streams.kafka.producer import partition_of
from streams.settings import Settings

HOT = "robot"
STRANGERS, PAUSE_S = 40, 0.025
POLL_S, TIMEOUT_S = 0.005, 300.0
HOW = """\
One worker with the real model and {items:,} items is idle. One shopper's views are sent at once, which takes less than
a second. Then {strangers} shoppers of the same partition act, one every {pause:g} ms. "Wait" is the time from the send
of a stranger's event to the arrival of its list. "µs per event" is the worker's CPU time from the start of the burst to
the last list, per event of the burst. Budget: `INTENTSTREAM_SHOPPER_LISTS_PER_MINUTE`."""


@dataclass(frozen=True, slots=True)
class Burst:
    """The figures of one burst: waits of the strangers in seconds, and the worker's CPU time per event in µs."""

    events: int
    budget: int
    waits: list[float]
    micros: float
    repeated: int


def measure(stage: Stage) -> Section:
    """Send bursts of several sizes with the default budget, and the smallest one without a budget."""
    default = stage.settings("unused").latency.shopper_lists_per_minute
    smallest = min(stage.sizes.bursts)
    bursts = [_burst(stage, smallest, 0), *(_burst(stage, events, default) for events in stage.sizes.bursts)]
    rows = tuple(
        (f"{each.events:,}", str(each.budget or "none"), f"{1e3 * percentile(each.waits, 50):,.0f}",
         f"{1e3 * max(each.waits):,.0f}", f"{each.micros:,.0f}", f"{each.repeated:,}")
        for each in bursts
    )  # fmt: skip
    return Section(
        title="A burst of one shopper",
        how=HOW.format(items=stage.sizes.catalogue, strangers=STRANGERS, pause=1e3 * PAUSE_S),
        tables=(Table(("events", "budget", "wait p50 ms", "wait max ms", "µs per event", "repeated lists"), rows),),
        data={
            f"{each.events}, budget {each.budget}": {"waits_s": each.waits, "micros": each.micros} for each in bursts
        },
    )


def _burst(stage: Stage, events: int, budget: int) -> Burst:
    settings = stage.settings("hot-key", shopper_lists_per_minute=budget)
    stage.publish_catalogue(settings)
    with stage.worker("ours", settings) as worker:
        worker.wait_for("ready", READY_S)
        worker.wait_for("recovered", READY_S)
        warm_up = stage.sizes.backlog_warm_up
        stage.publish_events(settings, stage.shop.events(warm_up, shoppers=stage.sizes.shoppers, searches=0.1, seed=2))
        Counter(stage, settings, settings.topics.recommendations).wait(warm_up, worker, TIMEOUT_S)
        stage.progress(f"a burst of {events:,} events, budget {budget}")
        before = worker.cpu_seconds()
        waits, repeated = _wait_of_strangers(stage, settings, worker, events)
        micros = 1e6 * (worker.cpu_seconds() - before) / events
    return Burst(events, budget, waits, micros, repeated)


def _wait_of_strangers(stage: Stage, settings: Settings, worker: Process, events: int) -> tuple[list[float], int]:
    """Send the burst and the strangers' events. Return each stranger's wait and the number of repeated lists."""
    consumer, decoder = at_the_end(settings), msgspec.json.Decoder(Answer)
    stage.publish_events(settings, _views(stage, [HOT] * events))
    producer = Producer(producer_options(settings.kafka.bootstrap_servers) | {"linger.ms": 0})
    strangers = list(_views(stage, _in_partition_of(HOT, settings.topics.partitions)))
    sent: dict[str, float] = {}
    waits: list[float] = []
    lists = repeated = 0
    deadline, next_s = time.monotonic() + TIMEOUT_S, time.monotonic()
    while lists < events + STRANGERS:
        now = time.monotonic()
        if len(sent) < STRANGERS and now >= next_s:
            event = strangers[len(sent)]
            producer.produce(settings.topics.clicks, event.value, event.key)
            sent[event.key.decode()] = now
            next_s += PAUSE_S
        producer.poll(0)
        for message in consumer.consume(1_000, POLL_S):
            answer = decoder.decode(message.value() or b"")
            lists += 1
            repeated += answer.fallback is not None
            if answer.user_id in sent:
                waits.append(time.monotonic() - sent[answer.user_id])
        worker.check()
        if now > deadline:
            raise StreamsError(f"required {events + STRANGERS} lists within {TIMEOUT_S:g} s, got {lists}")
    consumer.close()
    return waits, repeated


def _views(stage: Stage, users: list[str]) -> Iterator[Sent]:
    items = stage.shop.items
    for number, user in enumerate(users):
        view = View(
            event_id=f"{user}-{number}", user_id=user, occurred_at=datetime.now(UTC),
            item_id=items[number % len(items)].item_id,
        )  # fmt: skip
        yield Sent(search=False, key=user.encode(), value=encode_json(view))


def _in_partition_of(user: str, partitions: int) -> list[str]:
    """Return other users of the same partition."""
    wanted, found, number = partition_of(user.encode(), partitions), list[str](), 0
    while len(found) < STRANGERS:
        if partition_of(f"stranger-{number}".encode(), partitions) == wanted:
            found.append(f"stranger-{number}")
        number += 1
    return found
