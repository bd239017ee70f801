"""Helpers for the tests of the worker's paths: Faust's messages, and a table in memory."""

from __future__ import annotations

from collections.abc import Sequence

from faust.types import TP, Message

from streams.contracts import serde
from streams.contracts.messages import Interaction, Search
from streams.worker.delivery import Delivered
from tests.streams.brokers import ScriptedProducer
from tests.streams.shoppers import NOW_MS

CHANGELOG = "profiles-changelog"


def message(
    topic: str, key: bytes | None, value: bytes | None, offset: int = 0, partition: int = 0, at_ms: int = NOW_MS
) -> Message:
    """Make a message of a partition that Kafka took at `at_ms`."""
    return Message(
        topic,
        partition,
        offset,
        timestamp=at_ms / 1000,
        timestamp_type=1,
        headers=None,
        key=key,
        value=value,
        checksum=None,
        tp=TP(topic, partition),
    )


def message_of(event: Interaction, offset: int = 0, partition: int = 0) -> Message:
    """Make the message of an interaction."""
    topic = "searches" if isinstance(event, Search) else "clicks"
    at_ms = int(event.occurred_at.timestamp() * 1000)
    return message(topic, event.user_id.encode(), serde.encode_json(event), offset, partition, at_ms)


class MemoryTable:
    """Stands in for a `StateTable`: what is stored, what was read, and a changelog on scripted brokers."""

    def __init__(self, producer: ScriptedProducer) -> None:
        self.stored: dict[tuple[int, bytes], bytes] = {}
        self.reads: list[tuple[int, bytes]] = []
        self._producer = producer

    def read_many(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        self.reads += [(partition, key) for key in keys]
        return [self.stored.get((partition, key)) for key in keys]

    def put_many(self, partition: int, values: Sequence[tuple[bytes, bytes]]) -> None:
        self.stored.update({(partition, key): value for key, value in values})

    async def log_many(self, partition: int, values: Sequence[tuple[bytes, bytes]]) -> list[Delivered]:
        return [each.delivered for each in await self._producer.send_all(CHANGELOG, partition, values)]
