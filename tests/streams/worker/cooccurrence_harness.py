"""A `CooccurrencePath` with a fake producer and a real table, and its messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import faust
import pytest
from faust.types import TP, Message
from rocksdict import Cache

from inference.types import ItemNeighbours
from streams.behaviour.cooccurrence import CooccurrenceRules
from streams.contracts import serde
from streams.contracts.internal import ItemTransition
from streams.kafka.producer import BatchProducer
from streams.metrics import Metrics
from streams.state.rocksdb import StoreOptions
from streams.state.table import StateTable
from streams.worker.checkpoint import Checkpoint
from streams.worker.cooccurrence_path import CooccurrencePath
from streams.worker.delivery import Delivery
from tests.streams.fakes import FakeProducer
from tests.streams.shoppers import NOW_MS

CHANGELOG, PUBLISHED, COOCCURRENCE, DEAD_LETTERS = (
    "shop-pairs-changelog",
    "item-neighbours",
    "item-pairs",
    "dead-letters",
)
FULL = 4
FUTURE_MS = 4_000_000_000_000
"""A time in 2096, which no worker writes today."""
RULES = CooccurrenceRules()


def item_transition(number: int, item_id: str = "boots") -> ItemTransition:
    return ItemTransition(
        item_id=item_id,
        at_ms=NOW_MS + number,
        weight=1.0,
        before={number + 1: 1.0},
        query=None,
        topic="clicks",
        partition=0,
        offset=number,
        timestamp_ms=NOW_MS + number,
    )


def message(offset: int, *items: str, value: bytes | None = None, partition: int = 0) -> Message:
    """Return a message with a transition to each of the items, by default to one item."""
    value = (
        serde.encode_msgpack([item_transition(offset, item) for item in items or ["boots"]]) if value is None else value
    )
    return Message(
        COOCCURRENCE,
        partition,
        offset,
        timestamp=0.0,
        timestamp_type=0,
        headers=None,
        key=None,
        value=value,
        checksum=None,
        tp=TP(COOCCURRENCE, partition),
    )


class Harness:
    """A `CooccurrencePath` with a real table and a fake producer. It records acknowledgements and crashes."""

    def __init__(self, directory: Path, *, immediate: bool = False) -> None:
        self.producer = FakeProducer(immediate=immediate)
        self.acknowledged: list[tuple[int, int]] = []
        self.crashes: list[BaseException] = []
        self.metrics = Metrics()
        app = faust.App("shop", store="memory://", datadir=str(directory / "faust"))
        producer = cast("BatchProducer", self.producer)
        options = StoreOptions(directory / "pairs", Cache(1 << 20), 1 << 20, damaged=int)
        self.table = StateTable(app, name="pairs", partitions=2, options=options, producer=producer)
        self.path = CooccurrencePath(
            table=self.table,
            rules=RULES,
            delivery=Delivery(producer, self.metrics, DEAD_LETTERS),
            checkpoint=Checkpoint(2 * FULL, acknowledge=self._acknowledge, on_error=self.crashes.append),
            metrics=self.metrics,
            item_neighbours_topic=PUBLISHED,
            full=FULL,
            max_clock_skew_ms=300_000.0,
            crash=self.crashes.append,
        )

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        self.acknowledged += [(message.partition, message.offset) for message in messages]

    async def process(self, *messages: Message) -> None:
        """Process messages as one batch."""
        for message in messages:
            await self.path.checkpoint.put(message)
        await self.path.process(await self.path.checkpoint.take(len(messages)))

    @property
    def published(self) -> list[ItemNeighbours]:
        return [serde.decode_neighbours(value) for each in self.producer.on(PUBLISHED) for _, value in each.messages]

    def counted(self, outcome: str) -> float:
        value = self.metrics.registry.get_sample_value
        return value("intentstream_events_total", {"topic": COOCCURRENCE, "outcome": outcome}) or 0


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    harness = Harness(tmp_path)
    yield harness
    await harness.table.data.stop()


async def idle() -> None:
    """Run all tasks that are ready."""
    for _ in range(20):
        await asyncio.sleep(0)
