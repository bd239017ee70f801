"""Recreated topics, refused deliveries, and failing starts."""

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
from tests.integration.catalogue_items import catalogue, random_events
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, admin, until, worker, worker_settings

pytestmark = pytest.mark.kafka


@pytest.fixture
async def shop(kafka: str, request: pytest.FixtureRequest) -> AsyncIterator[ShopClient]:
    async with ShopClient.connected(worker_settings(kafka, request.node.name)) as shop:
        yield shop


async def test_state_of_a_recreated_changelog_is_rebuilt(shop: ShopClient, tmp_path: Path) -> None:
    settings = shop.settings
    async with worker(settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        await _publish_and_wait(shop, random_events("ann", 10))
        assert await running.stop() == 0
        await _recreate(shop, changelog_topic(settings))

        running.start()
        await running.wait_until_ready()
        assert "the state on disk reaches changelog offset" in running.log
        await _publish_and_wait(shop, random_events("ann", 10, seed=1))
        assert await running.stop() == 0
        state = await profiles.changelog(settings)
        assert profiles.on_disk(running.data_dir) == state

        running.delete_data()
        running.start()
        await running.wait_until_ready()
        assert await running.stop() == 0
        assert profiles.on_disk(running.data_dir) == state


async def test_events_of_a_recreated_topic_are_processed(shop: ShopClient, bundle: Bundle, tmp_path: Path) -> None:
    settings = shop.settings
    before, after = _clicks("ann", 0), _clicks("ann", 1)
    async with worker(settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        await _publish_and_wait(shop, before)
        assert await running.stop() == 0
        await _recreate(shop, settings.topics.clicks)

        running.start()
        await running.wait_until_ready()
        await _publish_and_wait(shop, after)
        assert await running.stop() == 0
    triggers = [shop.lists[event.event_id][0].trigger.offset for event in after]
    assert triggers == list(range(len(after)))
    (profile,) = [values[b"ann"] for values in (await profiles.changelog(settings)).values() if b"ann" in values]
    profile_after = profiles.decoded(profile, bundle)
    assert profile_after.positions[stable_key(settings.topics.clicks)].offset == len(after) - 1
    assert profile_after.recent["at_ms"].max() == int(after[-1].occurred_at.timestamp() * 1000)
    assert len(profile_after.recent) > len(after)


async def test_a_refused_delivery_ends_the_worker_with_an_error(shop: ShopClient, tmp_path: Path) -> None:
    settings = shop.settings
    async with worker(settings, tmp_path) as running:
        async with admin(settings) as client:
            await _limit(client, settings.topics.recommendations, 100)
        event = random_events("ann", 1)[0]
        await shop.publish_event(event)
        assert await running.wait_for_exit() == 1
        assert "MessageSizeTooLargeError" in running.log
        assert not shop.lists

        async with admin(settings) as client:
            await _limit(client, settings.topics.recommendations, 1_000_000)
        running.start()
        await running.wait_until_ready()
        await shop.wait_for_lists([event])


async def test_missing_topics_are_an_error_of_one_line(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name)
    process = WorkerProcess(settings, tmp_path)
    process.start()
    assert await process.wait_for_exit() == 1
    starting, line = process.log.splitlines()
    assert "starting: intentstream" in starting
    assert line.startswith("Error: ")
    assert settings.topics.clicks in line
    assert line.endswith(": is missing; `intentstream topics create` creates the missing topics")
    process.start(INTENTSTREAM_LOG_FORMAT="json")
    assert await process.wait_for_exit() == 1
    *_, fatal = map(json.loads, process.log.splitlines()[2:])
    assert (fatal["level"], "Error: " + fatal["message"]) == ("ERROR", line)


async def test_an_unreachable_broker_is_an_error_of_one_line(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    process = WorkerProcess(worker_settings(address, request.node.name), tmp_path)
    process.start()
    assert await process.wait_for_exit() == 2
    assert "Traceback" not in process.log
    assert f"no connection to {address}" in process.log.splitlines()[-1]


def _clicks(shopper: str, seed: int) -> list[Interaction]:
    return [event for event in random_events(shopper, 12, seed) if not isinstance(event, Search)]


async def _publish_and_wait(shop: ShopClient, events: list[Interaction]) -> None:
    for event in events:
        await shop.publish_event(event)
    await shop.wait_for_lists(events)


async def _limit(client: AIOKafkaAdminClient, topic: str, size: int) -> None:
    await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size)})])


async def _recreate(shop: ShopClient, topic: str) -> None:
    async with admin(shop.settings) as client:
        await client.delete_topics([topic])

        async def is_deleted() -> bool:
            return topic not in await client.list_topics()

        await until(is_deleted, f"{topic} is deleted")
    await topics.create(shop.settings)
