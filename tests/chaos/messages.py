"""Faults that are messages: invalid, odd, compressed, in transactions, sent again, misplaced and poisoned ones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from random import Random

from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer

from streams.kafka.topics import changelog_topic
from streams.settings import Settings
from tests.chaos import hostile
from tests.chaos.model import partition_of
from tests.chaos.schedule import Fault
from tests.chaos.shop import Catalogue, Message, Shopper

CODECS = ("gzip", "snappy", "lz4", "zstd")
RESENT, MISPLACED, IN_BATCH = 20, 8, 20
"""Events of one fault."""
GIVES_UP_MS = 120_000
"""Time for a delivery: longer than any absence of Kafka."""


class Publisher:
    """An idempotent producer that is up to the absence of its broker, and counts what Kafka has."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka.bootstrap_servers, enable_idempotence=True, request_timeout_ms=GIVES_UP_MS
        )
        self.sent = 0

    async def start(self) -> None:
        await self._producer.start()

    async def stop(self) -> None:
        await self._producer.stop()

    async def send(self, messages: Iterable[Message]) -> None:
        """Send messages and wait until Kafka has them."""
        await asyncio.gather(*[await self.begin(message) for message in messages])

    async def begin(self, message: Message) -> asyncio.Future[object]:
        """Send a message without waiting for its delivery."""
        delivery: asyncio.Future[object] = await self._producer.send(
            self.topic(message.topic), message.value, message.key, message.partition
        )
        delivery.add_done_callback(self._delivered)
        return delivery

    def topic(self, name: str) -> str:
        """Return the full name of a topic, or of a table's changelog."""
        if name in ("profiles", "pairs"):
            return changelog_topic(self._settings, name)
        return str(getattr(self._settings.topics, name))

    def _delivered(self, delivery: asyncio.Future[object]) -> None:
        self.sent += not delivery.cancelled() and delivery.exception() is None


class MessageFaults:
    """Publishes the messages of faults. Each method returns what it did."""

    def __init__(self, settings: Settings, publisher: Publisher, shoppers: Sequence[Shopper]) -> None:
        self._settings = settings
        self._publisher = publisher
        self._shoppers = shoppers
        self._partitions = settings.topics.partitions

    async def hostile(self, fault: Fault, random: Random) -> str:
        """Send invalid messages of every kind to `clicks` and `items`, and some to `searches`, between valid events."""
        visitor, goods = self._visitor(fault, "hostile"), Catalogue(fault.number)
        messages: list[Message] = []
        for name, change in hostile.INVALID_EVENTS.items():
            key, value = change(visitor.user_id.encode(), visitor.fields("view"))
            messages.append(Message("clicks", key, value, self._some_partition(key, random)))
            if name in hostile.INVALID:
                messages.append(Message("searches", key, value, self._some_partition(key, random)))
            messages.append(visitor.act())
        for change in hostile.INVALID_ITEMS.values():
            item = goods.new(f"hostile-{fault.number}")
            key, value = change(item.key or b"", hostile.decoded(item.value))
            messages.append(Message("items", key, value, self._some_partition(key, random)))
        await self._publisher.send(messages)
        return f"{len(messages)} messages"

    async def odd(self, fault: Fault, random: Random) -> str:
        """Send valid messages at the limits of the contract, each of another visitor."""
        messages = []
        for name, change in hostile.ODD.items():
            visitor = self._visitor(fault, f"odd-{name.replace(' ', '-')}")
            messages.append(Message("clicks", *change(visitor.user_id.encode(), visitor.fields("view"))))
        for number, query in enumerate(hostile.ODD_QUERIES):
            visitor = self._visitor(fault, f"odd-search-{number}")
            messages.append(Message("searches", *visitor.keyed(visitor.fields("search") | {"query": query})))
        await self._publisher.send(random.sample(messages, len(messages)))
        return f"{len(messages)} messages"

    async def codecs(self, fault: Fault, random: Random) -> str:
        """Send batches of events and items compressed by each codec."""
        goods = Catalogue(fault.number)
        for codec in CODECS:
            visitor = self._visitor(fault, codec)
            messages = [visitor.act() for _ in range(IN_BATCH)] + [goods.new(f"{codec}-{fault.number}")]
            await asyncio.to_thread(self._send_compressed, codec, messages)
        return ", ".join(CODECS)

    async def transactions(self, fault: Fault, random: Random) -> str:
        """Write transactions that are committed, aborted, and left open for the fault's time."""
        outcomes = ["committed", "aborted", random.choice(("committed", "aborted"))]
        for number, outcome in enumerate(outcomes):
            visitor, goods = self._visitor(fault, f"{outcome}-{number}"), Catalogue(fault.number)
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.kafka.bootstrap_servers,
                transactional_id=f"chaos-{fault.number}-{number}",
                request_timeout_ms=GIVES_UP_MS,
            )
            async with producer:
                await producer.begin_transaction()
                for message in [visitor.act() for _ in range(5)] + [goods.new(f"{outcome}-{fault.number}")]:
                    await producer.send_and_wait(self._publisher.topic(message.topic), message.value, message.key)
                if number == len(outcomes) - 1:
                    await asyncio.sleep(fault.seconds)
                if outcome == "committed":
                    await producer.commit_transaction()
                else:
                    await producer.abort_transaction()
        return ", ".join(outcomes)

    async def resend(self, fault: Fault, random: Random) -> str:
        """Send the last events of some shoppers again, once or twice."""
        acted = [shopper.last for shopper in self._shoppers if shopper.last is not None]
        chosen = random.sample(acted, min(RESENT, len(acted)))
        messages = [each for each in chosen for _ in range(random.choice((1, 2)))]
        await self._publisher.send(messages)
        return f"{len(messages)} messages"

    async def misplaced(self, fault: Fault, random: Random) -> str:
        """Send events and a new item to another partition than their key's."""
        messages = [self._visitor(fault, f"misplaced-{number}").act() for number in range(MISPLACED)]
        messages += [shopper.act() for shopper in random.sample(list(self._shoppers), MISPLACED)]
        messages.append(Catalogue(fault.number).new(f"misplaced-{fault.number}"))
        await self._publisher.send(message._replace(partition=self._wrong(message, random)) for message in messages)
        return f"{len(messages)} messages"

    async def poison(self, fault: Fault, random: Random) -> str:
        """Send records that no version writes to all internal topics."""
        records = [Message(*record, partition=0) for record in hostile.POISON]
        await self._publisher.send(random.sample(records, len(records)))
        return f"{len(records)} records"

    def _visitor(self, fault: Fault, name: str) -> Shopper:
        """Return a shopper who exists during this fault only."""
        return Shopper(f"{name}-{fault.number}", fault.number, datetime.now(UTC), 1.0)

    def _some_partition(self, key: bytes | None, random: Random) -> int:
        """Return a key's partition: an invalid message in another one would be two faults at once."""
        return partition_of(key, self._partitions) if key else random.randrange(self._partitions)

    def _wrong(self, message: Message, random: Random) -> int:
        own = partition_of(message.key or b"", self._partitions)
        return (own + random.randrange(1, self._partitions)) % self._partitions

    def _send_compressed(self, codec: str, messages: Sequence[Message]) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self._settings.kafka.bootstrap_servers,
                "compression.type": codec,
                "linger.ms": 200,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "log_level": 0,
            }
        )
        for message in messages:
            producer.produce(self._publisher.topic(message.topic), message.value, message.key)
        producer.flush(GIVES_UP_MS / 1000)
