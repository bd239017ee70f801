"""SIGTERM and starts: pending work is delivered, offsets are committed, the group is left, the state is closed."""

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
from tests.integration.contents import stored
from tests.integration.crowd import Crowd
from tests.integration.goods import catalogue, stroll
from tests.integration.shop import Shop
from tests.integration.workers import Group, WorkerProcess, serving, until, worker

pytestmark = pytest.mark.kafka

GRACE_SECONDS = 10


async def test_sigterm_under_load_finishes_what_was_begun_and_leaves(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    # So long a session that a worker which did not leave would keep its partitions for the whole test.
    settings = serving(kafka, request.node.name, session_timeout_seconds=200.0, commit_interval_seconds=60.0)
    group = Group(settings)
    async with Shop.opened(settings) as shop, worker(settings, tmp_path / "first") as first:
        await shop.stock(catalogue())
        await first.knows(len(catalogue()))
        async with Crowd.acting(shop, pause_seconds=0.005) as crowd:
            await until(lambda: len(shop.answers) > 100, "the worker is under load")
            began = time.monotonic()
            assert await first.stop() == 0
            assert time.monotonic() - began < GRACE_SECONDS
            assert await group.is_empty()
        committed = await group.committed()
        # How far transitions are counted is another matter: the last events made some for whoever comes next.
        answered = {place: end for place, end in committed.items() if place[0] != settings.topics.item_pairs}
        assert answered == await _answered_offsets(shop)
        assert "Traceback" not in first.log
        assert "never" not in first.log
        assert "Unclosed" not in first.log
        for path in (path for table in TABLES for path in (first.data_dir / table).iterdir()):
            Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_write()).close()

        async with worker(settings.replace(commit_interval_seconds=0.5), tmp_path / "second"):
            await shop.answered(crowd.sent)
            await behaviour.settled(settings)
        await behaviour.assert_consistent(settings)
        assert all(len(answers) == 1 for answers in shop.answers.values())


async def test_sigterm_while_it_is_still_starting_exits_with_0(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = serving(kafka, request.node.name)
    async with Shop.opened(settings):
        process = WorkerProcess(settings, tmp_path)
        try:
            # It shows metrics before it joins the group and recovers, which takes about two seconds.
            for later in (0.0, 0.5, 1.0, 1.5, 2.0):
                process.start()
                await process.shows("intentstream_ready", 0)
                await asyncio.sleep(later)
                assert await process.stop() == 0, f"{later} s after it showed metrics:\n{process.log[-4000:]}"
        finally:
            process.close()
        assert "Traceback" not in process.log


async def test_a_second_start_reads_only_what_its_disk_does_not_hold(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = serving(kafka, request.node.name)
    history = [event for number in range(10) for event in stroll(f"shopper-{number}", 10)]
    async with Shop.opened(settings) as shop:
        async with worker(settings, tmp_path) as first:
            for event in history:
                await shop.happens(event)
            await shop.answered(history)
            assert await first.stop() == 0
        state = await profiles.changelog(settings)
        ends = Counter(record.partition for record in await stored(settings, changelog_topic(settings)))
        for partition, end in ends.items():
            assert profiles.persisted_offset(first.data_dir, partition) == end - 1
        async with worker(settings, tmp_path) as second:
            assert await second.stop() == 0
        assert profiles.on_disk(first.data_dir) == state


async def _answered_offsets(shop: Shop) -> dict[tuple[str, int], int]:
    """Return the first offset without an answer, of each source partition; items are acknowledged on their own."""
    settings: Settings = shop.settings
    offsets: dict[tuple[str, int], set[int]] = {}
    for answers in shop.answers.values():
        trigger = answers[0].trigger
        offsets.setdefault((trigger.topic, trigger.partition), set()).add(trigger.offset)
    for place, seen in offsets.items():
        assert seen == set(range(len(seen))), f"{place}: answered with gaps"
    items = Counter(record.partition for record in await stored(settings, settings.topics.items))
    expected = {place: len(seen) for place, seen in offsets.items()}
    return expected | {(settings.topics.items, partition): end for partition, end in items.items()}
