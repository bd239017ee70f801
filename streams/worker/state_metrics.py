"""Metrics of states instead of events: recovery, RocksDB, disk, lag and the event loop. Updated every few seconds."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections import Counter, deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic, time

from aiokafka import TopicPartition
from faust.types import TP, Message

from streams.kafka.broadcast import BroadcastReader
from streams.metrics import Metrics
from streams.settings import Settings
from streams.state.database import Figures
from streams.state.table import StateTable
from streams.worker.checkpoint import Checkpoint
from streams.worker.faust.app import WorkerApp
from streams.worker.health import Health
from streams.worker.topic_watch import TopicWatch

log = logging.getLogger(__name__)

UPDATE_EVERY_S = 5.0
PULSE_EVERY_S = 0.1
ANSWER_S = 5.0
"""Seconds that the brokers have to return the ends of logs. aiokafka would wait for 40 and delay the other metrics."""

SILENT_S = 20.0
"""Seconds without an answer after which the log says so. A broker that restarts is away for a few."""

KEPT = 720
"""Changes of a log's end that are kept. If the end changes at each update, every five seconds, they cover an hour."""


class LogEnds:
    """Ends of logs over time."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._seen: dict[Hashable, deque[tuple[float, int]]] = {}

    def note(self, partition: Hashable, end: int, at_s: float) -> None:
        """Record that a log ends at offset `end` at time `at_s`, in seconds."""
        seen = self._seen.setdefault(partition, deque(maxlen=self._kept))
        if not seen or seen[-1][1] != end:
            seen.append((at_s, end))

    def age(self, partition: Hashable, position: int, at_s: float) -> float:
        """Return the seconds that the message at offset `position` has been waiting, 0 if there is none.

        The result counts from the update that first saw the message, so it may be one interval too small. It is smaller
        still for messages that were there before the first update.
        """
        # Drop the ends that the log had before it held this message.
        seen = self._seen.get(partition)
        while seen and seen[0][1] <= position:
            seen.popleft()
        return at_s - seen[0][0] if seen else 0.0

    def forget(self, partition: Hashable) -> None:
        """Forget a log that another worker reads now."""
        self._seen.pop(partition, None)


@dataclass(slots=True, kw_only=True)
class StateMetrics:
    """Updater of the metrics that describe a state.

    Attributes:
        app: Faust's app, for partitions, commits and recovery.
        tables: tables whose databases are measured.
        checkpoints: messages that are read and not acknowledged. The oldest ones give the lag.
        topics: notices changed topics.
        ends: the ends of the logs so far.
    """

    settings: Settings
    app: WorkerApp
    tables: Sequence[StateTable]
    checkpoints: Sequence[Checkpoint[Message]]
    metrics: Metrics
    health: Health
    topics: TopicWatch
    ends: LogEnds = field(default_factory=LogEnds)
    _owned: set[TP] = field(default_factory=set)
    _figures: dict[str, Figures] = field(default_factory=dict)
    _answered_at: float = 0.0
    _silence_logged: bool = False

    async def pulse(self) -> None:
        """Record a heartbeat of the event loop and its delay, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PULSE_EVERY_S
            await asyncio.sleep(PULSE_EVERY_S)
            self.health.beat = monotonic()
            self.metrics.loop_lag.observe(max(0.0, loop.time() - due))

    async def run(self, reader: BroadcastReader) -> None:
        """Update all metrics every few seconds, until cancelled. A failure is logged and does not stop the worker."""
        while True:
            try:
                self.update_recovery()
                self.update_storage()
                await self.update_lag(reader)
                await self.compare_topics(reader)
            except Exception:
                log.exception("metrics of the worker's state were not updated and keep their old values")
            await asyncio.sleep(UPDATE_EVERY_S)

    def assigned(self, assigned: set[TP]) -> None:
        """Set the owned partitions of the agents' topics, and drop the metrics of lost ones."""
        topics = self.settings.topics.consumed
        owned = {tp for tp in assigned if tp.topic in topics}
        for tp in self._owned - owned:
            self.ends.forget(tp)
            for metric in (self.metrics.lag_records, self.metrics.offset):
                metric.remove_by_labels({"topic": tp.topic, "partition": str(tp.partition)})
        self._owned = owned
        numbers = Counter(tp.topic for tp in owned)
        for topic in topics:
            self.metrics.assigned.labels(topic).set(numbers[topic])

    def update_recovery(self) -> None:
        """Update the number of changelog records that are still missing."""
        tables = self.app.tables
        self.metrics.recovery_active.set(self.app.in_recovery)
        remaining: Counter[str] = Counter()
        if self.app.in_recovery:
            for tp, number in tables.recovery.active_remaining().items():
                remaining[tables.recovery.tp_to_table[tp].name] += max(0, number)
        for table in self.tables:
            self.metrics.recovery_remaining.labels(table.name).set(remaining[table.name])

    def update_storage(self) -> None:
        """Update the figures of RocksDB for each table, and the free disk space."""
        metrics = self.metrics
        for table in self.tables:
            name, figures = table.name, table.figures()
            before = self._figures.get(name, Figures())
            self._figures[name] = figures
            metrics.rocksdb_keys.labels(name).set(figures.keys)
            metrics.rocksdb_live.labels(name).set(figures.live_bytes)
            metrics.rocksdb_memtable.labels(name).set(figures.memtable_bytes)
            metrics.rocksdb_pending.labels(name).set(figures.pending_compaction_bytes)
            metrics.rocksdb_stopped.labels(name).set(figures.write_stopped)
            metrics.rocksdb_hits.labels(name).inc(figures.cache_hits - before.cache_hits)
            metrics.rocksdb_misses.labels(name).inc(figures.cache_misses - before.cache_misses)
            metrics.rocksdb_cache.set(figures.cache_bytes)
        disk = shutil.disk_usage(self.settings.state.data_dir)
        metrics.data_free.set(disk.free)
        metrics.data_size.set(disk.total)

    async def update_lag(self, reader: BroadcastReader) -> None:
        """Update the lag of the owned partitions, in messages and in seconds.

        The lag in seconds is the age of the oldest message in flight. If none is in flight, it is the age of the next
        message in the log, which `LogEnds` estimates from the ends seen so far.
        """
        owned = list(self._owned)
        ends = await self._ends(reader, owned)
        now, oldest = time(), self._oldest()
        if len(ends) == len(owned):
            self.metrics.lag_known.set(now)
        if owned:  # without partitions nothing was asked
            self._note_answer(answered=len(ends) == len(owned), now=now)
        ages = dict.fromkeys(self.settings.topics.consumed, 0.0)
        for tp in owned:
            if tp not in self._owned:
                continue  # another worker took the partition during the request above
            position = self.app.consumer.position_of(tp)
            self.metrics.offset.labels(tp.topic, str(tp.partition)).set(position)
            taken = oldest.get(tp)
            if taken is None:
                # Nothing is in flight, so everything that was fetched is processed. The commit lags behind by up to its
                # interval.
                position = max(position, self.app.consumer.fetched_to(tp))
            if tp in ends:
                self.ends.note(tp, ends[tp], now)
                waiting = max(0, ends[tp] - position)
                self.metrics.lag_records.labels(tp.topic, str(tp.partition)).set(waiting)
            # If no broker answered, messages that waited before still wait, and their age grows.
            age = self.ends.age(tp, position, now) if taken is None else now - taken
            ages[tp.topic] = max(ages[tp.topic], age)
        for topic, age in ages.items():
            self.metrics.lag_seconds.labels(topic).set(max(0.0, age))

    def _note_answer(self, *, answered: bool, now: float) -> None:
        """Log once that the brokers do not answer, and once that they answer again."""
        if answered:
            if self._silence_logged:
                log.warning("Kafka answers again after %.0f s", now - self._answered_at)
            self._answered_at, self._silence_logged = now, False
        elif self._answered_at and not self._silence_logged and now > self._answered_at + SILENT_S:
            silent_s = now - self._answered_at
            log.error("no answer from Kafka for %.0f s: shoppers get no lists until it answers", silent_s)
            self._silence_logged = True

    async def compare_topics(self, reader: BroadcastReader) -> None:
        """Compare the topics with their former states, or do nothing if no broker answers in time."""
        try:
            async with asyncio.timeout(ANSWER_S):
                states = await reader.topic_states(self.topics.topics)
        except TimeoutError:
            return
        if states is not None:
            self.health.kafka_answered()  # a worker without partitions fetches nothing
            self.topics.compare(states)

    async def _ends(self, reader: BroadcastReader, owned: Sequence[TP]) -> Mapping[TopicPartition, int]:
        """Return the ends of logs, or nothing if no broker answers in time."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await reader.ends([TopicPartition(*tp) for tp in owned])
        except TimeoutError:
            return {}

    def _oldest(self) -> Mapping[tuple[str, int], float]:
        """Return the timestamp of the oldest message in flight, by partition."""
        return {
            partition: message.timestamp
            for checkpoint in self.checkpoints
            for partition, message in checkpoint.oldest().items()
        }
