"""Workers that are killed under load: no event is lost or counted twice. Chaos runs add other faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.bundle import Bundle
from streams.kafka.topics import COOCCURRENCE
from tests.integration import behaviour, profiles
from tests.integration.catalogue_items import catalogue
from tests.integration.load import LoadGenerator
from tests.integration.shop_client import ShopClient
from tests.integration.workers import Group, WorkerProcess, until, worker, worker_settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]


async def test_no_event_is_lost_or_counted_twice_when_a_worker_is_killed_under_load(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name)
    group = Group(settings)
    async with (
        ShopClient.connected(settings) as shop,
        worker(settings, tmp_path / "steady") as steady,
        worker(settings, tmp_path / "victim") as victim,
    ):
        await shop.publish_items(catalogue())
        await steady.wait_for_items(len(catalogue()))
        await victim.wait_for_items(len(catalogue()))
        await group.wait_for_members(2)
        async with LoadGenerator.running(shop, pause_seconds=0.02) as load:
            for keep_disk in (True, False):
                await _wait_for_progress(victim)
                victim.kill()
                if not keep_disk:
                    victim.delete_data()
                victim.start()
                await victim.wait_until_ready()
                await group.wait_for_members(2)
            await _wait_for_progress(victim)
        await shop.wait_for_lists(load.sent)

        for event in load.sent:
            assert len({(answer.recommendation_id, answer.trigger) for answer in shop.lists[event.event_id]}) == 1
        assert set(shop.lists) == {event.event_id for event in load.sent}
        assert not shop.dead_letters
        state = await profiles.changelog(settings)
        profiles.assert_same(state, await profiles.expected(settings, bundle), bundle)
        await behaviour.wait_until_counted(settings)
        pairs = await behaviour.assert_consistent(settings)

        assert await steady.stop() == 0
        assert await victim.stop() == 0
        for each in (steady, victim):
            if each is victim:
                victim.delete_data()
            each.start()
            await each.wait_until_ready()
            assert await each.stop() == 0
            assert profiles.on_disk(each.data_dir) == state
            assert profiles.on_disk(each.data_dir, COOCCURRENCE) == pairs
        assert "Traceback" not in steady.log + victim.log


async def _wait_for_progress(victim: WorkerProcess) -> None:
    """Wait until the worker has answered more events."""
    before = await victim.metric("intentstream_recommendation_items_count")

    async def has_progressed() -> bool:
        return await victim.metric("intentstream_recommendation_items_count") >= before + 20

    await until(has_progressed, f"the worker answers:\n{victim.log[-4000:]}")
