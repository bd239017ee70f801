"""Events and items for Kafka, from shops without a Kafka client: the contract and the partitions of the topics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from aiokafka.errors import KafkaError

from streams.contracts import serde
from streams.contracts.messages import PRODUCER_HEADER, Fault, Search
from streams.errors import InvalidEvent, OwnershipLost
from streams.http.messages import EntryProblem, Position
from streams.http.problems import Refused, unavailable
from streams.kafka.producer import LARGEST_MESSAGE, BatchProducer, Copy, partition_of
from streams.settings_groups import Topics


class Message(NamedTuple):
    """A valid message: its topic, its key, the id of the entry and its bytes as they came."""

    topic: str
    key: str
    entry_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes entries of requests: all of a request's, or none if one breaks the contract."""

    producer: BatchProducer
    topics: Topics

    async def events(self, entries: Sequence[bytes], source: str) -> tuple[Position, ...]:
        """Publish interactions of a producer with the name `source`. Raises Refused."""
        return await self._publish(entries, self._event, source)

    async def items(self, entries: Sequence[bytes], source: str) -> tuple[Position, ...]:
        """Publish items of a producer with the name `source`. Raises Refused."""
        return await self._publish(entries, self._item, source)

    def _event(self, entry: bytes) -> Message:
        event = serde.parse_interaction(entry)
        topic = self.topics.searches if isinstance(event, Search) else self.topics.clicks
        return Message(topic, event.user_id, event.event_id, entry)

    def _item(self, entry: bytes) -> Message:
        item = serde.parse_item(entry)
        return Message(self.topics.items, item.item_id, item.item_id, entry)

    async def _publish(
        self, entries: Sequence[bytes], read: Callable[[bytes], Message], source: str
    ) -> tuple[Position, ...]:
        messages, problems = list[Message](), list[EntryProblem]()
        for index, entry in enumerate(entries):
            try:
                messages.append(read(_sendable(entry)))
            except InvalidEvent as error:
                faults = tuple(
                    Fault(reason=each.reason, where=each.where, detail=each.detail) for each in (error, *error.others)
                )
                problems.append(EntryProblem(index=index, faults=faults))
        if problems:
            detail = f"{len(problems):,} of {len(entries):,} entries break the contract; nothing is published"
            raise Refused(HTTPStatus.BAD_REQUEST, "invalid-entries", detail, errors=tuple(problems))
        return await self._deliver(messages, source)

    async def _deliver(self, messages: Sequence[Message], source: str) -> tuple[Position, ...]:
        headers = [(PRODUCER_HEADER, source.encode())]
        try:
            # All are handed to the producer before the first confirmation is awaited, so they share record batches.
            sent = [
                await self.producer.send_copy(
                    Copy(
                        message.topic,
                        partition_of(key := message.key.encode(), self.topics.partitions),
                        key,
                        message.value,
                        headers,
                        None,
                    )
                )
                for message in messages
            ]
            delivered = await asyncio.gather(*sent)
        except (KafkaError, OwnershipLost) as error:
            raise unavailable(
                "not-delivered",
                f"the brokers did not take all entries ({type(error).__name__}): send them again with the same ids, "
                "each counts once",
            ) from None
        return tuple(
            Position(id=message.entry_id, topic=message.topic, partition=record.partition, offset=record.offset)
            for message, record in zip(messages, delivered, strict=True)
        )


def _sendable(entry: bytes) -> bytes:
    """Return an entry that the brokers take. Raises InvalidEvent if it is too large."""
    if len(entry) > LARGEST_MESSAGE:
        detail = f"required at most {LARGEST_MESSAGE:,} bytes, got {len(entry):,}"
        raise InvalidEvent("out_of_range", "$", detail)
    return entry
