"""The path of asset profiles: what a worker processed, collected into profiles that it publishes once an interval."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from socket import gethostname
from time import perf_counter, time
from traceback import extract_tb

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from faust.types import Message

from inference.plain_text import printable
from inference.types import Item, Vector
from streams.assets.collector import Collector
from streams.assets.expectations import Finding
from streams.assets.history import AssetHistory
from streams.assets.monitor import QualityMonitor
from streams.assets.records import apply_record, learn_hours
from streams.assets.snapshots import encode_snapshot
from streams.errors import InvalidEvent, OwnershipLost
from streams.kafka.asset_profiles import quality_monitor
from streams.kafka.broadcast import BroadcastReader
from streams.kafka.clients import consumer_options
from streams.kafka.producer import LARGEST_MESSAGE, BatchProducer
from streams.metrics import Metrics
from streams.settings import Settings
from streams.worker.observations import accepted_events, accepted_items, refused_messages
from streams.worker.processing import Processing

log = logging.getLogger(__name__)

LOGGED_AT_ONCE = 5
"""Most findings of one evaluation that are logged with a line of their own."""
QUIET_S = 600.0
"""Seconds in which a finding that opens again, or the same failure, is not logged again."""
RETRY_S = 10.0
"""Seconds until the topic is read again after a failure."""
READ_AT_ONCE = 8
"""Profiles that are read in one turn of the event loop: one takes a third of a millisecond, and events wait."""


@dataclass(slots=True, kw_only=True)
class AssetPath:
    """Path from processed messages to `asset-profiles`, and from there to the history of all workers' profiles.

    The end of a worker loses the profile of its last interval. Events do not wait for profiles. A failure here is
    logged and counted, and ends no worker.

    Attributes:
        history: the profiles of all workers.
        quality: what is learned from them, and the findings.
    """

    settings: Settings
    producer: BatchProducer
    metrics: Metrics
    history: AssetHistory = field(default_factory=AssetHistory)
    quality: QualityMonitor = field(init=False)
    _collector: Collector = field(
        default_factory=lambda: Collector(f"{gethostname()[:128]}-{token_hex(4)}", round(time() * 1000))
    )
    _reader: BroadcastReader | None = None
    _next_offset: int = 0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _logged: dict[tuple[str, ...], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.quality = quality_monitor(self.settings)

    @property
    def is_on(self) -> bool:
        """Whether profiles are wanted."""
        return self.settings.assets.interval_seconds > 0

    def observe_events(self, processing: Processing) -> None:
        """Take a batch of events that is answered, with the refused ones."""
        if not self.is_on:
            return
        with self._contained("profiling events"):
            self._collector.observe(refused_messages(processing.refused))
            if (folded := processing.folded) is not None:
                space = processing.servable.live.space
                self._collector.observe(accepted_events(processing.messages, folded, space))

    def observe_items(
        self,
        items: Sequence[tuple[Message, Item, Vector | None]],
        refused: Sequence[tuple[Message, InvalidEvent]],
        space: str,
    ) -> None:
        """Take items that are published, with their vectors in a space, and refused messages of their topic."""
        if not self.is_on:
            return
        with self._contained("profiling items"):
            self._collector.observe(refused_messages(refused))
            self._collector.observe(accepted_items(items, space))

    async def publish(self) -> None:
        """Publish the profiles of the interval that ends now, and evaluate the quality.

        Raises OwnershipLost or ProducerFenced if the worker has to join its group again.
        """
        with self._contained("publishing profiles"):
            await self._publish()
        if self.is_current:
            now_ms = round(time() * 1000)
            self.quality.watched_from_ms = self.quality.watched_from_ms or now_ms
            with self._contained("evaluating the data quality"):
                await self._evaluate(now_ms)  # also if nothing arrives any more

    async def _publish(self) -> None:
        deliveries = []
        for snapshot in self._collector.take(round(time() * 1000)):
            value = encode_snapshot(snapshot)
            # The brokers would refuse it, and that failure would keep the profiles of the other streams back.
            if len(value) > LARGEST_MESSAGE:
                log.warning(
                    "the profile of a stream on %s is too large to be published, it is left out", snapshot.topic
                )
                continue
            deliveries.append(await self.producer.send(self.settings.topics.asset_profiles, snapshot.key, value))
        await asyncio.gather(*deliveries)

    @property
    def is_current(self) -> bool:
        """Whether all profiles are read that were on the topic at the start."""
        return self._reader is not None and self._reader.caught_up.is_set()

    async def run(self) -> None:
        """Read all workers' profiles until cancelled. After a failure the topic is read again."""
        while True:
            with self._contained("reading profiles"):
                await self.reader().run()
            await asyncio.sleep(RETRY_S)

    def reader(self) -> BroadcastReader:
        """Return a new reader of all workers' profiles that applies them to the history."""
        self._reader = BroadcastReader(
            options=consumer_options(self.settings.kafka),
            partitions=[TopicPartition(self.settings.topics.asset_profiles, 0)],
            apply=self.apply,
            flush=self._flush,
            at_once=READ_AT_ONCE,
        )
        return self._reader

    def apply(self, record: ConsumerRecord) -> None:
        """Apply a record. An unreadable one is counted, logged and skipped."""
        # After a failure the topic is read from its beginning. Offsets fall if it was created again meanwhile.
        if not self.is_current and record.offset < self._next_offset:
            return
        self._next_offset = record.offset + 1
        with self._contained("reading a profile"):
            try:
                apply_record(self.history, self.quality, record.key, record.value, time() * 1000)
            except (InvalidEvent, ValueError) as error:
                self.metrics.unreadable.labels(record.topic).inc()
                if self._is_news("unreadable"):
                    log.warning("%s-%s@%s is skipped: %s", record.topic, record.partition, record.offset, error)

    async def _flush(self) -> None:
        with self._contained("evaluating the data quality"):
            for _ in learn_hours(self.history, self.quality):
                await asyncio.sleep(0)
            await self._evaluate(self.history.newest_ms)
        await asyncio.sleep(0)  # the records that the consumer holds already would come without a pause

    @contextmanager
    def _contained(self, work: str) -> Iterator[None]:
        """Count and log a failure of some work, and go on. Those that concern the partitions are raised."""
        try:
            yield
        except (OwnershipLost, ProducerFenced):
            raise
        except Exception as error:  # noqa: BLE001 - lists are more important than profiles
            self.metrics.data_failures.inc()
            if self._is_news(work):
                log.warning("%s failed: %s. Lists are not affected; data quality may not be judged", work, _text(error))

    def _is_news(self, *key: str) -> bool:
        """Return whether nothing was logged under a key in the last QUIET_S seconds."""
        now = time()
        self._logged = {each: at for each, at in self._logged.items() if now - at < QUIET_S}
        return self._logged.setdefault(key, now) == now

    async def _evaluate(self, now_ms: int) -> None:
        """Evaluate the quality if that is due, and report what changed. Old profiles are evaluated without a report."""
        async with self._turn:
            if not self.quality.is_due(now_ms):
                return
            # Only the work counts, not the turns of the event loop in between.
            seconds, began = 0.0, perf_counter()
            for _ in self.quality.evaluation(now_ms):
                seconds += perf_counter() - began
                await asyncio.sleep(0)  # a stream takes about a millisecond, and events wait
                began = perf_counter()
            self.metrics.quality_seconds.observe(seconds + perf_counter() - began)
            if self.is_current:
                self.metrics.data_quality(self.quality.findings, self.quality.watches.opened)
                self._log()

    def _log(self) -> None:
        """Log findings that were opened and closed. A finding is logged once in QUIET_S seconds."""
        watches = self.quality.watches
        opened = [each for each in watches.opened if self._is_news(*_key(each))]
        for finding in opened[:LOGGED_AT_ONCE]:
            log.warning(
                "wrong data: %s: %s. For shoppers: %s. To do: %s",
                place_of(finding), finding.sentence, finding.shoppers, finding.remedy,
            )  # fmt: skip
        if (more := len(opened) - LOGGED_AT_ONCE) > 0:
            log.warning("wrong data: %s further findings, see `intentstream assets quality`", more)
        for finding in watches.closed[:LOGGED_AT_ONCE]:
            log.info("data is as expected again: %s: %s", place_of(finding), finding.kind)


def place_of(finding: Finding) -> str:
    """Return the producer, topic, type and field of a finding, without the control characters of untrusted text."""
    text = f"{finding.producer} on {finding.topic} ({finding.type})" + (f", {finding.field}" if finding.field else "")
    return printable(text)


def _text(error: Exception) -> str:
    """Return an error with its place. The text of an error that is not Kafka's may quote a message."""
    if isinstance(error, KafkaError):
        return repr(error)
    frame = extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"


def _key(finding: Finding) -> tuple[str, ...]:
    return (*finding.stream, finding.kind, finding.field)
