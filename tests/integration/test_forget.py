"""A shopper is forgotten: profile, sessions and waiting events, on disk, on Kafka and in the memory of all workers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from inference.bundle import Bundle
from inference.types import stable_key
from streams.contracts.messages import ForgetReceipt, Interaction, Purchase, Recommendations, Search, View
from streams.contracts.serde import decode_receipt
from streams.kafka.producer import partition_of
from tests.integration import commands, profiles
from tests.integration.catalogue_items import catalogue
from tests.integration.shop_client import ShopClient
from tests.integration.topic_contents import read_all
from tests.integration.workers import Group, until, worker, worker_settings

pytestmark = pytest.mark.kafka

ITEMS = [item.item_id for item in catalogue()[:8]]
QUERY = "very private query"
numbers = count()


@pytest.fixture
async def shop(kafka: str, request: pytest.FixtureRequest) -> AsyncIterator[ShopClient]:
    settings = worker_settings(kafka, request.node.name, sources=("sessions",), min_shoppers=1)
    async with ShopClient.connected(settings) as shop:
        yield shop


def view(user_id: str, item_id: str) -> View:
    return View(event_id=f"e{next(numbers)}", user_id=user_id, item_id=item_id, occurred_at=datetime.now(UTC))


def visit(user_id: str, items: list[str]) -> list[Interaction]:
    """Return a search, views, and a purchase of the first item."""
    now = datetime.now(UTC)
    return [
        Search(event_id=f"e{next(numbers)}", user_id=user_id, query=QUERY, occurred_at=now),
        *(view(user_id, item_id) for item_id in items),
        # After the views: the newest action on an item is the one that the profile keeps.
        Purchase(
            event_id=f"e{next(numbers)}",
            user_id=user_id,
            item_id=items[0],
            occurred_at=datetime.now(UTC) + timedelta(milliseconds=1),
        ),
    ]


async def publish_and_wait(shop: ShopClient, events: list[Interaction]) -> None:
    for event in events:
        await shop.publish_event(event)
    await shop.wait_for_lists(events)


async def lists_of_strangers(shop: ShopClient, item_id: str) -> list[Recommendations]:
    """Let a new shopper of each partition view an item, and return their lists."""
    views: dict[int, View] = {}
    while len(views) < shop.settings.topics.partitions:
        event = view(f"stranger-{next(numbers)}", item_id)
        views.setdefault(partition_of(event.user_id.encode(), shop.settings.topics.partitions), event)
    await publish_and_wait(shop, list(views.values()))
    return [shop.lists[event.event_id][0] for event in views.values()]


async def receipts(shop: ShopClient) -> list[ForgetReceipt]:
    records = await read_all(shop.settings, shop.settings.topics.privacy_receipts)
    return [decode_receipt(record.value) for record in records]


def users_on_disk(data_dir: Path) -> dict[bytes, bytes]:
    """Return the profiles on the disk of a stopped worker."""
    return {user_id: data for of in profiles.on_disk(data_dir).values() for user_id, data in of.items()}


async def kept_users(shop: ShopClient) -> set[bytes]:
    state = await profiles.changelog(shop.settings)
    return {user_id for of_partition in state.values() for user_id in of_partition}


async def test_a_forgotten_shopper_is_gone_from_all_workers_disks_and_internal_topics(
    shop: ShopClient, bundle: Bundle, tmp_path: Path
) -> None:
    settings = shop.settings
    async with worker(settings, tmp_path / "one") as one, worker(settings, tmp_path / "two") as two:
        await Group(settings).wait_for_members(2)
        await shop.publish_items(catalogue())
        for each in (one, two):
            await each.wait_until_ready()
            await each.wait_for_items(len(catalogue()))
        await publish_and_wait(shop, [*visit("ann", ITEMS[:3]), *visit("bob", ITEMS[3:6])])

        async def all_see(item_id: str, *others: str) -> bool:
            lists = await lists_of_strangers(shop, item_id)
            return all({item.item_id for item in answer.items} == set(others) for answer in lists)

        await until(lambda: all_see(ITEMS[1], ITEMS[0], ITEMS[2]), "all workers have ann's session")
        shown = await commands.run(settings, "profile", "show", "ann")
        assert shown.exit_code == 0, shown.output
        assert QUERY in shown.stdout
        assert catalogue()[0].title in shown.stdout

        done = await commands.run(settings, "forget", "ann")
        assert done.exit_code == 0, done.output
        assert "profile      deleted" in done.stdout
        assert "sessions     1 deleted" in done.stdout
        await until(lambda: all_see(ITEMS[1]), "no worker has ann's session")
        assert await all_see(ITEMS[4], ITEMS[3], ITEMS[5])
        assert not {b"ann"} & await kept_users(shop)
        assert (await commands.run(settings, "profile", "show", "ann")).exit_code == 1

        returned = view("ann", ITEMS[7])
        await publish_and_wait(shop, [returned])
        await commands.run(settings, "forget", "bob")
        assert await one.stop() == await two.stop() == 0
        disk = {**users_on_disk(one.data_dir), **users_on_disk(two.data_dir)}
        assert b"bob" not in disk
        assert profiles.decoded(disk[b"ann"], bundle).recent["key"].tolist() == [stable_key(ITEMS[7])]

        one.delete_data()
        one.start()
        await one.wait_until_ready()
        assert await all_see(ITEMS[4])
        assert await one.stop() == 0
        restored = users_on_disk(one.data_dir)
        assert b"ann" in restored
        assert b"bob" not in restored
    assert [(each.user_id, each.profile) for each in sorted(await receipts(shop), key=lambda r: r.user_id)] == [
        ("ann", True),
        ("bob", True),
    ]


async def test_events_that_waited_on_their_topic_do_not_bring_a_profile_back(
    shop: ShopClient, bundle: Bundle, tmp_path: Path
) -> None:
    settings = shop.settings
    async with worker(settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        await publish_and_wait(shop, [view("ann", ITEMS[0])])
        assert await running.stop() == 0
        waiting = view("ann", ITEMS[1])
        await shop.publish_event(waiting)
        await shop.publish(settings.topics.privacy, b"ann", None)
        running.start()
        await running.wait_until_ready()

        async def has_receipt() -> bool:
            return len(await receipts(shop)) == 1

        await until(has_receipt, "the request has a receipt")
        later = view("ann", ITEMS[2])
        await publish_and_wait(shop, [later])
        assert waiting.event_id not in shop.lists
        assert await running.stop() == 0
    profile = users_on_disk(running.data_dir)[b"ann"]
    assert profiles.decoded(profile, bundle).recent["key"].tolist() == [stable_key(ITEMS[2])]


async def test_a_profile_is_exported_in_words_beside_a_running_worker(shop: ShopClient, tmp_path: Path) -> None:
    settings = shop.settings
    async with worker(settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        await publish_and_wait(shop, visit("ann", ITEMS[:2]))
        exported = await commands.run(settings, "profile", "export", "ann")
        assert exported.exit_code == 0, exported.output
        kept = json.loads(exported.stdout)
        profile = kept["profile"]
        assert (kept["user_id"], kept["partition"]) == ("ann", partition_of(b"ann", 4))
        assert {each["item_id"] for each in profile["recent_items"]} == set(ITEMS[:2])
        assert {each["action"] for each in profile["recent_items"]} == {"view", "purchase"}
        assert [each["text"] for each in profile["searches"]] == [QUERY]
        assert [(each["item_id"], each["title"]) for each in profile["habits"]] == [(ITEMS[0], catalogue()[0].title)]
        assert {each["topic"] for each in profile["positions"]} == {settings.topics.clicks, settings.topics.searches}
        assert len(profile["intent"]["short_term"]) == 384
        assert any(profile["intent"]["long_term"])
        nobody = await commands.run(settings, "profile", "export", "nobody")
        assert nobody.exit_code == 1
        assert "nothing is kept" in nobody.stderr


async def test_without_a_worker_the_command_says_that_the_request_waits(shop: ShopClient) -> None:
    done = await commands.run(shop.settings, "forget", "ann", "--timeout", "1")
    assert done.exit_code == 1
    assert "no receipt within 1 s. The request is on" in done.stderr
    (request,) = await read_all(shop.settings, shop.settings.topics.privacy)
    assert request.key == b"ann"
