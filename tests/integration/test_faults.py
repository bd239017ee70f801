"""Two workers, of which one is killed repeatedly: no event is lost or counted twice, and state is recovered."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.bundle import Bundle
from streams.kafka.topics import COOCCURRENCE
from tests.integration import behaviour, profiles
from tests.integration.crowd import Crowd
from tests.integration.goods import catalogue
from tests.integration.shop import Shop
from tests.integration.workers import Group, WorkerProcess, serving, until, worker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]


async def test_no_event_is_lost_or_counted_twice_when_a_worker_is_killed_in_mid_stream(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path
) -> None:
    settings = serving(kafka, request.node.name)
    group = Group(settings)
    async with (
        Shop.opened(settings) as shop,
        worker(settings, tmp_path / "steady") as steady,
        worker(settings, tmp_path / "victim") as victim,
    ):
        await shop.stock(catalogue())
        await steady.knows(len(catalogue()))
        await victim.knows(len(catalogue()))
        await group.of(2)
        async with Crowd.acting(shop, pause_seconds=0.02) as crowd:
            for disk_survives in (True, False, True):
                await _answers(victim)
                victim.kill()
                if not disk_survives:
                    victim.wipe()
                victim.start()
                await victim.ready()
                await group.of(2)
            await _answers(victim)
        await shop.answered(crowd.sent)

        for event in crowd.sent:
            assert len({(answer.recommendation_id, answer.trigger) for answer in shop.answers[event.event_id]}) == 1
        assert set(shop.answers) == {event.event_id for event in crowd.sent}
        assert not shop.dead_letters
        state = await profiles.changelog(settings)
        profiles.assert_same(state, await profiles.folded(settings, bundle), bundle)
        await behaviour.settled(settings)
        pairs = await behaviour.assert_consistent(settings)

        assert await steady.stop() == 0
        assert await victim.stop() == 0
        for survivor in (steady, victim):
            if survivor is victim:
                victim.wipe()
            survivor.start()
            await survivor.ready()
            assert await survivor.stop() == 0
            assert profiles.on_disk(survivor.data_dir) == state
            assert profiles.on_disk(survivor.data_dir, COOCCURRENCE) == pairs
        assert "Traceback" not in steady.log + victim.log


async def _answers(victim: WorkerProcess) -> None:
    """Wait until the worker has answered some more events."""
    before = await victim.metric("intentstream_recommendation_items_count")

    async def flows() -> bool:
        return await victim.metric("intentstream_recommendation_items_count") >= before + 20

    await until(flows, f"the worker answers:\n{victim.log[-4000:]}")


async def test_a_worker_that_joins_and_leaves_under_load_costs_no_event(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path
) -> None:
    settings = serving(kafka, request.node.name)
    group = Group(settings)
    async with (
        Shop.opened(settings) as shop,
        worker(settings, tmp_path / "steady") as steady,
    ):
        await shop.stock(catalogue())
        await steady.knows(len(catalogue()))
        async with Crowd.acting(shop, pause_seconds=0.01, shoppers=80) as crowd:
            for _ in range(3):
                async with worker(settings, tmp_path / "guest") as guest:
                    await group.of(2)
                    await _answers(guest)
                    assert await guest.stop() == 0
                await group.of(1)
                await _answers(steady)
        await shop.answered(crowd.sent)
        assert set(shop.answers) == {event.event_id for event in crowd.sent}
        state = await profiles.changelog(settings)
        profiles.assert_same(state, await profiles.folded(settings, bundle), bundle)
        await behaviour.settled(settings)
        await behaviour.assert_consistent(settings)
        assert await steady.stop() == 0
        assert "Traceback" not in steady.log + guest.log
