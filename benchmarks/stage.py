"""The environment of the measurements: the broker, the topics, the shop's encoded catalogue, and the workers."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.process import Process
from benchmarks.shop import Sent, Shop, open_shop, similar_vectors, variants
from benchmarks.sizes import Sizes
from benchmarks.usage import Usage, usage_of
from inference import load_bundle
from inference.bundle import Bundle
from inference.encoding.text import item_text
from inference.retrieval.vectors import quantise
from inference.types import stable_key
from streams.contracts.internal import ItemVector
from streams.contracts.serde import encode_msgpack
from streams.errors import StreamsError
from streams.items.encoded import encode_catalogue
from streams.kafka import topics
from streams.settings import SETTINGS, Settings, load_settings

QUEUE_MESSAGES, FLUSH_S = 50_000, 120.0
POLL_S = 0.02
SPREAD = 0.5
"""Length of the noise on a real vector. It gives a cosine of 0.9, like that of titles that differ in one word."""
Record = tuple[str, bytes, bytes]
"""Topic, key and value."""


@dataclass
class Stage:
    """One broker and one directory for all sections, which run one after another, each with its own topics."""

    bootstrap_servers: str
    directory: Path
    pictures: Path
    sizes: Sizes
    progress: Callable[[str], None]
    _large: dict[int, Shop] = field(default_factory=dict)
    _number: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    @cached_property
    def shop(self) -> Shop:
        """The shop."""
        return open_shop(self.sizes.catalogue, self.sizes.seed)

    @cached_property
    def bundle(self) -> Bundle:
        """The model of the workers."""
        return load_bundle(load_settings(env_file=None).model.path)

    @cached_property
    def records(self) -> list[ItemVector]:
        """The encoded catalogue."""
        self.progress(f"encoding {self.sizes.catalogue:,} items")
        return encode_catalogue(self.bundle, self.shop.items)

    def settings(self, name: str, **overrides: object) -> Settings:
        """Return settings with unique topics and a unique directory. `overrides` may share a topic."""
        own = f"{name}-{next(self._number)}"
        given: dict[str, object] = {f: f"{own}.{f}" for f in SETTINGS if f.endswith("_topic")}
        given |= {"bootstrap_servers": self.bootstrap_servers, "app_id": own, "data_dir": self.directory / own}
        settings = load_settings({**given, "metrics_port": 0, "model_watch_seconds": 0, **overrides}, env_file=None)
        asyncio.run(topics.create(settings))
        return settings

    def worker(self, module: str, settings: Settings, *options: str, log: str | None = None) -> Process:
        """Prepare one of `benchmarks.workers`. `log` names its log if several workers have the same settings."""
        file = self.directory / f"{log or settings.kafka.app_id}.log"
        return Process(f"benchmarks.workers.{module}", [json.dumps(settings.environment()), *options], file)

    def publish_catalogue(self, settings: Settings, items: int | None = None) -> None:
        """Publish the encoded catalogue, or the large one with `items` items."""
        topic = settings.topics.item_vectors
        records = self.records if items is None else self._large_records(items)
        self.publish((topic, record.item.item_id.encode(), encode_msgpack(record)) for record in records)

    def large_shop(self, items: int) -> Shop:
        """Return a shop with more items than the data have, made of variants of the real ones."""
        if items not in self._large:
            self._large[items] = variants(self.shop, items)
        return self._large[items]

    def _large_records(self, count: int) -> Iterator[ItemVector]:
        """Yield the records of the large shop: each vector is a real one, moved by noise."""
        self.progress(f"making {count:,} items")
        real = np.array([np.frombuffer(record.vector, dtype=np.int8) for record in self.records], dtype=np.float32)
        real /= np.linalg.norm(real, axis=1, keepdims=True)
        vectors = quantise(similar_vectors(real, count, SPREAD, self.sizes.seed))
        for item, vector in zip(self.large_shop(count).items, vectors, strict=True):
            text_hash = stable_key(item_text(item))
            yield ItemVector(item=item, space=self.bundle.vector_space, text_hash=text_hash, vector=vector.tobytes())

    @property
    def cores(self) -> int:
        """The number of the machine's processors."""
        return os.cpu_count() or 1

    def broker_usage(self) -> Usage:
        """Return the CPU time of the broker."""
        return usage_of(self.broker_pid)

    @cached_property
    def broker_pid(self) -> int:
        """The process id of the broker, the only Java process that this process started."""
        return next(int(child.pid) for child in psutil.Process().children() if "java" in child.name())

    def publish_events(self, settings: Settings, events: Iterable[Sent]) -> None:
        """Publish events on their topics, as fast as the broker accepts them."""
        topic = {True: settings.topics.searches, False: settings.topics.clicks}
        self.publish((topic[event.search], event.key, event.value) for event in events)

    def publish(self, records: Iterable[Record]) -> None:
        """Publish records with Kafka's own partitioner, and wait until the broker has them."""
        producer = Producer(producer_options(self.bootstrap_servers) | {"linger.ms": 20})
        for number, (topic, key, value) in enumerate(records):
            producer.produce(topic, value, key)
            if number % 1000 == 0:
                producer.poll(0)
                while len(producer) > QUEUE_MESSAGES:
                    producer.poll(0.1)
        if left := producer.flush(FLUSH_S):
            raise StreamsError(f"broker: required all messages accepted within {FLUSH_S:g} s, got {left} left")


class Counter:
    """A counter of the records of a topic, by the end offsets of its partitions."""

    def __init__(self, stage: Stage, settings: Settings, topic: str) -> None:
        self._consumer = Consumer({"bootstrap.servers": stage.bootstrap_servers, "group.id": "nobody"})
        self._partitions = [TopicPartition(topic, number) for number in range(settings.topics.partitions)]

    def count(self) -> int:
        """Return the number of records that the topic has had."""
        return sum(self._consumer.get_watermark_offsets(each, timeout=10)[1] for each in self._partitions)

    def wait(self, number: int, process: Process, timeout_s: float) -> int:
        """Wait for at least `number` records, and return their number."""
        deadline = time.monotonic() + timeout_s
        while (count := self.count()) < number:
            process.check()
            if time.monotonic() > deadline:
                raise StreamsError(f"required {number} messages within {timeout_s:g} s, got {count}")
            # Kafka does not notify clients of new end offsets: poll until the deadline.
            time.sleep(POLL_S)
        return count


def producer_options(bootstrap_servers: str) -> dict[str, str | int]:
    """Return the options of every producer of the benchmarks: Kafka's own partitioner, and a queue for a backlog."""
    return {
        "bootstrap.servers": bootstrap_servers,
        "partitioner": "murmur2_random",
        "queue.buffering.max.messages": 2 * QUEUE_MESSAGES,
        "queue.buffering.max.kbytes": 1 << 20,
    }
