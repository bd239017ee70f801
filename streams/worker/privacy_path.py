"""The path of requests to forget a shopper: deletes what is kept about the shopper, then publishes a receipt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from faust.types import Message

from inference.records import SESSION_BITS
from streams.contracts import serde
from streams.contracts.messages import ForgetReceipt
from streams.errors import InvalidEvent, OwnershipLost
from streams.kafka.producer import partition_of
from streams.protection import Pseudonyms
from streams.settings import Settings
from streams.worker.checkpoint import Batch, Checkpoint
from streams.worker.delivery import Delivered, Delivery, timestamp_ms
from streams.worker.event_path import EventPath
from streams.worker.transition_path import PARTITION, TransitionPath

AT_ONCE = 64
"""Most requests that are processed together."""


class Request(NamedTuple):
    """Request to forget a shopper, with its position in Kafka. `key` is the shopper's key."""

    message: Message
    request_id: str
    user_id: str
    key: int


@dataclass(slots=True, kw_only=True)
class PrivacyPath:
    """Path of `privacy`. A request is acknowledged after the brokers have its receipt, so none is lost.

    After a failure a request may be processed again. It then also deletes what came since the first time.

    Attributes:
        sessions_of: returns the keys of the published sessions of shoppers, given by their keys.
    """

    settings: Settings
    events: EventPath
    transitions: TransitionPath
    checkpoint: Checkpoint[Message]
    delivery: Delivery
    sessions_of: Callable[[Collection[int]], Awaitable[list[int]]] = field(init=False)

    async def run(self) -> None:
        """Process requests as they arrive, until cancelled."""
        while True:
            batch = await self.checkpoint.take(AT_ONCE)
            with suppress(OwnershipLost):  # the next owner of the partition reads the requests
                await self.process(batch)

    def drop(self) -> None:
        """Forget all requests: the partitions have gone to another worker."""
        self.checkpoint.drop()

    async def process(self, batch: Batch[Message]) -> None:
        """Delete what is kept about the shoppers of a batch of requests, and publish the receipts."""
        requests: list[Request] = []
        deliveries: list[Delivered] = []
        for message in batch.messages:
            try:
                requests.append(_request(message, self.events.profiles.pseudonyms))
            except InvalidEvent as refusal:
                deliveries.append(await self.delivery.refuse(message, refusal))
        if requests:
            deliveries += await self._forget(requests)
        await asyncio.gather(*deliveries)
        self.checkpoint.finish(batch)

    async def _forget(self, requests: Sequence[Request]) -> list[Delivered]:
        # The order matters. First the event path learns of the requests: no older event begins a new profile. Then the
        # profiles go, between two batches of events. Then nothing of these shoppers waits to be published any more, so
        # all their sessions are on the topic and can be found and deleted.
        for request in requests:
            self.events.forgotten.note(request.message.key, timestamp_ms(request.message))
        existed = await self.events.remove([request.message for request in requests])
        keys = [(request.message.partition, request.key) for request in requests]
        unpublished = await self.transitions.forget(keys)
        sessions = await self.sessions_of([request.key for request in requests])
        tombstones = [(serde.session_record_key(key), None) for key in sessions]
        await asyncio.gather(*await self.delivery.send_all(self.settings.topics.sessions, PARTITION, tombstones))
        # A session's key begins with its shopper's, so its first bits say whose it is.
        hashes = [key >> SESSION_BITS for key in sessions]
        deliveries: list[Delivered] = []
        for request, profile in zip(requests, existed, strict=True):
            message, topics = request.message, self.settings.topics
            partition = partition_of(message.key, topics.partitions)
            if partition != message.partition:
                # Another partitioner chose this partition. The owner of the right one has the profile, and answers.
                record = (message.key, message.value)
                deliveries += await self.delivery.send_all(topics.privacy, partition, [record])
                continue
            receipt = ForgetReceipt(
                request_id=request.request_id,
                user_id=request.user_id,
                partition=partition,
                offset=message.offset,
                profile=profile,
                sessions=hashes.count(request.key >> SESSION_BITS),
                unpublished=unpublished[partition, request.key],
                requested_at=datetime.fromtimestamp(message.timestamp, UTC),
                completed_at=datetime.now(UTC),
            )
            record = (message.key, serde.encode_json(receipt))
            deliveries += await self.delivery.send_all(topics.privacy_receipts, partition, [record])
        return deliveries


def _request(message: Message, pseudonyms: Pseudonyms) -> Request:
    """Decode a request. Raises InvalidEvent."""
    request = serde.decode_forget(message.key, message.value)
    if request is None:
        user_id: str = message.key.decode()
        request_id = f"{message.topic}/{message.partition}/{message.offset}"
        return Request(message, request_id, user_id, pseudonyms.key(user_id))
    return Request(message, request.request_id, request.user_id, pseudonyms.key(request.user_id))
