"""Item transitions are acknowledged after their results are published. The next owner publishes pending ones again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import faust
import msgspec
import pytest
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP, Message
from rocksdict import Cache

from inference.types import ItemNeighbours, stable_key
from streams.behaviour.cooccurrence import CooccurrenceRules
from streams.contracts import serde
from streams.contracts.messages import ItemTransition
from streams.kafka.producer import BatchProducer
from streams.metrics import Metrics
from streams.state.rocksdb import StoreOptions
from streams.state.table import StateTable
from streams.worker.checkpoint import Checkpoint
from streams.worker.cooccurrence_path import CooccurrencePath
from streams.worker.delivery import Delivery
from tests.streams.behaviour.items import fold
from tests.streams.brokers import ScriptedProducer
from tests.streams.shoppers import NOW_MS

CHANGELOG, PUBLISHED, COOCCURRENCE, REFUSED = "shop-pairs-changelog", "item-neighbours", "item-pairs", "dead-letters"
FULL = 4
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
    """Make a message with a transition to each of the items, else to one."""
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


class Bench:
    """A path with a real table, brokers on a script, and what it acknowledged and died of."""

    def __init__(self, directory: Path, *, prompt: bool = False) -> None:
        self.producer = ScriptedProducer(prompt=prompt)
        self.acknowledged: list[tuple[int, int]] = []
        self.crashes: list[BaseException] = []
        self.metrics = Metrics()
        app = faust.App("shop", store="memory://", datadir=str(directory / "faust"))
        producer = cast("BatchProducer", self.producer)
        options = StoreOptions(directory / "pairs", Cache(1 << 20), 1 << 20)
        self.table = StateTable(app, name="pairs", partitions=2, options=options, producer=producer)
        self.path = CooccurrencePath(
            table=self.table,
            rules=RULES,
            delivery=Delivery(producer, self.metrics, REFUSED),
            checkpoint=Checkpoint(2 * FULL, acknowledge=self._acknowledge, on_error=self.crashes.append),
            metrics=self.metrics,
            item_neighbours_topic=PUBLISHED,
            full=FULL,
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
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.table.data.stop()


async def idle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_message_is_acknowledged_when_changelog_and_broadcast_are_with_the_brokers(bench: Bench) -> None:
    await bench.process(message(0))
    publishing = asyncio.create_task(bench.path.publish())
    await idle()
    ((changelog,), (published,)) = bench.producer.on(CHANGELOG), bench.producer.on(PUBLISHED)
    for delivery in (published, changelog):
        assert bench.acknowledged == []
        delivery.arrive()
        await idle()
    assert bench.acknowledged == [(0, 0)]
    await publishing
    assert changelog.messages == [(b"boots", fold(None, item_transition(0), RULES))]
    assert bench.published[0].key == stable_key("boots")
    assert bench.published[0].before == {1: 1.0}


async def test_an_item_is_published_once_an_interval_as_it_is_by_then(bench: Bench) -> None:
    bench.producer.prompt = True
    for offset in range(2):
        await bench.process(message(offset))
    await bench.process(message(2, "socks", partition=1))
    await bench.path.publish()
    assert [each.key for each in bench.published] == [stable_key("boots"), stable_key("socks")]
    assert [each.weight for each in bench.published] == pytest.approx([2.0, 1.0])
    assert [delivery.partition for delivery in bench.producer.on(PUBLISHED)] == [0, 1]
    assert bench.acknowledged == [(0, 0), (0, 1), (1, 2)]


async def test_a_message_changes_every_item_that_it_names(bench: Bench) -> None:
    bench.producer.prompt = True
    await bench.process(message(0, "boots", "socks"))
    await bench.process(message(1, "boots"))
    await bench.path.publish()
    assert {each.key: each.weight for each in bench.published} == {
        stable_key("boots"): pytest.approx(2.0),
        stable_key("socks"): pytest.approx(1.0),
    }
    assert bench.acknowledged == [(0, 0), (0, 1)]
    # Read once more, as after a crash: nothing counts twice, and everything is published.
    await bench.process(message(0, "boots", "socks"))
    await bench.path.publish()
    assert [each.weight for each in bench.published[2:]] == pytest.approx([2.0, 1.0])
    assert (bench.counted("ok"), bench.counted("replayed")) == (2, 1)


async def test_what_its_state_holds_already_is_published_again(bench: Bench) -> None:
    # As after a crash between the write to the store and the deliveries.
    bench.producer.prompt = True
    bench.table.put_many(0, [(b"boots", fold(None, item_transition(0), RULES))])
    await bench.process(message(0))
    await bench.path.publish()
    assert [each.weight for each in bench.published] == [pytest.approx(1.0)]
    assert bench.producer.on(CHANGELOG)[0].messages == [(b"boots", *bench.table.read_many(0, [b"boots"]))]
    assert bench.acknowledged == [(0, 0)]
    assert (bench.counted("ok"), bench.counted("replayed")) == (0, 1)


async def test_what_comes_while_it_is_published_is_published_after_it(bench: Bench) -> None:
    await bench.process(message(0))
    first = asyncio.create_task(bench.path.publish())
    await idle()
    await bench.process(message(1))
    second = asyncio.create_task(bench.path.publish())
    await idle()
    assert [each.weight for each in bench.published] == [pytest.approx(1.0)]
    bench.producer.arrive()
    await first
    assert bench.acknowledged == [(0, 0)]
    await idle()
    bench.producer.arrive()
    await second
    assert [each.weight for each in bench.published] == [pytest.approx(1.0), pytest.approx(2.0)]
    assert bench.acknowledged == [(0, 0), (0, 1)]


async def test_a_full_window_does_not_wait_for_the_interval(bench: Bench) -> None:
    for offset in range(FULL):
        assert bench.producer.deliveries == []
        await bench.process(message(offset))
    await idle()
    bench.producer.arrive()
    await idle()
    assert bench.acknowledged == [(0, offset) for offset in range(FULL)]


async def test_a_long_backlog_flows_through_the_window(bench: Bench) -> None:
    bench.producer.prompt = True
    running = asyncio.create_task(bench.path.run())
    for offset in range(20 * FULL):
        await bench.path.checkpoint.put(message(offset, f"item-{offset % 7}"))
    assert await bench.path.drain(10)
    running.cancel()
    assert bench.acknowledged == [(0, offset) for offset in range(20 * FULL)]


async def test_drain_publishes_at_once_also_what_comes_meanwhile(bench: Bench) -> None:
    await bench.process(message(0))
    draining = asyncio.create_task(bench.path.drain(10))
    await idle()
    await bench.process(message(1))
    for _ in range(2):
        assert not draining.done()
        bench.producer.arrive()
        await idle()
    assert await draining
    assert bench.acknowledged == [(0, 0), (0, 1)]


async def test_drain_says_when_the_brokers_did_not_take_it_in_time(bench: Bench) -> None:
    await bench.process(message(0))
    assert not await bench.path.drain(0.01)
    assert bench.acknowledged == []
    bench.producer.arrive()
    await idle()


@pytest.mark.parametrize("topic", [CHANGELOG, PUBLISHED])
async def test_a_delivery_that_fails_ends_the_worker_and_acknowledges_nothing(bench: Bench, topic: str) -> None:
    await bench.process(message(0))
    draining = asyncio.create_task(bench.path.drain(0.05))
    await idle()
    for delivery in list(bench.producer.deliveries):
        if delivery.topic == topic:
            delivery.fail(KafkaTimeoutError())
        else:
            delivery.arrive()
    assert not await draining
    assert [type(error) for error in bench.crashes] == [KafkaTimeoutError]
    assert bench.acknowledged == []


@pytest.mark.parametrize(
    "value",
    [
        b"\xc1",
        b"",
        serde.encode_msgpack([item_transition(1, "")]),
        serde.encode_msgpack([item_transition(0), msgspec.structs.replace(item_transition(1), before={-1: 1.0})]),
        serde.encode_msgpack([msgspec.structs.replace(item_transition(1), at_ms=2**63)]),
    ],
)
async def test_what_is_no_approach_is_refused_in_its_turn(bench: Bench, value: bytes) -> None:
    await bench.process(message(0))
    await bench.process(message(1, value=value))
    (letter,) = bench.producer.on(REFUSED)
    letter.arrive()
    await idle()
    assert bench.acknowledged == []
    bench.producer.prompt = True
    await bench.path.publish()
    assert bench.acknowledged == [(0, 0), (0, 1)]
    assert bench.counted("invalid") == 1


async def test_of_many_items_only_the_one_that_cannot_be_read_is_learned_anew(bench: Bench) -> None:
    bench.producer.prompt = True
    for offset in range(3):
        await bench.process(message(offset, "boots", "socks", "hat"))
    bench.table.put_many(0, [(b"socks", b"no state")])
    await bench.process(message(3, "boots", "socks", "socks", "hat"), message(4, "new", "boots"))
    await bench.path.publish()
    assert {each.key: each.weight for each in bench.published} == {
        stable_key(item): pytest.approx(weight) for item, weight in (("boots", 5), ("socks", 1), ("hat", 4), ("new", 1))
    }
    assert bench.metrics.registry.get_sample_value("intentstream_learned_anew_total") == 1


async def test_numbers_at_their_bounds_are_counted(bench: Bench) -> None:
    bench.producer.prompt = True
    extremes = [
        msgspec.structs.replace(
            item_transition(offset),
            at_ms=at_ms,
            weight=weight,
            before={0: 1e6, 2**64 - 1: 0.0},
            query="",
            timestamp_ms=-at_ms,
        )
        for offset, (at_ms, weight) in enumerate([(-(2**61), 1e6), (2**61, 0.0), (0, 1e-300), (2**61, 1e6)])
    ]
    await bench.process(message(0, value=serde.encode_msgpack(extremes)), message(1, value=b"\x90"))
    await bench.path.publish()
    (published,) = bench.published
    assert published.as_of_ms == 2**61
    assert published.weight == pytest.approx(1e6)
    assert bench.crashes == []


async def test_a_state_that_cannot_be_read_is_learned_anew(bench: Bench) -> None:
    bench.producer.prompt = True
    bench.table.put_many(0, [(b"boots", b"no state")])
    await bench.process(message(5))
    await bench.path.publish()
    assert [each.weight for each in bench.published] == [pytest.approx(1.0)]
    assert bench.metrics.registry.get_sample_value("intentstream_learned_anew_total") == 1
    assert bench.crashes == []
