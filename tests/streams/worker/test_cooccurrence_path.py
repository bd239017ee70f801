"""Item transitions are acknowledged after their results are published. The next owner publishes pending ones again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from aiokafka.errors import KafkaTimeoutError

from inference.types import stable_key
from streams.contracts import serde
from streams.errors import OwnershipLost
from tests.streams.behaviour.items import fold
from tests.streams.shoppers import NOW_MS
from tests.streams.worker.cooccurrence_harness import (
    CHANGELOG,
    DEAD_LETTERS,
    FULL,
    FUTURE_MS,
    PUBLISHED,
    RULES,
    Harness,
    harness,
    idle,
    item_transition,
    message,
)

__all__ = ["harness"]


async def test_a_message_is_acknowledged_after_changelog_and_neighbours_are_delivered(harness: Harness) -> None:
    await harness.process(message(0))
    publishing = asyncio.create_task(harness.path.publish())
    await idle()
    ((changelog,), (published,)) = harness.producer.on(CHANGELOG), harness.producer.on(PUBLISHED)
    for delivery in (published, changelog):
        assert harness.acknowledged == []
        delivery.complete()
        await idle()
    assert harness.acknowledged == [(0, 0)]
    await publishing
    assert changelog.messages == [(b"boots", fold(None, item_transition(0), RULES))]
    assert harness.published[0].key == stable_key("boots")
    assert harness.published[0].before == {1: 1.0}


async def test_an_item_is_published_once_an_interval_in_its_latest_state(harness: Harness) -> None:
    harness.producer.immediate = True
    for offset in range(2):
        await harness.process(message(offset))
    await harness.process(message(2, "socks", partition=1))
    await harness.path.publish()
    assert [each.key for each in harness.published] == [stable_key("boots"), stable_key("socks")]
    assert [each.weight for each in harness.published] == pytest.approx([2.0, 1.0])
    assert [delivery.partition for delivery in harness.producer.on(PUBLISHED)] == [0, 1]
    assert harness.acknowledged == [(0, 0), (0, 1), (1, 2)]


async def test_a_message_updates_all_its_items(harness: Harness) -> None:
    harness.producer.immediate = True
    await harness.process(message(0, "boots", "socks"))
    await harness.process(message(1, "boots"))
    await harness.path.publish()
    assert {each.key: each.weight for each in harness.published} == {
        stable_key("boots"): pytest.approx(2.0),
        stable_key("socks"): pytest.approx(1.0),
    }
    assert harness.acknowledged == [(0, 0), (0, 1)]
    # The same message again, as after a crash: nothing is counted twice, and both items are published.
    await harness.process(message(0, "boots", "socks"))
    await harness.path.publish()
    assert [each.weight for each in harness.published[2:]] == pytest.approx([2.0, 1.0])
    assert (harness.counted("ok"), harness.counted("replayed")) == (2, 1)


async def test_a_replayed_message_is_published_again(harness: Harness) -> None:
    # The worker crashed after the write to the store and before the deliveries.
    harness.producer.immediate = True
    harness.table.put_many(0, [(b"boots", fold(None, item_transition(0), RULES))])
    await harness.process(message(0))
    await harness.path.publish()
    assert [each.weight for each in harness.published] == [pytest.approx(1.0)]
    assert harness.producer.on(CHANGELOG)[0].messages == [(b"boots", *harness.table.read_many(0, [b"boots"]))]
    assert harness.acknowledged == [(0, 0)]
    assert (harness.counted("ok"), harness.counted("replayed")) == (0, 1)


async def test_a_message_during_publication_is_published_by_the_next_one(harness: Harness) -> None:
    await harness.process(message(0))
    first = asyncio.create_task(harness.path.publish())
    await idle()
    await harness.process(message(1))
    second = asyncio.create_task(harness.path.publish())
    await idle()
    assert [each.weight for each in harness.published] == [pytest.approx(1.0)]
    harness.producer.complete()
    await first
    assert harness.acknowledged == [(0, 0)]
    await idle()
    harness.producer.complete()
    await second
    assert [each.weight for each in harness.published] == [pytest.approx(1.0), pytest.approx(2.0)]
    assert harness.acknowledged == [(0, 0), (0, 1)]


async def test_a_full_checkpoint_is_published_before_the_interval_ends(harness: Harness) -> None:
    for offset in range(FULL):
        assert harness.producer.deliveries == []
        await harness.process(message(offset))
    await idle()
    harness.producer.complete()
    await idle()
    assert harness.acknowledged == [(0, offset) for offset in range(FULL)]


async def test_a_backlog_larger_than_the_checkpoint_is_processed_in_order(harness: Harness) -> None:
    harness.producer.immediate = True
    running = asyncio.create_task(harness.path.run())
    for offset in range(20 * FULL):
        await harness.path.checkpoint.put(message(offset, f"item-{offset % 7}"))
    assert await harness.path.drain(10)
    running.cancel()
    assert harness.acknowledged == [(0, offset) for offset in range(20 * FULL)]


async def test_drain_publishes_at_once_including_new_messages(harness: Harness) -> None:
    await harness.process(message(0))
    draining = asyncio.create_task(harness.path.drain(10))
    await idle()
    await harness.process(message(1))
    for _ in range(2):
        assert not draining.done()
        harness.producer.complete()
        await idle()
    assert await draining
    assert harness.acknowledged == [(0, 0), (0, 1)]


async def test_drain_returns_false_after_its_timeout(harness: Harness) -> None:
    await harness.process(message(0))
    assert not await harness.path.drain(0.01)
    assert harness.acknowledged == []
    harness.producer.complete()
    await idle()


@pytest.mark.parametrize("topic", [CHANGELOG, PUBLISHED])
async def test_a_failed_delivery_crashes_the_worker_and_acknowledges_nothing(harness: Harness, topic: str) -> None:
    await harness.process(message(0))
    draining = asyncio.create_task(harness.path.drain(0.05))
    await idle()
    for delivery in list(harness.producer.deliveries):
        if delivery.topic == topic:
            delivery.fail(KafkaTimeoutError())
        else:
            delivery.complete()
    assert not await draining
    assert [type(error) for error in harness.crashes] == [KafkaTimeoutError]
    assert harness.acknowledged == []


@pytest.mark.parametrize(
    "value",
    [
        b"\xc1",
        b"",
        serde.encode_msgpack([item_transition(1, "")]),
        serde.encode_msgpack([item_transition(0), msgspec.structs.replace(item_transition(1), before={-1: 1.0})]),
        serde.encode_msgpack([msgspec.structs.replace(item_transition(1), at_ms=2**63)]),
        serde.encode_msgpack([msgspec.structs.replace(item_transition(1), at_ms=FUTURE_MS)]),
        serde.encode_msgpack([item_transition(1), msgspec.structs.replace(item_transition(2), timestamp_ms=FUTURE_MS)]),
        serde.encode_msgpack([msgspec.structs.replace(item_transition(1), query="x" * 1001)]),
        serde.encode_msgpack([msgspec.structs.replace(item_transition(1), before=dict.fromkeys(range(1001), 1.0))]),
    ],
)
async def test_an_invalid_message_becomes_a_dead_letter_and_is_acknowledged_in_order(
    harness: Harness, value: bytes
) -> None:
    await harness.process(message(0))
    await harness.process(message(1, value=value))
    (letter,) = harness.producer.on(DEAD_LETTERS)
    letter.complete()
    await idle()
    assert harness.acknowledged == []
    harness.producer.immediate = True
    await harness.path.publish()
    assert harness.acknowledged == [(0, 0), (0, 1)]
    assert harness.counted("invalid") == 1


async def test_only_items_with_an_unreadable_state_are_learned_anew(harness: Harness) -> None:
    harness.producer.immediate = True
    for offset in range(3):
        await harness.process(message(offset, "boots", "socks", "hat"))
    harness.table.put_many(0, [(b"socks", b"no state")])
    await harness.process(message(3, "boots", "socks", "socks", "hat"), message(4, "new", "boots"))
    await harness.path.publish()
    assert {each.key: each.weight for each in harness.published} == {
        stable_key(item): pytest.approx(weight) for item, weight in (("boots", 5), ("socks", 1), ("hat", 4), ("new", 1))
    }
    assert harness.metrics.registry.get_sample_value("intentstream_learned_anew_total") == 1


async def test_numbers_at_the_bounds_of_the_contract_are_counted(harness: Harness) -> None:
    harness.producer.immediate = True
    extremes = [
        msgspec.structs.replace(
            item_transition(offset),
            at_ms=at_ms,
            weight=weight,
            before={0: 1e6, 2**64 - 1: 0.0},
            query="",
            timestamp_ms=-(2**61),
        )
        for offset, (at_ms, weight) in enumerate([(-(2**61), 1e6), (NOW_MS, 0.0), (0, 1e-300), (NOW_MS, 1e6)])
    ]
    await harness.process(message(0, value=serde.encode_msgpack(extremes)), message(1, value=b"\x90"))
    await harness.path.publish()
    (published,) = harness.published
    assert published.as_of_ms == NOW_MS
    assert published.weight == pytest.approx(1e6)
    assert harness.crashes == []


async def test_an_unreadable_state_is_learned_anew(harness: Harness) -> None:
    harness.producer.immediate = True
    harness.table.put_many(0, [(b"boots", b"no state")])
    await harness.process(message(5))
    await harness.path.publish()
    assert [each.weight for each in harness.published] == [pytest.approx(1.0)]
    assert harness.metrics.registry.get_sample_value("intentstream_learned_anew_total") == 1
    assert harness.crashes == []


async def test_dropped_messages_and_their_states_are_never_published(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    await harness.process(message(0))
    publishing = asyncio.create_task(harness.path.publish())
    await asyncio.sleep(0.01)
    for each in harness.producer.deliveries:
        each.fail(OwnershipLost("gone"))
    with pytest.raises(OwnershipLost):
        await publishing
    await harness.process(message(1, "bag"))
    await harness.path.drop()
    harness.producer.deliveries.clear()
    harness.producer.immediate = True
    await harness.path.publish()
    assert (harness.producer.deliveries, harness.acknowledged, harness.crashes) == ([], [], [])
    await harness.process(message(1, "bag"))
    await harness.path.publish()
    assert harness.acknowledged == [(0, 1)]
