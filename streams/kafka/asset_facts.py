"""The brokers' facts about topics and consumer groups, for the inventory of data assets. In bounded time.

Brokers may refuse a part, or be too old for it. The rest is returned, with the reason for each part that is missing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import time
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.assets.inventory import BrokerFacts, GroupFacts, TopicFacts
from streams.kafka.admin import Admin
from streams.kafka.broker_requests import log_sizes, newest_timestamps
from streams.kafka.clients import consumer_options
from streams.kafka.topics import POLICY, RETENTION
from streams.settings_groups import Kafka

PART_S = 5.0
"""Seconds that one part may take."""
MOST_GROUPS = 64
"""Most consumer groups that are looked at."""
HOUR_MS = 3_600_000
T = TypeVar("T")


@dataclass(slots=True)
class _Parts:
    """Runs the parts, each in bounded time, and keeps the reasons of those that failed."""

    unknown: dict[str, str] = field(default_factory=dict)

    async def of(self, what: str, work: Awaitable[T], otherwise: T) -> T:
        try:
            async with asyncio.timeout(PART_S):
                return await work
        except TimeoutError:
            self.unknown[what] = f"no answer of the brokers within {PART_S:g} s"
        except PermissionError as error:
            self.unknown[what] = str(error)
        except NotImplementedError:  # aiokafka raises it if the broker knows no version of a request
            self.unknown[what] = "the brokers are too old to say"
        except KafkaError as error:
            self.unknown[what] = f"the brokers refuse: {type(error).__name__}"
        return otherwise


@dataclass(frozen=True, slots=True)
class _Offsets:
    """Offsets by partition: the first, the end, that of an hour ago; and the earliest timestamp by topic."""

    begins: Mapping[TopicPartition, int] = field(default_factory=dict)
    ends: Mapping[TopicPartition, int] = field(default_factory=dict)
    hour_ago: Mapping[TopicPartition, int] = field(default_factory=dict)
    first_ms: Mapping[str, int] = field(default_factory=dict)


async def broker_facts(kafka: Kafka, names: Collection[str]) -> BrokerFacts:
    """Return what the brokers know about the topics that exist, and about the groups that read them.

    Raises ConfigurationError if no broker accepts the connection.
    """
    parts = _Parts()
    async with Admin.connected(kafka, "describing topics") as admin:
        existing = await parts.of("partitions", admin.partition_counts(), {})
        counts = {name: existing[name] for name in names if name in existing}
        configs = await parts.of("retention", admin.configs(dict.fromkeys(counts, (POLICY, RETENTION))), {})
        if counts and not configs:
            parts.unknown.setdefault("retention", "the brokers do not return the configuration of topics")
        sizes = await parts.of("size", log_sizes(admin.client, counts), {})
        leaders = {
            each: leader
            for each, leader in (await parts.of("leaders", admin.leaders(), {})).items()
            if each.topic in counts
        }
        newest = await parts.of("last seen", newest_timestamps(admin.client, leaders), {})
        async with _consumer(kafka) as consumer:
            partitions = [TopicPartition(name, number) for name, count in counts.items() for number in range(count)]
            offsets = await parts.of("messages", _offsets(consumer, partitions), _Offsets())
        groups = await parts.of("consumers", _groups(admin, offsets.ends), ())
    topics = {
        name: TopicFacts(
            partitions=counts[name],
            retention_ms=_number(configs.get(name, {}).get(RETENTION)),
            cleanup=configs.get(name, {}).get(POLICY),
            size_bytes=sizes.get(name),
            records=_sum(name, offsets.begins, offsets.ends),
            last_hour=_sum(name, offsets.hour_ago, offsets.ends),
            first_ms=offsets.first_ms.get(name),
            last_ms=newest.get(name),
        )
        for name in counts
    }
    missing = sorted(set(names) - counts.keys())
    if existing and missing:
        parts.unknown["missing topics"] = ", ".join(missing)
    return BrokerFacts(topics=topics, groups=groups, unknown=parts.unknown)


@asynccontextmanager
async def _consumer(kafka: Kafka) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(**consumer_options(kafka), group_id=None, enable_auto_commit=False)
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def _offsets(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> _Offsets:
    if not partitions:
        return _Offsets()
    begins = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    hour_ago_ms = round(time() * 1000) - HOUR_MS
    since = await consumer.offsets_for_times(dict.fromkeys(partitions, hour_ago_ms))
    first = await consumer.offsets_for_times(dict.fromkeys(partitions, 0))
    first_ms: dict[str, int] = {}
    for partition, found in first.items():
        if found is not None:
            first_ms[partition.topic] = min(first_ms.get(partition.topic, found.timestamp), found.timestamp)
    # A partition without a message in the last hour has none at or after that time.
    hour_ago = {each: ends[each] if found is None else found.offset for each, found in since.items()}
    return _Offsets(begins, ends, hour_ago, first_ms)


async def _groups(admin: Admin, ends: Mapping[TopicPartition, int]) -> tuple[GroupFacts, ...]:
    found = []
    for name in (await admin.groups())[:MOST_GROUPS]:
        lag: defaultdict[str, int] = defaultdict(int)
        for partition, offset in (await admin.committed(name)).items():
            if partition in ends:
                lag[partition.topic] += max(ends[partition] - offset, 0)
        if lag:
            found.append(GroupFacts(name=name, members=await admin.members(name), lag=dict(lag)))
    return tuple(found)


def _sum(name: str, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> int | None:
    counts = [ends[each] - begins[each] for each in ends if each.topic == name and each in begins]
    return sum(counts) if counts else None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.lstrip("-").isdigit() else None
