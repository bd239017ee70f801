"""What the brokers know about topics and groups, and what is said if they refuse a part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import GroupAuthorizationFailedError

from streams.errors import ConfigurationError
from streams.kafka import asset_facts, topics
from streams.kafka.admin import Admin
from streams.kafka.asset_facts import broker_facts
from streams.kafka.clients import client_options
from streams.settings import Settings, load_settings


async def filled(settings: Settings, messages: int) -> str:
    """Create the topics, publish clicks, and read some of them with a group. Return the topic."""
    await topics.create(settings)
    topic = settings.topics.clicks
    producer = AIOKafkaProducer(**client_options(settings.kafka))
    await producer.start()
    for number in range(messages):
        await producer.send_and_wait(topic, b"x" * 100, str(number).encode(), partition=number % 2)
    await producer.stop()
    consumer = AIOKafkaConsumer(
        topic, **client_options(settings.kafka), group_id=f"{topic}-group", auto_offset_reset="earliest",
        enable_auto_commit=False,
    )  # fmt: skip
    await consumer.start()
    first = await consumer.getone()
    await consumer.commit(
        {partition: 1 for partition in consumer.assignment() if partition.partition == first.partition}
    )
    await consumer.stop()
    return topic


async def test_facts_of_topics_and_groups(settings: Settings) -> None:
    topic = await filled(settings, 10)
    facts = await broker_facts(settings.kafka, [topic, settings.topics.items, "no-such-topic"])
    clicks, items = facts.topics[topic], facts.topics[settings.topics.items]
    assert (clicks.partitions, clicks.cleanup, clicks.records, clicks.last_hour) == (2, "delete", 10, 10)
    assert (items.cleanup, items.records, items.first_ms, items.last_ms) == ("compact", 0, None, None)
    assert clicks.size_bytes is not None
    assert clicks.size_bytes > 1000
    assert clicks.retention_ms is not None
    assert clicks.first_ms is not None
    assert clicks.last_ms is not None
    assert clicks.first_ms <= clicks.last_ms
    (group,) = [each for each in facts.groups if each.name == f"{topic}-group"]
    assert (group.lag, group.members) == ({topic: 4}, 0)
    assert facts.unknown == {"missing topics": "no-such-topic"}


def refusing(*_: object) -> Any:
    raise GroupAuthorizationFailedError


def too_old(*_: object) -> Any:
    """Fail as aiokafka does for a request of which the broker knows no version."""
    raise NotImplementedError


async def silent(*_: object) -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(refusing, "the brokers refuse: GroupAuthorizationFailedError"), (too_old, "the brokers are too old to say"),
     (silent, "no answer of the brokers within 0.3 s")],
)  # fmt: skip
async def test_a_part_that_is_missing_has_its_reason_and_the_rest_is_there(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, answer: Callable[..., Any], reason: str
) -> None:
    topic = await filled(settings, 4)

    async def groups(self: Admin) -> list[str]:
        answered = answer()
        if asyncio.iscoroutine(answered):
            await answered
        return []

    monkeypatch.setattr(Admin, "groups", groups)
    if answer is silent:
        monkeypatch.setattr(asset_facts, "PART_S", 0.3)
    facts = await broker_facts(settings.kafka, [topic])
    assert facts.unknown["consumers"] == reason
    assert facts.groups == ()
    assert facts.topics[topic].records == 4


async def test_no_broker_is_an_error(unused_port: int) -> None:
    settings = load_settings({"bootstrap_servers": f"127.0.0.1:{unused_port}"}, env_file=None)
    with pytest.raises(ConfigurationError, match="describing topics"):
        await broker_facts(settings.kafka, ["clicks"])
