"""Load from outside: one process sends on a fixed schedule, another one receives, so that neither waits for the worker.

An event's latency runs from the moment it was due to the moment its list is in the receiver's hands, on the clock that
all processes of a machine share.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypedDict

import msgspec
import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.figures import percentile
from benchmarks.schedule import Schedule
from benchmarks.shop import Shop
from benchmarks.stage import producer_options
from streams.errors import StreamsError
from streams.settings import Settings

START_AFTER_S, PATIENCE_S, QUIET_S, POLL_S = 1.0, 60.0, 10.0, 0.1
Floats = npt.NDArray[np.float64]


class EventOptions(TypedDict):
    """What `Shop.events` takes beside the count."""

    shoppers: int
    searches: float
    seed: int


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a schedule: seconds of latency by event, NaN where no list came; lists that the model did not rank.

    `late_s` is how far the sender was behind its schedule at its worst: the harness' own error. `started` is when the
    first event was due, in seconds of the clock that all processes share.
    """

    schedule: Schedule
    latencies: Floats
    fallbacks: int
    late_s: float
    started: float

    @property
    def measured(self) -> Floats:
        """Latencies without the warm-up, in the order of the schedule; one without an answer counts as infinite."""
        return np.nan_to_num(self.latencies[self.schedule.first_measured :], nan=np.inf)

    @property
    def missing(self) -> int:
        """How many events had no answer when the receiver gave up."""
        return int(np.isinf(self.measured).sum())

    def milliseconds(self, percent: float) -> float:
        """Return a percentile of the measured latencies."""
        return 1e3 * percentile(self.measured, percent)


class _Trigger(msgspec.Struct):
    event_id: str


class _List(msgspec.Struct):
    trigger: _Trigger
    fallback: str | None


@dataclass(frozen=True, slots=True)
class _Order:
    """What both processes need to know."""

    settings: Settings
    schedule: Schedule
    shop: Shop
    options: EventOptions


def run(settings: Settings, schedule: Schedule, shop: Shop, options: EventOptions) -> Load:
    """Send on schedule and receive until every event has its list, or nothing has come for a while."""
    order = _Order(settings, schedule, shop, options)
    with _child(_receive, order) as receiver, _child(_send, order) as sender:
        for child in (receiver, sender):
            _answer(child, PATIENCE_S)
        started = time.monotonic() + START_AFTER_S
        for child in (receiver, sender):
            child.send(started)
        longest = schedule.due_s(schedule.total) + START_AFTER_S + PATIENCE_S
        late_s: float = _answer(sender, longest)
        arrivals, fallbacks = _answer(receiver, longest)
    due = started + np.arange(schedule.total) / schedule.rate
    return Load(schedule, arrivals - due, fallbacks, late_s, started)


@contextmanager
def _child(target: Callable[[Connection, _Order], None], order: _Order) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, order), daemon=True)
    process.start()
    try:
        yield ours
    finally:
        process.terminate()
        process.join()


def _answer(child: Connection, patience_s: float) -> Any:
    if not child.poll(patience_s):
        raise StreamsError(f"a process of the load did not answer within {patience_s:g} s")
    return child.recv()


def _send(parent: Connection, order: _Order) -> None:
    settings, schedule = order.settings, order.schedule
    topics = {True: settings.searches_topic, False: settings.clicks_topic}
    events = list(order.shop.events(schedule.total, **order.options))
    producer = Producer(producer_options(settings.bootstrap_servers) | {"linger.ms": 0})
    producer.list_topics(timeout=PATIENCE_S)
    parent.send("the events are made: nothing but sending is left")
    started: float = parent.recv()
    late_s = 0.0
    for number, event in enumerate(events):
        due = started + schedule.due_s(number)
        if (ahead := due - time.monotonic()) > 0:
            time.sleep(ahead)
        producer.produce(topics[event.search], event.value, event.key)
        producer.poll(0)
        late_s = max(late_s, time.monotonic() - due)
    producer.flush(PATIENCE_S)
    parent.send(late_s)


def _receive(parent: Connection, order: _Order) -> None:
    consumer, decoder = _at_the_end(order.settings), msgspec.json.Decoder(_List)
    arrivals, fallbacks = np.full(order.schedule.total, np.nan), 0
    parent.send("nothing that comes from now on is missed")
    parent.recv()
    quiet_since, missing = time.monotonic(), len(arrivals)
    while missing and time.monotonic() < quiet_since + QUIET_S + START_AFTER_S:
        message = consumer.poll(POLL_S)
        if message is None or message.error():
            continue
        quiet_since = time.monotonic()
        answer = decoder.decode(message.value() or b"")
        number = int(answer.trigger.event_id)
        if np.isnan(arrivals[number]):
            arrivals[number] = quiet_since
            missing -= 1
            fallbacks += answer.fallback is not None and number >= order.schedule.first_measured
    parent.send((arrivals, fallbacks))


def _at_the_end(settings: Settings) -> Consumer:
    options = {"bootstrap.servers": settings.bootstrap_servers, "group.id": "nobody", "enable.auto.commit": False}
    consumer = Consumer(options | {"fetch.wait.max.ms": 100})
    topic = settings.recommendations_topic
    places = [TopicPartition(topic, number) for number in range(settings.partitions)]
    for place in places:
        place.offset = consumer.get_watermark_offsets(place, timeout=PATIENCE_S)[1]
    consumer.assign(places)
    return consumer
