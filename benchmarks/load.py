"""Load from outside: one process sends on a fixed schedule and another receives, so neither waits for the worker.

Latency is the time from the moment an event was due to the arrival of its list at the receiver, on the clock that all
processes of a machine share. Both processes use librdkafka and report the CPU time that they used, because they share
the cores with the worker.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
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
from benchmarks.usage import Usage, usage_of
from streams.errors import StreamsError
from streams.settings import Settings

START_AFTER_S, PATIENCE_S, QUIET_S, POLL_S = 1.0, 60.0, 5.0, 0.1
GIVE_UP_S = 15.0
"""Seconds after the last event was due. The receiver does not wait for a worker that is further behind."""
TICK_S = 0.001
"""The shortest sleep of the sender, which then sends all events that are due. It can add this much to a latency."""
AT_ONCE = 1_000
SENDER, RECEIVER = "sender", "receiver"
Floats = npt.NDArray[np.float64]


class EventOptions(TypedDict):
    """The arguments of `Shop.events` other than the count."""

    shoppers: int
    searches: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """CPU time from the first measured event to the end of the schedule, with the events sent and answered then."""

    before: dict[str, Usage]
    after: dict[str, Usage]
    sent: int
    answered: int

    def micros(self, name: str) -> float:
        """Return a process's microseconds of CPU per event: per event sent for the sender, otherwise per answer."""
        used = self.after[name].seconds - self.before[name].seconds
        events = self.sent if name == SENDER else self.answered
        return 1e6 * used / events if events else float("nan")


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a schedule: seconds of latency by event, NaN if no list came, and the number of fallbacks.

    `late_s` is the largest delay of the sender against its schedule: the error of the measurement itself. `started` is
    the time at which the first event was due, in seconds of the clock that all processes share.
    """

    schedule: Schedule
    latencies: Floats
    fallbacks: int
    late_s: float
    started: float
    watched: Watched | None = None

    @property
    def measured(self) -> Floats:
        """Latencies without the warm-up, in the order of the schedule. An event without an answer is infinite."""
        return np.nan_to_num(self.latencies[self.schedule.first_measured :], nan=np.inf)

    @property
    def missing(self) -> int:
        """The number of events without an answer when the receiver stopped."""
        return int(np.isinf(self.measured).sum())

    @property
    def lag(self) -> int:
        """The number of events without an answer when the last event was due."""
        return unanswered(self.latencies, self.schedule, self.schedule.due_s(self.schedule.total))

    @property
    def fallback_share(self) -> float:
        """The share of the measured events whose list has a fallback."""
        return self.fallbacks / max(len(self.measured), 1)

    def milliseconds(self, percent: float) -> float:
        """Return a percentile of the measured latencies."""
        return 1e3 * percentile(self.measured, percent)


def unanswered(latencies: Floats, schedule: Schedule, at_s: float) -> int:
    """Return the number of events that were due by `at_s` (seconds from the start) and had no answer by then."""
    due = np.arange(schedule.total) / schedule.rate
    answered = np.nan_to_num(due + latencies, nan=np.inf) <= at_s
    return int(np.sum((due <= at_s) & ~answered))


class _Trigger(msgspec.Struct):
    event_id: str


class Answer(msgspec.Struct):
    """The part of a list that the benchmarks read."""

    user_id: str
    trigger: _Trigger
    fallback: str | None


@dataclass(frozen=True, slots=True)
class _Order:
    """The input of both processes."""

    settings: Settings
    schedule: Schedule
    shop: Shop
    options: EventOptions
    run: str
    """Prefix of the events' ids. It distinguishes their lists from late lists of an earlier run."""


_runs = count()


def run(
    settings: Settings,
    schedule: Schedule,
    shop: Shop,
    options: EventOptions,
    watch: Callable[[], dict[str, Usage]] | None = None,
) -> Load:
    """Send on schedule, and receive until every event has its list or no list has come for a while.

    `watch` reads the usage of the worker and the broker. The usage of the sender and the receiver is added.
    """
    order = _Order(settings, schedule, shop, options, f"{next(_runs)}-")
    with _child(_receive, order) as (receiver, receiver_pid), _child(_send, order) as (sender, sender_pid):
        for child in (receiver, sender):
            _answer(child, PATIENCE_S)
        started = time.monotonic() + START_AFTER_S
        for child in (receiver, sender):
            child.send(started)
        length = schedule.due_s(schedule.total)
        readings = []
        for moment in (schedule.warm_up_s, length):
            # The readings belong to two moments of the schedule: the end of the warm-up and the end of the load.
            time.sleep(max(0.0, started + moment - time.monotonic()))
            if watch is not None:
                usages = watch() | {SENDER: usage_of(sender_pid), RECEIVER: usage_of(receiver_pid)}
                readings.append((time.monotonic(), usages))
        late_s: float = _answer(sender, PATIENCE_S)
        arrivals, fallbacks = _answer(receiver, GIVE_UP_S + PATIENCE_S)
    due = started + np.arange(schedule.total) / schedule.rate
    watched = None
    if readings:
        (begin, before), (end, after) = readings
        answered = int(np.sum((arrivals > begin) & (arrivals <= end)))
        sent = schedule.total - schedule.first_measured
        watched = Watched(before=before, after=after, sent=sent, answered=answered)
    return Load(schedule, arrivals - due, fallbacks, late_s, started, watched)


@contextmanager
def _child(target: Callable[[Connection, _Order], None], order: _Order) -> Iterator[tuple[Connection, int]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, order), daemon=True)
    process.start()
    try:
        yield ours, process.pid or 0
    finally:
        process.terminate()
        process.join()


def _answer(child: Connection, patience_s: float) -> Any:
    if not child.poll(patience_s):
        raise StreamsError(f"load: required an answer of a child process within {patience_s:g} s, got none")
    return child.recv()


def _send(parent: Connection, order: _Order) -> None:
    settings, schedule = order.settings, order.schedule
    topics = {True: settings.topics.searches, False: settings.topics.clicks}
    # All expensive work is done before the start. After it, the loop only sends.
    made = order.shop.events(schedule.total, **order.options, run=order.run)
    events = [(topics[event.search], event.value, event.key) for event in made]
    producer = Producer(producer_options(settings.kafka.bootstrap_servers) | {"linger.ms": 0})
    producer.list_topics(timeout=PATIENCE_S)
    parent.send("ready")
    started: float = parent.recv()
    number, late_s = 0, 0.0
    while number < len(events):
        now = time.monotonic()
        while number < len(events) and (due := started + schedule.due_s(number)) <= now:
            producer.produce(*events[number])
            late_s = max(late_s, now - due)
            number += 1
        producer.poll(0)
        next_due = started + schedule.due_s(number)
        # Sleeping until the next event is due keeps the sender's CPU cost low.
        time.sleep(max(TICK_S, next_due - time.monotonic()))
    producer.flush(PATIENCE_S)
    parent.send(late_s)


def _receive(parent: Connection, order: _Order) -> None:
    consumer, decoder = at_the_end(order.settings), msgspec.json.Decoder(Answer)
    schedule = order.schedule
    arrivals, fallbacks = np.full(schedule.total, np.nan), 0
    parent.send("ready")
    started: float = parent.recv()
    last_due = started + schedule.due_s(schedule.total)
    quiet_since, missing = time.monotonic(), len(arrivals)
    while missing and not _has_waited_enough(time.monotonic(), quiet_since, last_due):
        message = consumer.poll(POLL_S)
        if message is None:
            continue
        quiet_since = time.monotonic()
        # The remaining messages of the fetch are in the client already: one call returns them all.
        for each in (message, *consumer.consume(AT_ONCE, 0)):
            if each.error():
                continue
            answer = decoder.decode(each.value() or b"")
            if not answer.trigger.event_id.startswith(order.run):
                continue
            number = int(answer.trigger.event_id.removeprefix(order.run))
            if np.isnan(arrivals[number]):
                arrivals[number] = quiet_since
                missing -= 1
                fallbacks += answer.fallback is not None and number >= schedule.first_measured
    parent.send((arrivals, fallbacks))


def _has_waited_enough(now: float, quiet_since: float, last_due: float) -> bool:
    return now > last_due + GIVE_UP_S or (now > last_due and now > quiet_since + QUIET_S)


def at_the_end(settings: Settings) -> Consumer:
    """Return a consumer of the lists that are written from now on."""
    options = {"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "nobody", "enable.auto.commit": False}
    consumer = Consumer(options | {"fetch.wait.max.ms": 100})
    topic = settings.topics.recommendations
    places = [TopicPartition(topic, number) for number in range(settings.topics.partitions)]
    for place in places:
        place.offset = consumer.get_watermark_offsets(place, timeout=PATIENCE_S)[1]
    consumer.assign(places)
    return consumer
