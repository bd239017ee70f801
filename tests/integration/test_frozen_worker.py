"""Workers frozen for longer than their session timeout: they write over nothing that the next owner has written.

INTENTSTREAM_TEST_FREEZES=20 runs 20 freezes of 14 to 60 s instead of a few short ones (about 20 minutes).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from inference.bundle import Bundle
from streams.kafka.topics import COOCCURRENCE
from tests.integration import behaviour, profiles
from tests.integration.catalogue_items import catalogue
from tests.integration.load import LoadGenerator
from tests.integration.shop_client import ShopClient
from tests.integration.workers import Group, WorkerProcess, until, worker, worker_settings

FREEZES = int(os.environ.get("INTENTSTREAM_TEST_FREEZES", "3"))
SHORTEST_S, LONGEST_S = (14.0, 60.0) if "INTENTSTREAM_TEST_FREEZES" in os.environ else (8.0, 11.0)
SESSION_TIMEOUT_S = 10.0 if "INTENTSTREAM_TEST_FREEZES" in os.environ else 6.0  # 6 s is Kafka's smallest
PATIENCE_S = 180.0
TOLERANCE = 0.5
"""For sums of 350 events of a shopper: their order alone makes 0.14, one that is missing or counted twice 0.99."""

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(200 + 150 * FREEZES)]


async def test_a_frozen_worker_writes_over_nothing_of_the_next_owner(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name, session_timeout_seconds=SESSION_TIMEOUT_S)
    group, random = Group(settings), Random(13)
    async with (
        ShopClient.connected(settings) as shop,
        worker(settings, tmp_path / "one") as one,
        worker(settings, tmp_path / "two") as two,
    ):
        await shop.publish_items(catalogue())
        await one.wait_for_items(len(catalogue()))
        await two.wait_for_items(len(catalogue()))
        await group.wait_for_members(2)
        async with LoadGenerator.running(shop, pause_seconds=0.05, at_once=10, shoppers=300) as load:
            for number in range(FREEZES):
                victim = (one, two)[number % 2]
                lost = await victim.metric("intentstream_ownership_lost_total")
                await load.wait_for_events()
                async with frozen(victim):
                    await asyncio.sleep(random.uniform(SHORTEST_S, LONGEST_S))
                    await until(lambda: _has_one_member(group), "the frozen worker has lost its partitions", PATIENCE_S)
                await until(lambda: _both_serve(group, one, two), "both workers serve again", PATIENCE_S)
                assert await victim.metric("intentstream_ownership_lost_total") == lost + 1
        await until(lambda: len(shop.lists) >= len(load.sent), "all events are answered", PATIENCE_S)
        for event in load.sent:
            assert len({(answer.recommendation_id, answer.trigger) for answer in shop.lists[event.event_id]}) == 1
        assert not shop.dead_letters

        state = await profiles.changelog(settings)
        expected, taught = await profiles.fold_all(settings, bundle)
        profiles.assert_same(state, expected, bundle, TOLERANCE)
        await behaviour.wait_until_counted(settings)
        pairs = await behaviour.assert_consistent(settings, taught)
        for each in (one, two):
            assert await each.stop() == 0
            assert "Traceback" not in each.log
            assert "never retrieved" not in each.log
        # Each worker alone restores everything: from the changelogs, and from its disk and the changelogs.
        two.delete_data()
        for each in (one, two):
            each.start()
            await each.wait_until_ready()
            assert await each.stop() == 0
            assert profiles.on_disk(each.data_dir) == state
            assert profiles.on_disk(each.data_dir, COOCCURRENCE) == pairs


@asynccontextmanager
async def frozen(victim: WorkerProcess) -> AsyncIterator[None]:
    """Freeze a worker for the block."""
    victim.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        victim.process.send_signal(signal.SIGCONT)


async def _has_one_member(group: Group) -> bool:
    return await group.members() == 1


async def _both_serve(group: Group, *workers: WorkerProcess) -> bool:
    ready = [await each.metric("intentstream_ready") == 1 for each in workers]
    return all(ready) and await group.members() == 2
