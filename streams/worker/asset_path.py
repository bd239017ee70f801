"""The path of asset profiles: what a worker processed, collected into profiles that it publishes once an interval."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from socket import gethostname
from time import perf_counter, time

from aiokafka import ConsumerRecord, TopicPartition
from faust.types import Message

from inference.types import Item, Vector
from streams.assets.collector import Collector
from streams.assets.expectations import Finding
from streams.assets.fields import ITEM, REFUSED
from streams.assets.history import AssetHistory
from streams.assets.monitor import QualityMonitor
from streams.assets.profile import ROBOT, UNKNOWN_ITEM, Observation, Stream
from streams.assets.records import apply_record
from streams.assets.snapshots import encode_snapshot
from streams.batch import Folded
from streams.contracts.messages import PRODUCER_HEADER
from streams.errors import InvalidEvent
from streams.kafka.asset_quality import quality_monitor
from streams.kafka.broadcast import BroadcastReader
from streams.kafka.clients import consumer_options
from streams.kafka.producer import LARGEST_MESSAGE, BatchProducer
from streams.metrics import Metrics
from streams.outcomes import OK
from streams.settings import Settings
from streams.worker.delivery import timestamp_ms
from streams.worker.processing import Processing

log = logging.getLogger(__name__)

UNNAMED = "(unnamed)"
"""Producer of messages without the header."""
MOST_PRODUCER = 64
"""Characters of a producer's name that are kept."""
ROBOTS = "robot"
"""Reason in `Folded.unlearned`."""
LOGGED_AT_ONCE = 5
"""Most findings of one evaluation that are logged with a line of their own."""
QUIET_S = 600.0
"""Seconds in which a finding that opens again is not logged again."""


@dataclass(slots=True, kw_only=True)
class AssetPath:
    """Path from processed messages to `asset-profiles`, and from there to the history of all workers' profiles.

    A crash loses the profile of the last interval. Nothing else waits for a profile.

    Attributes:
        history: the profiles of all workers.
        quality: what is learned from them, and the findings.
    """

    settings: Settings
    producer: BatchProducer
    metrics: Metrics
    history: AssetHistory = field(init=False)
    quality: QualityMonitor = field(init=False)
    _collector: Collector = field(
        default_factory=lambda: Collector(f"{gethostname()[:128]}-{token_hex(4)}", round(time() * 1000))
    )

    _reader: BroadcastReader | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _logged: dict[tuple[str, ...], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.quality = quality_monitor(self.settings)
        self.history = AssetHistory(self.quality.sealed)

    @property
    def is_on(self) -> bool:
        """Whether profiles are wanted."""
        return self.settings.assets.interval_seconds > 0

    def observe_events(self, processing: Processing) -> None:
        """Take a batch of events that is answered, with the refused ones."""
        if not self.is_on:
            return
        self._collector.observe(_refused(processing.refused))
        if (folded := processing.folded) is not None:
            space = processing.servable.live.space
            self._collector.observe(_accepted(processing.messages, folded, space))

    def observe_items(
        self,
        items: Sequence[tuple[Message, Item, Vector | None]],
        refused: Sequence[tuple[Message, InvalidEvent]],
        space: str,
    ) -> None:
        """Take items that are published, with their vectors in a space, and refused messages of their topic."""
        if not self.is_on:
            return
        self._collector.observe(_refused(refused))
        self._collector.observe(
            Observation(
                stream=Stream(message.topic, ITEM, producer_of(message)),
                content=item,
                size=len(message.value),
                partition=message.partition,
                at_ms=timestamp_ms(message),
                outcome=OK,
                vector=vector,
                space=space,
            )
            for message, item, vector in items
        )

    async def publish(self) -> None:
        """Publish the profiles of the interval that ends now."""
        for snapshot in self._collector.take(round(time() * 1000)):
            value = encode_snapshot(snapshot)
            if len(value) > LARGEST_MESSAGE:
                log.warning(
                    "the profile of a stream on %s is too large to be published, it is left out", snapshot.topic
                )
                continue
            await (await self.producer.send(self.settings.topics.asset_profiles, snapshot.key, value))
        if self.is_current:
            now_ms = round(time() * 1000)
            self.quality.watched_from_ms = self.quality.watched_from_ms or now_ms
            await self._evaluate(now_ms)  # also if nothing arrives any more

    @property
    def is_current(self) -> bool:
        """Whether all profiles are read that were on the topic at the start."""
        return self._reader is not None and self._reader.caught_up.is_set()

    def reader(self) -> BroadcastReader:
        """Return a reader of all workers' profiles that applies them to the history."""
        self._reader = BroadcastReader(
            options=consumer_options(self.settings.kafka),
            partitions=[TopicPartition(self.settings.topics.asset_profiles, 0)],
            apply=self.apply,
            flush=self._flush,
        )
        return self._reader

    def apply(self, record: ConsumerRecord) -> None:
        """Apply a record. An unreadable one is counted, logged and skipped."""
        try:
            apply_record(self.history, self.quality, record.key, record.value)
        except (InvalidEvent, ValueError):
            log.warning("%s-%s@%s is skipped: it is no profile", record.topic, record.partition, record.offset)
            self.metrics.unreadable.labels(record.topic).inc()

    async def _flush(self) -> None:
        await self._evaluate(self.history.newest_ms)

    async def _evaluate(self, now_ms: int) -> None:
        """Evaluate the quality if that is due, and report what changed. Old profiles are evaluated without a report."""
        async with self._turn:
            if not self.quality.is_due(now_ms):
                return
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
        now, watches = time(), self.quality.watches
        self._logged = {key: at for key, at in self._logged.items() if now - at < QUIET_S}
        opened = [each for each in watches.opened if _key(each) not in self._logged]
        for finding in opened[:LOGGED_AT_ONCE]:
            self._logged[_key(finding)] = now
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
    return "".join(each for each in text if each.isprintable())


def _key(finding: Finding) -> tuple[str, ...]:
    return (*finding.stream, finding.kind, finding.field)


def producer_of(message: Message) -> str:
    """Return the name that a message's producer gives itself: untrusted text of printable characters."""
    for name, value in message.headers or ():
        if name == PRODUCER_HEADER and value:
            text = value[: 4 * MOST_PRODUCER].decode(errors="replace")
            return "".join(each for each in text if each.isprintable())[:MOST_PRODUCER] or UNNAMED
    return UNNAMED


def _refused(refused: Sequence[tuple[Message, InvalidEvent]]) -> list[Observation]:
    return [
        Observation(
            stream=Stream(message.topic, REFUSED, producer_of(message)),
            content=None,
            size=len(message.value or b""),
            partition=message.partition,
            at_ms=timestamp_ms(message),
            outcome=refusal.reason,
        )
        for message, refusal in refused
    ]


def _accepted(messages: Sequence[Message], folded: Folded, space: str) -> list[Observation]:
    marked = zip(messages, folded.events, folded.outcomes, folded.is_unknown, folded.unlearned, strict=True)
    return [
        Observation(
            Stream(message.topic, event.interaction.type, producer_of(message)),
            event.interaction,
            len(message.value),
            message.partition,
            event.source.timestamp_ms,
            outcome,
            _MARKS[unknown, reason == ROBOTS],
            event.vector,
            space,
        )
        for message, event, outcome, unknown, reason in marked
    ]


_MARKS = {
    (unknown, robot): (UNKNOWN_ITEM,) * unknown + (ROBOT,) * robot
    for unknown in (False, True)
    for robot in (False, True)
}
