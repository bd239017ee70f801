"""The process of `intentstream learn`: reads Kafka, and runs the loop in a thread.

Its consumers have no group and commit nothing: the place in Kafka is in the files of the lists. At each start, the
topics are read from their beginning, because the shop's state is in memory. Interactions whose lists are on disk are
folded, but not gathered again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from inference.bundle import Bundle
from streams.factory import pseudonyms
from streams.kafka.admin import require_topics
from streams.kafka.broadcast import BroadcastReader
from streams.kafka.clients import broker_errors, consumer_options
from streams.openlineage import LineageEvents
from streams.replay import Replay, for_long_logs
from streams.serving.store import BundleStore
from streams.settings import Settings
from training.learning.loop import LearningLoop, Stopped
from training.learning.merge import MergedLog
from training.learning.metrics import LearningMetrics
from training.learning.records import Broadcasts, turn
from training.learning.rules import learning_rules
from training.learning.store import ListStore, feature_model
from training.learning.versions import Versions

log = logging.getLogger(__name__)

POLL_MS = 500
RECORDS_AT_ONCE = 2000
SILENT_S = 60.0
"""Seconds without a turn of the event loop after which the process counts as stopped."""


@dataclass(slots=True)
class Progress:
    """Conditions of liveness and readiness, for the endpoint.

    Attributes:
        catalogue_read: the catalogue, the pin and the requests to forget are read.
        topics_read: the interactions and lists are read to their ends.
        last_turn_s: time of the last turn of the event loop, by `time.monotonic`.
    """

    catalogue_read: bool = False
    topics_read: bool = False
    last_turn_s: float = field(default_factory=time.monotonic)

    def alive(self) -> Mapping[str, bool]:
        """Return whether the event loop runs."""
        return {"event_loop": time.monotonic() - self.last_turn_s < SILENT_S}

    def ready(self) -> Mapping[str, bool]:
        """Return the conditions of readiness and whether each holds."""
        return {"catalogue_read": self.catalogue_read, "topics_read": self.topics_read}


def learning_loop(settings: Settings, bundle: Bundle, models: BundleStore, folder: Path) -> LearningLoop:
    """Make the loop of a shop, with its files in `folder` and no items yet."""
    rules, topics = learning_rules(settings), settings.topics
    return LearningLoop(
        rules=rules,
        # Behaviour and trends are updated every few minutes of event time: reading is five times as fast.
        replay=Replay(for_long_logs(settings), bundle, ()),
        store=ListStore(folder / "lists", rules.lists_kept, feature_model(bundle)),
        versions=Versions.opened(models, folder / "versions.json", rules.versions_kept),
        metrics=LearningMetrics(),
        # With INTENTSTREAM_PSEUDONYM_KEY, the files name no shopper without that key.
        shopper_key=pseudonyms(settings).key,
        topics=(topics.clicks, topics.searches, topics.items, topics.recommendations),
        announce=partial(LineageEvents.of(settings).trained, "learn"),
    )


async def learn(settings: Settings, loop: LearningLoop, progress: Progress) -> None:
    """Read Kafka and run the loop until cancelled. Raises TopicError, StreamsError, BundleError."""
    topics = settings.topics
    sources = (topics.clicks, topics.searches, topics.recommendations)
    counts = await require_topics(settings.kafka, (*sources, topics.item_vectors, topics.privacy, topics.models))

    def partitions(*names: str) -> list[TopicPartition]:
        return [TopicPartition(name, number) for name in names for number in range(counts[name])]

    async def keep_records() -> None:
        """Do nothing: `turn` takes the records."""

    broadcasts = Broadcasts(settings)
    reader = BroadcastReader(
        options=consumer_options(settings.kafka),
        partitions=partitions(topics.item_vectors, topics.privacy, topics.models),
        apply=broadcasts.apply,
        flush=keep_records,
    )
    with broker_errors(settings.kafka, "reading what to learn from"):
        try:
            async with asyncio.TaskGroup() as tasks:
                background = (tasks.create_task(reader.run()), tasks.create_task(_note_turns(progress)))
                try:
                    await reader.caught_up.wait()
                    progress.catalogue_read = True
                    log.info("%s items are read", len(broadcasts.items))
                    await _process_records(settings, loop, broadcasts, partitions(*sources), progress)
                finally:
                    for task in background:
                        task.cancel()
        except ExceptionGroup as group:
            # The command line reports single errors of this project, not groups.
            raise group.exceptions[0] from None


async def _process_records(
    settings: Settings, loop: LearningLoop, broadcasts: Broadcasts, partitions: list[TopicPartition], progress: Progress
) -> None:
    """Read interactions and lists, and hand them to the loop in order, until cancelled."""
    consumer = AIOKafkaConsumer(
        **consumer_options(settings.kafka), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
        fetch_max_wait_ms=POLL_MS,
    )  # fmt: skip
    merged = MergedLog((each.topic, each.partition) for each in partitions)
    try:
        await consumer.start()
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        while True:
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE)
            for partition, records in batches.items():
                merged.add(partition.topic, partition.partition, records)
            for partition in partitions:
                # Records of open transactions are not read. They count once their transaction ends.
                end = max(ends[partition], consumer.last_stable_offset(partition) or 0)
                is_behind = await consumer.position(partition) < end
                merged.set_behind(partition.topic, partition.partition, is_behind=is_behind)
            now_ms = time.time_ns() // 1_000_000
            full = {TopicPartition(*each) for each in merged.full()}
            paused = consumer.paused()
            # A partition far ahead of the others is paused. Its records would wait in memory until the others reach
            # their time.
            consumer.pause(*(full - paused))
            consumer.resume(*(paused - full))
            records = merged.release(now_ms)
            is_current = merged.is_current(now_ms)
            if is_current and not progress.topics_read:
                log.info("all topics are read to their ends")
                progress.topics_read = True
            loop.metrics.lag.set((now_ms - merged.limit_ms(now_ms)) / 1000)
            await _run(loop, partial(turn, loop, settings, broadcasts.take(), records, is_current=is_current))
    finally:
        await consumer.stop()


async def _run(loop: LearningLoop, take_turn: Callable[[], None]) -> None:
    """Take a turn in a thread: a refit takes minutes, and probes are answered meanwhile.

    A cancelled turn ends between two steps. It has then ended when this function has: the lock on the files is still
    held, and nothing is written any more.
    """
    running = asyncio.create_task(asyncio.to_thread(take_turn))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        loop.stopping.set()
        with contextlib.suppress(Stopped):
            await running
        raise


async def _note_turns(progress: Progress) -> None:
    """Note once a second that the event loop runs."""
    while True:
        progress.last_turn_s = time.monotonic()
        await asyncio.sleep(1)
