"""With keys, no database and no internal topic has a user id or a search, and nothing is lost without the key."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inference.bundle import Bundle
from streams.contracts.messages import Interaction, Search, View
from streams.kafka.topics import TABLES, changelog_topic
from streams.settings import Settings
from tests.integration import commands, profiles
from tests.integration.catalogue_items import catalogue
from tests.integration.shop_client import ShopClient
from tests.integration.topic_contents import read_all
from tests.integration.workers import WorkerProcess, until, worker, worker_settings

pytestmark = pytest.mark.kafka

USER, QUERY = "shopper-with-a-long-id", "searchwithoutspaces"
PSEUDONYM_KEY, KEY, NEW_KEY = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2, 3))
ITEMS = [item.item_id for item in catalogue()[:6]]


@pytest.fixture
async def shop(kafka: str, request: pytest.FixtureRequest) -> AsyncIterator[ShopClient]:
    async with ShopClient.connected(worker_settings(kafka, request.node.name)) as shop:
        yield shop


def visit(number: int) -> list[Interaction]:
    """Return a search, and two views a second later."""
    now = datetime.now(UTC) - timedelta(seconds=1)
    return [
        Search(event_id=f"s{number}", user_id=USER, query=QUERY, occurred_at=now),
        *(
            View(event_id=f"v{number}-{item_id}", user_id=USER, item_id=item_id, occurred_at=now + timedelta(seconds=1))
            for item_id in ITEMS[2 * number : 2 * number + 2]
        ),
    ]


async def publish_and_wait(shop: ShopClient, events: list[Interaction]) -> None:
    for event in events:
        await shop.publish_event(event)
    await shop.wait_for_lists(events)


async def internal_bytes(settings: Settings) -> bytes:
    """Return all keys and values of the internal topics."""
    topics = settings.topics
    whole = [topics.item_pairs, topics.item_neighbours, topics.item_vectors]
    whole += [changelog_topic(settings, table) for table in TABLES]
    names = dict.fromkeys(whole) | {topics.trending: 1, topics.sessions: 1}
    records = [record for name, partitions in names.items() for record in await read_all(settings, name, partitions)]
    return b"\n".join((record.key or b"") + b" " + (record.value or b"") for record in records)


def bytes_on_disk(data_dir: Path) -> bytes:
    """Return all keys and values of the databases of a stopped worker. The files themselves are compressed."""
    databases = [database for table in TABLES for database in profiles.on_disk(data_dir, table).values()]
    return b"\n".join(key + b" " + value for database in databases for key, value in database.items())


def found(data: bytes) -> set[str]:
    return {text for text in (USER, QUERY) if text.encode() in data}


async def run_once(shop: ShopClient, running: WorkerProcess, number: int) -> None:
    """Process a visit, wait until its transitions are published, and stop the worker."""
    await running.wait_for_items(len(catalogue()))
    await publish_and_wait(shop, visit(number))
    pairs = shop.settings.topics.item_pairs

    async def is_published() -> bool:
        return len(await read_all(shop.settings, pairs)) > number

    await until(is_published, "transitions are published")
    assert await running.stop() == 0


async def test_plain_state_contains_ids_and_searches_and_protected_state_neither(
    shop: ShopClient, bundle: Bundle, tmp_path: Path
) -> None:
    await shop.publish_items(catalogue())
    async with worker(shop.settings, tmp_path / "plain") as running:
        await run_once(shop, running, 0)
    # The control: without keys both are found.
    assert found(bytes_on_disk(running.data_dir)) == found(await internal_bytes(shop.settings)) == {USER, QUERY}


async def test_protected_state_has_neither_ids_nor_searches_and_survives_restarts(
    shop: ShopClient, bundle: Bundle, tmp_path: Path
) -> None:
    shop.settings = settings = shop.settings.replace(pseudonym_key=PSEUDONYM_KEY, encryption_keys=KEY)
    await shop.publish_items(catalogue())
    async with worker(settings, tmp_path) as running:
        await run_once(shop, running, 0)
        assert found(bytes_on_disk(running.data_dir)) == found(await internal_bytes(settings)) == set()
        assert PSEUDONYM_KEY not in running.log
        assert KEY not in running.log

        # The key is rotated, and the state comes from the changelog, which the restore copies as it is.
        settings = settings.replace(encryption_keys=f"{NEW_KEY},{KEY}")
        running.delete_data()
        running.start(INTENTSTREAM_ENCRYPTION_KEYS=f"{NEW_KEY},{KEY}")
        await running.wait_until_ready()
        await run_once(shop, running, 1)
        assert found(bytes_on_disk(running.data_dir)) == found(await internal_bytes(settings)) == set()

    exported = await commands.run(settings, "profile", "export", USER)
    assert exported.exit_code == 0, exported.output
    assert all(f'"item_id": "{item_id}"' in exported.stdout for item_id in ITEMS[:4])
    assert QUERY in exported.stdout


async def test_a_wrong_or_missing_key_is_one_clear_error_and_loses_nothing(
    shop: ShopClient, bundle: Bundle, tmp_path: Path
) -> None:
    shop.settings = settings = shop.settings.replace(encryption_keys=KEY)
    await shop.publish_items(catalogue())
    async with worker(settings, tmp_path) as running:
        await run_once(shop, running, 0)
        before = profiles.on_disk(running.data_dir)
        for wrong in ("", NEW_KEY):
            running.start(INTENTSTREAM_ENCRYPTION_KEYS=wrong)
            assert await running.wait_for_exit() == 1
            assert "INTENTSTREAM_ENCRYPTION_KEYS: required that key among the keys" in running.log
        assert profiles.on_disk(running.data_dir) == before
        event = visit(1)[0]
        await shop.publish_event(event)
        running.start()
        await shop.wait_for_lists([event])
        assert not shop.dead_letters
        assert await running.stop() == 0


async def test_state_from_before_the_keys_is_read_and_moved(shop: ShopClient, bundle: Bundle, tmp_path: Path) -> None:
    await shop.publish_items(catalogue())
    async with worker(shop.settings, tmp_path) as running:
        await run_once(shop, running, 0)
        running.start(INTENTSTREAM_PSEUDONYM_KEY=PSEUDONYM_KEY, INTENTSTREAM_ENCRYPTION_KEYS=KEY)
        await running.wait_until_ready()
        await run_once(shop, running, 1)
    shop.settings = settings = shop.settings.replace(pseudonym_key=PSEUDONYM_KEY, encryption_keys=KEY)
    users = {name for of in (await profiles.changelog(settings)).values() for name in of}
    assert USER.encode() not in users
    assert len(users) == 1
    exported = await commands.run(settings, "profile", "export", USER)
    assert all(f'"item_id": "{item_id}"' in exported.stdout for item_id in ITEMS[:4])
