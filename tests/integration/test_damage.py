"""Damaged and full disks: a worker serves again by itself, with exactly the profiles of the events."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from inference.bundle import Bundle
from streams.contracts.messages import Interaction
from streams.kafka.topics import COOCCURRENCE, PROFILES
from tests.integration import behaviour, profiles
from tests.integration.catalogue_items import catalogue, random_events
from tests.integration.shop_client import ShopClient
from tests.integration.workers import WorkerProcess, worker, worker_settings
from tests.streams.state.damages import change, numbered, store_garbage_offset, truncate

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SHOPPERS = 40


@pytest.fixture
async def shop(kafka: str, request: pytest.FixtureRequest) -> AsyncIterator[ShopClient]:
    settings = worker_settings(kafka, request.node.name, rocksdb_write_buffer_mb=1)
    async with ShopClient.connected(settings) as shop:
        yield shop


async def publish_and_wait(shop: ShopClient, seed: int, events: int = 8) -> None:
    """Publish events of all shoppers, and wait for their lists."""
    history: list[Interaction] = []
    for number in range(SHOPPERS):
        history += random_events(f"shopper-{number}", events, seed)
    for event in history:
        await shop.publish_event(event)
    await shop.wait_for_lists(history)


async def assert_right(shop: ShopClient, stopped: WorkerProcess, bundle: Bundle) -> None:
    """Assert that changelogs and databases of a stopped worker hold exactly what the events give."""
    state = await profiles.changelog(shop.settings)
    profiles.assert_same(state, await profiles.expected(shop.settings, bundle), bundle)
    assert profiles.on_disk(stopped.data_dir) == state
    assert profiles.on_disk(stopped.data_dir, COOCCURRENCE) == await behaviour.assert_consistent(shop.settings)


async def test_a_worker_with_damaged_databases_serves_again_by_itself(
    shop: ShopClient, bundle: Bundle, tmp_path: Path
) -> None:
    async with worker(shop.settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        await publish_and_wait(shop, seed=0)
        assert await running.stop() == 0
        running.start()  # RocksDB writes sorted tables when it opens the databases again
        await running.wait_until_ready()
        await publish_and_wait(shop, seed=1)
        running.kill()

        table, pairs = running.data_dir / PROFILES, running.data_dir / COOCCURRENCE
        (table / "0" / "CURRENT").write_bytes(b"garbage")
        truncate(numbered(table / "1", "*.sst"))
        truncate(numbered(table / "2", "MANIFEST-*"))
        store_garbage_offset(table / "3")
        numbered(pairs / "0", "MANIFEST-*").unlink()
        numbered(pairs / "1", "*.sst").unlink()

        running.start()
        await running.wait_until_ready()
        assert await running.metric(f'intentstream_damaged_databases_total{{table="{PROFILES}"}}') == 4
        assert await running.metric(f'intentstream_damaged_databases_total{{table="{COOCCURRENCE}"}}') == 2
        assert running.log.count("is restored from its changelog") == 6
        await publish_and_wait(shop, seed=2)
        await behaviour.wait_until_counted(shop.settings)
        assert await running.stop() == 0
        await assert_right(shop, running, bundle)


async def test_damage_that_a_running_worker_reads_is_healed_by_its_restart(
    shop: ShopClient, bundle: Bundle, tmp_path: Path
) -> None:
    async with worker(shop.settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        await publish_and_wait(shop, seed=0)
        assert await running.stop() == 0
        running.start()
        await running.wait_until_ready()
        assert await running.stop() == 0
        for partition in range(shop.settings.topics.partitions):
            change(numbered(running.data_dir / PROFILES / str(partition), "*.sst"), 0.4)

        running.start()
        await running.wait_until_ready()
        again = [random_events(f"shopper-{number}", 1, seed=1)[0] for number in range(SHOPPERS)]
        for event in again:
            await shop.publish_event(event)
        assert await running.wait_for_exit() == 1
        last = running.log.splitlines()[-1]
        assert "the worker ends: " in last
        assert f"{running.data_dir / PROFILES}" in last
        assert "the database is damaged" in last
        assert "start the worker again" in last

        running.start()
        await running.wait_until_ready()
        await shop.wait_for_lists(again)
        await behaviour.wait_until_counted(shop.settings)
        assert await running.stop() == 0
        await assert_right(shop, running, bundle)


def fill(file: Path) -> None:
    """Write a file until its disk is full."""
    with suppress(OSError), file.open("wb", buffering=0) as opened:
        while True:
            opened.write(bytes(1 << 16))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB, for the data directory of a worker in `tmp_path`."""
    mounted = tmp_path / "data"
    mounted.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(mounted)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a file system cannot be mounted here: {error}")
    yield mounted
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)


async def test_a_worker_with_a_full_disk_names_it_last_and_continues_when_there_is_room(
    shop: ShopClient, bundle: Bundle, small_disk: Path, tmp_path: Path
) -> None:
    running = WorkerProcess(shop.settings, tmp_path)
    try:
        running.start()
        await running.wait_until_ready()
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        await publish_and_wait(shop, seed=0)
        rest = small_disk / "rest"
        fill(rest)
        history = [event for number in range(SHOPPERS) for event in random_events(f"shopper-{number}", 8, seed=1)]
        for event in history:
            await shop.publish_event(event)
        assert await running.wait_for_exit() == 1
        last = running.log.splitlines()[-1]
        assert "the worker ends: " in last
        assert f"{running.data_dir}" in last
        assert "the disk is full: free space or enlarge the volume" in last

        rest.unlink()
        running.start()
        await running.wait_until_ready()
        await shop.wait_for_lists(history)
        await behaviour.wait_until_counted(shop.settings)
        assert await running.metric(f'intentstream_damaged_databases_total{{table="{PROFILES}"}}') == 0
        assert await running.stop() == 0
        await assert_right(shop, running, bundle)
    finally:
        running.close()
