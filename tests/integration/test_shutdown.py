"""SIGTERM: pending work is delivered, offsets are committed, the worker leaves the group, and state is closed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest
from rocksdict import AccessType, Options, Rdict

from streams.kafka.topics import TABLES, changelog_topic
from streams.settings import Settings
from tests.integration import behaviour, profiles
from tests.integration.catalogue_items import catalogue, random_events
from tests.integration.load import LoadGenerator
from tests.integration.shop_client import ShopClient
from tests.integration.topic_contents import read_all
from tests.integration.workers import Group, WorkerProcess, until, worker, worker_settings

pytestmark = pytest.mark.kafka

GRACE_SECONDS = 10


async def test_sigterm_under_load_delivers_pending_lists_and_leaves_the_group(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    # The session timeout is long: a worker that does not leave would keep its partitions for the whole test.
    settings = worker_settings(kafka, request.node.name, session_timeout_seconds=200.0, commit_interval_seconds=60.0)
    group = Group(settings)
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path / "first", is_forked=False) as first:
        await shop.publish_items(catalogue())
        await first.wait_for_items(len(catalogue()))
        async with LoadGenerator.running(shop, pause_seconds=0.005) as load:
            await until(lambda: len(shop.lists) > 100, "the worker is under load")
            began = time.monotonic()
            assert await first.stop() == 0
            assert time.monotonic() - began < GRACE_SECONDS
            assert await group.is_empty()
        committed = await group.committed()
        # Without `item-pairs`: the last transitions are left for the next owner.
        answered = {
            partition: end for partition, end in committed.items() if partition[0] != settings.topics.item_pairs
        }
        assert answered == await _answered_offsets(shop)
        life = ("stopping: SIGTERM", "draining: ", "stopped: offsets committed", "stopped: left the group")
        places = [first.log.find(line) for line in life]
        assert -1 not in places
        assert places == sorted(places)
        assert "Traceback" not in first.log
        assert "never" not in first.log
        assert "Unclosed" not in first.log
        assert first.log.splitlines()[-1].endswith("stopped: left the group")
        for path in (path for table in TABLES for path in (first.data_dir / table).iterdir()):
            Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_write()).close()

        async with worker(settings.replace(commit_interval_seconds=0.5), tmp_path / "second"):
            await shop.wait_for_lists(load.sent)
            await behaviour.wait_until_counted(settings)
        await behaviour.assert_consistent(settings)
        assert all(len(answers) == 1 for answers in shop.lists.values())


async def test_sigterm_during_the_start_exits_with_0(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name)
    async with ShopClient.connected(settings):
        process = WorkerProcess(settings, tmp_path)
        try:
            # The worker exports metrics before it joins the group and recovers, which takes about a second.
            for delay_s in (0.0, 0.3, 0.8):
                process.start()
                await process.wait_for_metric("intentstream_ready", 0)
                await asyncio.sleep(delay_s)
                assert await process.stop() == 0, f"{delay_s} s after the first metrics:\n{process.log[-4000:]}"
        finally:
            process.close()
        assert "Traceback" not in process.log


async def test_a_restart_keeps_the_state_on_disk(kafka: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = worker_settings(kafka, request.node.name)
    history = [event for number in range(10) for event in random_events(f"shopper-{number}", 10)]
    async with ShopClient.connected(settings) as shop:
        async with worker(settings, tmp_path) as first:
            for event in history:
                await shop.publish_event(event)
            await shop.wait_for_lists(history)
            assert await first.stop() == 0
        state = await profiles.changelog(settings)
        ends = Counter(record.partition for record in await read_all(settings, changelog_topic(settings)))
        for partition, end in ends.items():
            assert profiles.persisted_offset(first.data_dir, partition) == end - 1
        async with worker(settings, tmp_path) as second:
            assert await second.stop() == 0
        assert profiles.on_disk(first.data_dir) == state


async def _answered_offsets(shop: ShopClient) -> dict[tuple[str, int], int]:
    """Return the first offset without a list of each event partition, and the end offsets of items."""
    settings: Settings = shop.settings
    offsets: dict[tuple[str, int], set[int]] = {}
    for answers in shop.lists.values():
        trigger = answers[0].trigger
        offsets.setdefault((trigger.topic, trigger.partition), set()).add(trigger.offset)
    for partition, seen in offsets.items():
        assert seen == set(range(len(seen))), f"{partition}: answered with gaps"
    items = Counter(record.partition for record in await read_all(settings, settings.topics.items))
    expected = {partition: len(seen) for partition, seen in offsets.items()}
    return expected | {(settings.topics.items, partition): end for partition, end in items.items()}
