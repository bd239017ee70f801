"""The worker's life cycle: prepare, join the group, serve, drain and stop."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from random import uniform
from time import monotonic, time
from typing import Any

import faust
from aiokafka import TopicPartition
from faust.types import TP

from streams.errors import StreamsError
from streams.http.server import HttpServer
from streams.kafka.producer import BatchProducer
from streams.kafka.topics import owned_topics
from streams.metrics import Metrics
from streams.serving.servable import ServableSlots
from streams.serving.swap import ModelSwap
from streams.settings import Settings
from streams.worker.broadcasts import Broadcasts
from streams.worker.faust.app import WorkerApp
from streams.worker.health import Health
from streams.worker.paths import Paths
from streams.worker.state_metrics import StateMetrics
from streams.worker.summary import Summary
from streams.worker.value_watch import ValueWatch

log = logging.getLogger(__name__)

DISCONNECT_S = 1.5
"""Seconds that the last deliveries of a stopping worker may take, after the drain."""
SUMMARY_EVERY_S = 60.0
EXPOSURE_EVERY_S = 15.0
CLAIM_S, CLAIM_CHECK_S = 3 * 86_400.0, 3600.0
"""Seconds after a take-over of partitions until it is repeated, and between two checks. Kafka forgets the epoch of a
transactional id after a week (`transactional.id.expiration.ms`); the next owner would then get another producer id."""


@dataclass(slots=True, kw_only=True)
class Worker:
    """All parts of a worker, started and stopped in order. `register` connects them to Faust's app."""

    settings: Settings
    app: WorkerApp
    paths: Paths
    broadcasts: Broadcasts
    slots: ServableSlots
    swap: ModelSwap
    producer: BatchProducer
    metrics: Metrics
    health: Health
    state_metrics: StateMetrics
    http: HttpServer | None = None
    values: ValueWatch | None = None
    _running: list[asyncio.Task[None]] = field(default_factory=list)
    _claim_ends: float = inf

    def register(self) -> None:
        """Add the agents, timers and life-cycle hooks to Faust's app."""
        app, settings, paths = self.app, self.settings, self.paths
        app.prepare, app.drain, app.drop, app.take_over = self._prepare, self._drain, self._drop, self._take_over
        app.read("interactions", [settings.topics.clicks, settings.topics.searches], paths.events.checkpoint)
        app.read("items", [settings.topics.items], paths.items.checkpoint)
        app.read("pairs", [settings.topics.item_pairs], paths.cooccurrence.checkpoint)
        app.read("privacy", [settings.topics.privacy], paths.privacy.checkpoint)
        app.task(self._serve)
        app.timer(settings.learning.trending_interval_seconds / paths.trends.ticks)(app.guarded(paths.trends.publish))
        app.timer(settings.learning.behaviour_interval_seconds)(app.guarded(paths.publish_behaviour))
        if paths.assets.is_on:
            app.timer(settings.assets.interval_seconds)(app.guarded(paths.assets.publish))
        app.timer(SUMMARY_EVERY_S)(
            self._summarise(Summary(self.metrics, (settings.topics.clicks, settings.topics.searches)))
        )
        app.timer(EXPOSURE_EVERY_S)(self._measure_exposure)
        app.timer(CLAIM_CHECK_S)(self._claim_again)
        app.on_partitions_assigned.connect(self._assigned)
        app.on_partitions_revoked.connect(self._revoked)
        app.on_before_shutdown.connect(self._stop)
        self.metrics.in_flight.set_function(lambda: len(paths.events.checkpoint))
        self.metrics.ready.set_function(lambda: self.health.is_ready)
        self.metrics.catalogue_freshness.set_function(lambda: time() - self.broadcasts.catalogue_as_of)

    async def _prepare(self) -> None:
        """Connect to the brokers and read the broadcast topics to their ends."""
        app = self.app
        app.run_guarded(self.state_metrics.pulse())
        await self.producer.start()
        if self.http is not None:
            self._running.append(app.run_guarded(self.http.run()))
        reader = self.broadcasts.reader
        self._running += [app.run_guarded(work) for work in (reader.run(), *self.paths.run())]
        await app.wait(reader.caught_up)
        if app.should_stop:
            return
        self.health.catalogue_read = True
        # Before any message is read: a topic that is created again later would otherwise pass for the first one.
        await self.state_metrics.compare_topics(reader)
        app.run_guarded(self.state_metrics.run(reader))
        if self.paths.assets.is_on:
            # Lists do not depend on the profiles, so the start does not wait for them.
            self._running.append(app.run_guarded(self.paths.assets.run()))
        if self.values is not None:
            self._running.append(app.run_guarded(self.values.run()))
        await self.paths.trends.update_popularity()
        # These objects live long. The collector stops all threads, so keep it from visiting them again.
        gc.collect()
        gc.freeze()
        bundle, items = self.slots.current.bundle, len(self.slots.current.live)
        log.info("prepared: %s items, model %s %s on %s", items, bundle.name, bundle.version, bundle.provider)

    async def _serve(self) -> None:
        """Follow the wanted model and encode items of assigned partitions, until cancelled."""
        self.app.run_guarded(self.swap.run())
        if every_s := self.settings.model.watch_seconds:
            self.app.run_guarded(self.swap.poll_folder(every_s))
        await self.paths.items.run_renewals()

    async def _measure_exposure(self) -> None:
        self.metrics.exposed(await self.slots.current.scoring.exposed())

    def _summarise(self, summary: Summary) -> Any:
        async def summarise() -> None:
            summary.log()

        return summarise

    async def _assigned(self, _app: faust.App, assigned: set[TP], **_: Any) -> None:
        log.info("partitions assigned: %s", partitions_text(assigned))
        self.state_metrics.assigned(assigned)
        self.health.partitions_assigned = True

    async def _revoked(self, _app: faust.App, revoked: set[TP], **_: Any) -> None:
        if revoked:
            log.info("partitions revoked: %s", partitions_text(revoked))
        # Faust awaits the drain before. From here on nothing is sent to topics that the next owner writes to.
        self.paths.items.released()
        self.producer.release()
        for tp in revoked:
            # `clicks` and `searches` of one number have one owner, so one of the two is enough.
            if tp.topic == self.settings.topics.clicks:
                self.paths.trends.release(tp.partition)

    async def _drain(self) -> bool:
        log.info("draining: %s messages in flight", self.paths.in_flight)
        return await self.paths.drain(self.settings.state.shutdown_drain_seconds)

    async def _drop(self) -> None:
        """Forget everything in flight: another worker may own the partitions since this worker was last heard."""
        log.warning(
            "taken for dead by the group: %s messages in flight are left to the next owner", self.paths.in_flight
        )
        self.producer.drop()
        await self.paths.drop()
        await self.producer.restart()

    async def _take_over(self, assigned: set[TP]) -> None:
        """Make the brokers refuse what former owners of these partitions may still send."""
        await self.producer.take_over(written_with(self.settings, assigned))
        self.paths.items.assigned({tp.partition for tp in assigned if tp.topic == self.settings.topics.items})
        self._claim_ends = monotonic() + CLAIM_S * uniform(1.0, 1.2)  # noqa: S311 - not all workers at once

    async def _claim_again(self) -> None:
        """Take the partitions over again if that is long ago."""
        if monotonic() > self._claim_ends:
            log.info("joining the group again: the brokers forget producer ids that nobody asks for")
            self._claim_ends = monotonic() + CLAIM_S
            self.app.consumer.rejoin()

    async def _stop(self, _app: faust.App, **_: Any) -> None:
        self.health.stopping = True
        if self.http is not None:
            await self.http.stop()
        for each in self._running:
            each.cancel()
        delivered = await self.producer.stop(DISCONNECT_S)
        if self.paths.in_flight or not delivered:
            self.app.unfinished = StreamsError(
                f"stopped before the brokers had taken all records, with {self.paths.in_flight} messages in flight: "
                "unacknowledged messages will be read again. Check the brokers"
            )
        self.slots.current.scoring.close()


def written_with(settings: Settings, assigned: Iterable[TP]) -> list[TopicPartition]:
    """Return the partitions that only the owner of the assigned partitions writes to."""
    topics = owned_topics(settings)
    return [TopicPartition(topics[tp.topic], tp.partition) for tp in sorted(assigned) if tp.topic in topics]


def partitions_text(partitions: Iterable[TP]) -> str:
    """Return partitions by topic, without changelogs: `clicks 0-2, searches 0-2`."""
    of_topic: dict[str, list[int]] = defaultdict(list)
    for tp in partitions:
        if not tp.topic.endswith("-changelog"):
            of_topic[tp.topic].append(tp.partition)
    return ", ".join(f"{topic} {ranges(numbers)}" for topic, numbers in sorted(of_topic.items())) or "none"


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers in ascending order with runs abbreviated.

    >>> ranges([5, 0, 1, 2, 7])
    '0-2 5 7'
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
