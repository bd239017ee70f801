"""Readiness while the broker is away, and after topics change under a running worker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka.admin import NewPartitions

from streams.contracts.messages import Interaction, Search
from streams.kafka import topics
from tests.integration.brokers import KafkaBroker
from tests.integration.catalogue_items import catalogue, random_events
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, admin, until, worker, worker_settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture
async def shop(kafka: str, request: pytest.FixtureRequest) -> AsyncIterator[ShopClient]:
    async with ShopClient.connected(worker_settings(kafka, request.node.name)) as shop:
        yield shop


async def test_a_worker_without_brokers_is_alive_and_not_ready_until_they_return(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with KafkaBroker() as broker:
        settings = worker_settings(broker.bootstrap_servers, request.node.name)
        async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
            await shop.publish_and_wait(random_events("ann", 1)[0])
            assert await running.page("/readyz") == (200, await _conditions(running))
            broker.stop()
            await _wait_until_not_ready(running, "kafka_answers")
            assert (await running.page("/livez"))[0] == 200
            broker.start()
            await until(lambda: _is_ready(running), "the worker is ready again")
            assert await running.metric("intentstream_ownership_lost_total") == 0
            await shop.publish_and_wait(random_events("ann", 1, seed=1)[0])
            assert await running.stop() == 0
            assert "Traceback" not in running.log


async def test_a_topic_that_is_deleted_and_created_again_is_served_again(shop: ShopClient, tmp_path: Path) -> None:
    settings = shop.settings
    async with worker(settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        await _publish_and_wait(shop, _clicks("ann", 0))
        async with admin(settings) as client:
            await client.delete_topics([settings.topics.clicks])
        await _wait_until_not_ready(running, "topics_right")
        assert f"{settings.topics.clicks} is missing" in running.log
        await topics.create(settings)
        after = _clicks("ann", 1)[:3]
        await _publish_and_wait(shop, after)
        assert [shop.lists[event.event_id][0].trigger.offset for event in after] == list(range(len(after)))
        await until(lambda: _is_ready(running), "the worker is ready again")
        assert await running.stop() == 0


@pytest.mark.parametrize(("before", "after"), [(40, 10), (10, 40)])
async def test_a_topic_that_is_created_again_at_once_is_served_again(
    shop: ShopClient, tmp_path: Path, before: int, after: int
) -> None:
    """The new log may end before or beyond the offset that was committed in the former one."""
    settings = shop.settings
    async with worker(settings, tmp_path) as running:
        await _publish_and_wait(shop, _clicks("ann", 0)[:before])
        async with admin(settings) as client:
            await client.delete_topics([settings.topics.clicks])
            await until(lambda: _is_gone(shop), "the topic is deleted")
        await topics.create(settings)
        await _publish_and_wait(shop, _clicks("ann", 2)[:after])
        await running.wait_until_ready()
        assert await running.stop() == 0
        # The offset committed now is that of the new log: a restart goes on behind it.
        running.start()
        await running.wait_until_ready()
        await _publish_and_wait(shop, _clicks("ann", 4))
        assert await running.stop() == 0
    assert all(len({answer.recommendation_id for answer in answers}) == 1 for answers in shop.lists.values())


async def test_a_topic_with_more_partitions_makes_workers_not_ready(shop: ShopClient, tmp_path: Path) -> None:
    settings = shop.settings
    async with worker(settings, tmp_path) as running:
        await shop.publish_and_wait(_clicks("ann", 0)[0])
        async with admin(settings) as client:
            await client.create_partitions({settings.topics.clicks: NewPartitions(settings.topics.partitions + 2)})
        await _wait_until_not_ready(running, "topics_right")
        assert f"{settings.topics.clicks} has 6 partitions, 4 are required" in running.log
        assert await running.metric(f'intentstream_topic_problem{{topic="{settings.topics.clicks}"}}') == 1
        # The others go on, and a worker that joins does not get the new partitions.
        search = next(event for event in random_events("ann", 20) if isinstance(event, Search))
        await shop.publish_and_wait(search)
        assert await running.stop() == 0
        assert "Traceback" not in running.log


def _clicks(shopper: str, seed: int) -> list[Interaction]:
    return [event for event in random_events(shopper, 60, seed) if not isinstance(event, Search)]


async def _publish_and_wait(shop: ShopClient, events: list[Interaction]) -> None:
    for event in events:
        await shop.publish_event(event)
    await shop.wait_for_lists(events)


async def _is_gone(shop: ShopClient) -> bool:
    async with admin(shop.settings) as client:
        return shop.settings.topics.clicks not in await client.list_topics()


async def _conditions(running: WorkerProcess) -> str:
    return (await running.page("/readyz"))[1]


async def _is_ready(running: WorkerProcess) -> bool:
    return (await running.page("/readyz"))[0] == 200


async def _wait_until_not_ready(running: WorkerProcess, condition: str) -> None:
    async def is_not_ready() -> bool:
        status, text = await running.page("/readyz")
        return status == 503 and not json.loads(text)[condition]

    await until(is_not_ready, f"the worker is not ready: {condition}")
