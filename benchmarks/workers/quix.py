"""Quix Streams instead of Faust. Its clients are C (librdkafka), its state is RocksDB.

Without options, it moves as many bytes as the project's worker and computes nothing. With `pass`, it calls the same
pass for each batch: it gathers events until its checkpoint, which then folds, ranks, writes the profiles and sends the
lists.

It keeps its writes in memory until the checkpoint, and then writes each shopper's profile once to the store and to the
changelog. Until then, its guarantees are weaker.
"""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from quixstreams import Application, State
from quixstreams.sinks import BaseSink

from benchmarks.workers import given_options, given_settings
from benchmarks.workers.one_pass import Event, Pass
from benchmarks.workers.sizes import LIST, updated
from inference import load_bundle
from streams.contracts import serde
from streams.contracts.internal import ItemVector
from streams.profiles.events import Source
from streams.settings import Settings

STATE = "profile"
READ_S, QUIET_S = 60.0, 2.0


def recommend(_value: Any, state: State) -> bytes:
    """Count one event in the shopper's profile and answer the event."""
    state.set_bytes(STATE, updated(state.get_bytes(STATE)))
    return LIST


class Batches(BaseSink):  # type: ignore[misc]  # untyped in part
    """A sink that gathers the events between two checkpoints and processes all of them in one pass."""

    def __init__(self, app: Application, one_pass: Pass, stream_id: str, lists_topic: str) -> None:
        super().__init__()
        self._context = app._processing_context
        self._pass, self._stream_id, self._lists_topic = one_pass, stream_id, lists_topic
        self._waiting: list[tuple[bytes, bytes, int, Source]] = []

    def add(  # the signature of Quix Streams
        self,
        value: Any,
        key: Any,
        timestamp: int,
        headers: Any,  # noqa: ARG002
        topic: str,
        partition: int,
        offset: int,
    ) -> None:
        """Store an event until the checkpoint."""
        self._waiting.append((key, value, partition, Source(topic, partition, offset, timestamp)))

    def flush(self) -> None:
        """Process the gathered events. The checkpoint then commits profiles, lists and offsets."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        transactions = {
            each[2]: self._context.checkpoint.get_store_transaction(self._stream_id, each[2]) for each in waiting
        }
        shoppers = list(dict.fromkeys((key, partition) for key, _, partition, _ in waiting))
        places = {key: place for place, (key, _) in enumerate(shoppers)}
        stored = [transactions[partition].get_bytes(STATE, prefix=key) for key, partition in shoppers]
        events = [
            Event(serde.decode_item_action(key, value), source, places[key], None) for key, value, _, source in waiting
        ]
        passed = self._pass(events, stored)
        for (key, partition), profile in zip(shoppers, passed.profiles, strict=True):
            transactions[partition].set_bytes(STATE, profile, prefix=key)
        for (key, *_), answer in zip(waiting, passed.lists, strict=True):
            self._context.producer.produce(self._lists_topic, answer, key)

    def on_paused(self) -> None:
        """Discard the events that will be read again."""
        self._waiting.clear()


def application(settings: Settings, batch: int) -> Application:
    """Return the application. A checkpoint follows `batch` events, or each commit interval if `batch` is 0."""
    app = Application(
        broker_address=settings.kafka.bootstrap_servers,
        consumer_group=settings.kafka.app_id,
        auto_offset_reset="earliest",
        commit_interval=settings.state.commit_interval_seconds,
        commit_every=batch,
        state_dir=settings.state.data_dir,
        loglevel="WARNING",
    )
    source = app.topic(settings.topics.clicks, key_deserializer="bytes", value_deserializer="bytes")
    lists = app.topic(settings.topics.recommendations, key_serializer="bytes", value_serializer="bytes")
    frame = app.dataframe(source)
    if batch:
        bundle = load_bundle(settings.model.path)
        frame.register_store()
        frame.sink(Batches(app, Pass(settings, bundle, read_catalogue(settings)), frame.stream_id, lists.name))
    else:
        frame.apply(recommend, stateful=True).to_topic(lists)
    return app


def read_catalogue(settings: Settings) -> list[ItemVector]:
    """Read the topic of encoded items to its end."""
    consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "nobody"})
    places = [TopicPartition(settings.topics.item_vectors, number, 0) for number in range(settings.topics.partitions)]
    left = sum(consumer.get_watermark_offsets(place, timeout=READ_S)[1] for place in places)
    consumer.assign(places)
    records, deadline = [], time.monotonic() + READ_S
    while left > 0 and time.monotonic() < deadline:
        for message in consumer.consume(1_000, 0.1):
            records.append(serde.decode_item_vector(message.value()))
            left -= 1
    consumer.close()
    return records


if __name__ == "__main__":
    application(given_settings(), int(given_options().get("pass", 0))).run()
