"""Topics that are recreated while a worker runs, brokers that refuse, and starts that fail."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from inference.bundle import Bundle
from inference.types import stable_key
from streams.contracts.messages import Interaction, Search
from streams.kafka import topics
from streams.kafka.embedded import free_port
from streams.kafka.topics import changelog_topic
from tests.integration import profiles
from tests.integration.goods import catalogue, stroll
from tests.integration.shop import Shop
from tests.integration.workers import WorkerProcess, admin, serving, until, worker

pytestmark = pytest.mark.kafka


@pytest.fixture
async def shop(kafka: str, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    async with Shop.opened(serving(kafka, request.node.name)) as shop:
        yield shop


async def test_a_changelog_made_anew_is_told_and_rebuilt(shop: Shop, tmp_path: Path) -> None:
    settings = shop.settings
    async with worker(settings, tmp_path) as running:
        await shop.stock(catalogue())
        await running.knows(len(catalogue()))
        await _act(shop, stroll("ann", 10))
        assert await running.stop() == 0
        await _make_anew(shop, changelog_topic(settings))

        running.start()
        await running.ready()
        assert "the state on disk reaches changelog offset" in running.log
        await _act(shop, stroll("ann", 10, seed=1))
        assert await running.stop() == 0
        state = await profiles.changelog(settings)
        assert profiles.on_disk(running.data_dir) == state

        running.wipe()
        running.start()
        await running.ready()
        assert await running.stop() == 0
        assert profiles.on_disk(running.data_dir) == state


async def test_the_events_of_a_source_topic_made_anew_are_not_swallowed(
    shop: Shop, bundle: Bundle, tmp_path: Path
) -> None:
    settings = shop.settings
    before, after = _clicks("ann", 0), _clicks("ann", 1)
    async with worker(settings, tmp_path) as running:
        await shop.stock(catalogue())
        await running.knows(len(catalogue()))
        await _act(shop, before)
        assert await running.stop() == 0
        await _make_anew(shop, settings.topics.clicks)

        running.start()
        await running.ready()
        await _act(shop, after)
        assert await running.stop() == 0
    triggers = [shop.answers[event.event_id][0].trigger.offset for event in after]
    assert triggers == list(range(len(after)))
    (profile,) = [values[b"ann"] for values in (await profiles.changelog(settings)).values() if b"ann" in values]
    held = profiles.decoded(profile, bundle)
    assert held.positions[stable_key(settings.topics.clicks)].offset == len(after) - 1
    assert held.recent["at_ms"].max() == int(after[-1].occurred_at.timestamp() * 1000)
    assert len(held.recent) > len(after)


async def test_a_delivery_that_the_broker_refuses_ends_the_worker_with_an_error(shop: Shop, tmp_path: Path) -> None:
    settings = shop.settings
    async with worker(settings, tmp_path) as running:
        async with admin(settings) as client:
            await _limit(client, settings.topics.recommendations, 100)
        event = stroll("ann", 1)[0]
        await shop.happens(event)
        assert await running.ended() == 1
        assert "MessageSizeTooLargeError" in running.log
        assert not shop.answers

        async with admin(settings) as client:
            await _limit(client, settings.topics.recommendations, 1_000_000)
        running.start()
        await running.ready()
        await shop.answered([event])


async def test_missing_topics_are_told_in_one_line(kafka: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = serving(kafka, request.node.name)
    process = WorkerProcess(settings, tmp_path)
    process.start()
    assert await process.ended() == 1
    starting, line = process.log.splitlines()
    assert "starting: intentstream" in starting
    assert line.startswith("Error: ")
    assert settings.topics.clicks in line
    assert line.endswith(": is missing; `intentstream topics create` creates the missing topics")
    process.start(INTENTSTREAM_LOG_FORMAT="json")
    assert await process.ended() == 1
    *_, fatal = map(json.loads, process.log.splitlines()[2:])
    assert (fatal["level"], "Error: " + fatal["message"]) == ("ERROR", line)


async def test_a_broker_that_is_not_there_is_told_in_one_line(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    process = WorkerProcess(serving(address, request.node.name), tmp_path)
    process.start()
    assert await process.ended() == 2
    assert "Traceback" not in process.log
    assert f"no connection to {address}" in process.log.splitlines()[-1]


def _clicks(shopper: str, seed: int) -> list[Interaction]:
    return [event for event in stroll(shopper, 12, seed) if not isinstance(event, Search)]


async def _act(shop: Shop, events: list[Interaction]) -> None:
    for event in events:
        await shop.happens(event)
    await shop.answered(events)


async def _limit(client: AIOKafkaAdminClient, topic: str, size: int) -> None:
    await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size)})])


async def _make_anew(shop: Shop, topic: str) -> None:
    async with admin(shop.settings) as client:
        await client.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await client.list_topics()

        await until(gone, f"{topic} is gone")
    await topics.create(shop.settings)
