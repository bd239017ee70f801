"""The worker's life cycle: prepare, join the group, serve, drain and stop."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import nan
from time import time
from typing import Any

import faust
from aiokafka import ConsumerRecord, TopicPartition
from faust.types import TP, Message, StreamT
from mode.supervisors import CrashingSupervisor

from streams.contracts import serde
from streams.errors import InvalidEvent, StreamsError
from streams.items.trending import Trending
from streams.kafka.broadcast import BroadcastReader
from streams.kafka.clients import client_options
from streams.kafka.producer import BatchProducer
from streams.metrics import Metrics
from streams.serving.pins import SERVING_SLOT
from streams.serving.servable import Serving
from streams.serving.swap import ModelSwap
from streams.settings import Settings
from streams.state.restore import BulkRestorer
from streams.worker.behaviour_path import BehaviourPath
from streams.worker.checkpoint import Checkpoint
from streams.worker.consuming import Consumer
from streams.worker.event_path import EventPath
from streams.worker.health import Health
from streams.worker.item_path import ItemPath
from streams.worker.learning import Learning
from streams.worker.pair_path import PairPath
from streams.worker.watch import Watch

log = logging.getLogger(__name__)

DISCONNECT_S = 1.5
"""Seconds that the last deliveries of a stopping worker may take, after the drain of the messages in flight."""

RECORDS_A_SESSION = 8
"""Records read at the start for each session, on average. There is one for each action until the topic is compacted."""


class WorkerApp(faust.App):  # type: ignore[misc]  # Faust is untyped
    """Faust's app with a drain: it waits for messages in flight, not only for empty streams.

    Attributes:
        prepare: awaited before the app joins its group. Until then the former owners serve its partitions.
        drain: awaited before partitions go. Returns whether everything was published.
        restorer: restores tables that miss many changelog records.
    """

    logger = logging.getLogger("faust.app")

    def __init__(self, *arguments: Any, restorer: BulkRestorer, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.restorer = restorer
        self.prepare: Callable[[], Awaitable[None]] | None = None
        self.drain: Callable[[], Awaitable[bool]] | None = None

    async def on_start(self) -> None:
        """Prepare the worker. Faust starts its consumer after this."""
        await super().on_start()
        if self.prepare is not None:
            await self.prepare()

    async def _consumer_wait_empty(self, consumer: Any, logger: Any) -> None:  # noqa: ARG002 - Faust's hook
        # Faust calls this before partitions go to another worker, and before it stops. A later write to the changelog
        # could overwrite one of the next owner.
        if self.drain is None or self.crashed:
            return
        drained = await self.drain()
        if self.should_stop:
            return  # the consumer commits when it stops
        if not drained:
            raise StreamsError("messages were still in flight when their partitions were to go to another worker")
        await consumer.commit()

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        # Faust stops the flow only if the worker had partitions. Messages that arrive while it prepares new partitions
        # would count as read and never be processed.
        self.consumer.stop_flow()
        await super()._on_partitions_revoked(revoked)

    def _new_transport(self) -> Any:
        transport = super()._new_transport()
        transport.Consumer = Consumer
        return transport

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Mark messages as acknowledged, so that Faust commits their offsets."""
        consumer = self.consumer
        for message in messages:
            message.ack(consumer)

    def crash_soon(self, error: BaseException) -> None:
        """Stop the worker with this error. The next owner reads unacknowledged messages again."""
        self.add_future(self.crash(error))


@dataclass(slots=True, kw_only=True)
class Worker:
    """All parts of a worker, started and stopped in order."""

    settings: Settings
    app: WorkerApp
    events: EventPath
    items: ItemPath
    pairs: PairPath
    behaviour: BehaviourPath
    learning: Learning
    serving: Serving
    swap: ModelSwap
    trending: Trending
    producer: BatchProducer
    metrics: Metrics
    health: Health
    watch: Watch
    renewal_due: asyncio.Event
    _stopping: bool = False
    _catalogue_as_of: float = nan
    _item_partitions: set[int] = field(default_factory=set)
    _running: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        app, settings = self.app, self.settings
        app.prepare, app.drain = self._prepare, self._drain
        sources = app.topic(settings.topics.clicks, settings.topics.searches, key_type=bytes, value_type=bytes)
        items = app.topic(settings.topics.items, key_type=bytes, value_type=bytes)
        pairs = app.topic(settings.topics.item_pairs, key_type=bytes, value_type=bytes)
        # Each partition has its own agent, and an agent that fails stops the worker.
        options = {"isolated_partitions": True, "supervisor_strategy": CrashingSupervisor}
        app.agent(sources, name="interactions", **options)(self._agent(self.events.checkpoint))
        app.agent(items, name="items", **options)(self._agent(self.items.checkpoint))
        app.agent(pairs, name="pairs", **options)(self._agent(self.pairs.checkpoint))
        app.task(self._serve)
        self.metrics.catalogue_freshness.set_function(lambda: time() - self._catalogue_as_of)
        app.timer(settings.learning.trending_interval_seconds)(self._publish_trending)
        app.timer(settings.learning.behaviour_interval_seconds)(self._publish_behaviour)
        app.on_partitions_assigned.connect(self._assigned)
        app.on_partitions_revoked.connect(self._revoked)
        app.on_before_shutdown.connect(self._stop)

    def _agent(self, checkpoint: Checkpoint[Message]) -> Callable[[StreamT], Any]:
        async def agent(stream: StreamT) -> None:
            # Without `noack` Faust acknowledges an event whose agent raises, and may commit past events in flight.
            async for event in stream.noack().events():
                await checkpoint.put(event.message)

        return agent

    async def _prepare(self) -> None:
        """Connect to the brokers and read the broadcast topics to their ends."""
        self.app.add_future(self._guarded(self.watch.pulse()))
        await self.producer.start()
        reader = BroadcastReader(
            options=client_options(self.settings.kafka),
            partitions=self._broadcast_partitions(),
            apply=self._apply_broadcast,
            flush=self._flush_broadcast,
            newest={self.settings.topics.sessions: RECORDS_A_SESSION * self.settings.learning.sessions_kept},
        )
        for work in (reader.run(), self.events.run(), self.items.run(), self.pairs.run()):
            self._running.append(self.app.add_future(self._guarded(work)))
        await self.app.wait(reader.caught_up)
        if not self.app.should_stop:
            self.health.catalogue_read = True
            self.app.add_future(self._guarded(self.watch.look(reader)))
            await self._update_popularity()
            bundle, items = self.serving.now.bundle, len(self.serving.now.live)
            # These objects live long. The collector stops all threads, so keep it from visiting them again.
            gc.collect()
            gc.freeze()
            log.info("prepared: %s items, model %s %s on %s", items, bundle.name, bundle.version, bundle.provider)

    async def _serve(self) -> None:
        """Follow the wanted model and encode items of assigned partitions, until cancelled."""
        self.app.add_future(self._guarded(self.swap.run()))
        if every_s := self.settings.model.watch_seconds:
            self.app.add_future(self._guarded(self.swap.watch(every_s)))
        while True:
            # Check after each assignment: the former owner may not have encoded everything.
            self.renewal_due.clear()
            if renewed := await self.items.renew(lambda: self._item_partitions):
                log.info("%s items encoded for another model", renewed)
            await self.renewal_due.wait()

    def _broadcast_partitions(self) -> list[TopicPartition]:
        # The partition counts were checked at the start. A consumer would first have to fetch them.
        settings = self.settings
        sharded = [settings.topics.item_vectors, settings.topics.item_neighbours]
        single = [settings.topics.models, settings.topics.trending, settings.topics.sessions]
        partitions = [
            TopicPartition(topic, number) for topic in sharded for number in range(settings.topics.partitions)
        ]
        return [*partitions, *(TopicPartition(topic, 0) for topic in single)]

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Run background work of the whole life, and stop the worker if it fails."""
        try:
            await work
        except Exception as error:
            await self.app.crash(error)
            raise

    def _apply_broadcast(self, record: ConsumerRecord) -> None:
        try:
            self._apply_record(record)
        except InvalidEvent as refusal:
            place = f"{record.topic}-{record.partition}@{record.offset}"
            log.error("%s is skipped, this version cannot read it: %s", place, refusal.reason)  # noqa: TRY400

    def _apply_record(self, record: ConsumerRecord) -> None:
        if self.learning.takes(record.topic):
            self.learning.apply(record)
        elif record.topic == self.settings.topics.trending:
            self.trending.restore(serde.decode_trending(record.value))
        elif record.topic == self.settings.topics.models:
            if record.key == SERVING_SLOT:
                self.swap.pin(serde.decode_model_pin(record.value))
        else:
            item = serde.decode_keyed_item_vector(record.key, record.value)
            for servable in self.serving.servables:
                servable.live.apply(record.key.decode(), item, record.partition)
            self._catalogue_as_of = record.timestamp / 1000

    async def _flush_broadcast(self) -> None:
        # A coming servable refreshes its arrays itself.
        await self.serving.now.refresh()
        self.metrics.catalogue_items.set(len(self.serving.now.live))
        self.swap.advance()
        await self.learning.flush()

    async def _publish_trending(self) -> None:
        """Publish the trends of the owned partitions, and update the popularity that lists read."""
        for snapshot in self.trending.take_changed():
            key, value = str(snapshot.partition).encode(), serde.encode_msgpack(snapshot)
            await (await self.producer.send(self.settings.topics.trending, key, value))
        await self._update_popularity()

    async def _publish_behaviour(self) -> None:
        """Publish changed co-occurrence, item transitions and sessions."""
        await asyncio.gather(self.pairs.publish(), self.behaviour.publish())

    async def _update_popularity(self) -> None:
        if not self._stopping:
            await self.serving.now.set_popularity(self.trending.popularity())

    async def _assigned(self, _app: faust.App, assigned: set[TP], **_: Any) -> None:
        self._item_partitions = {tp.partition for tp in assigned if tp.topic == self.settings.topics.items}
        self.renewal_due.set()
        self.watch.assigned(assigned)
        self.health.partitions_assigned = True

    async def _revoked(self, _app: faust.App, revoked: set[TP], **_: Any) -> None:
        for tp in revoked:
            if tp.topic == self.settings.topics.clicks:
                self.trending.release(tp.partition)

    async def _drain(self) -> bool:
        checkpoints = (self.events.checkpoint, self.items.checkpoint, self.pairs.checkpoint)
        timeout = self.settings.state.shutdown_drain_seconds
        ends = (self.events.checkpoint.drain(timeout), self.items.checkpoint.drain(timeout), self.pairs.drain(timeout))
        drained = await asyncio.gather(*ends)
        # An event leaves its checkpoint when its list and profile are delivered. `behaviour.publish` sends its
        # transition and acknowledges it. The drain succeeds without the trends, which are counted about once anyway.
        published = False
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCONNECT_S):
                await self.behaviour.publish()
                published = True
                await self._publish_trending()
        if left := sum(map(len, checkpoints)):
            log.warning("%s messages are still in flight; they will be read again", left)
        return all(drained) and published

    async def _stop(self, _app: faust.App, **_: Any) -> None:
        self._stopping = True
        self.health.stopping = True
        for each in self._running:
            each.cancel()
        await self.producer.stop(DISCONNECT_S)
        self.serving.now.scoring.close()
