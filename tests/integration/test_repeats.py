"""Events that a producer sends again count once on a real broker, before and after a crash of the worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from inference.bundle import Bundle
from inference.types import stable_key
from streams.contracts.messages import Interaction, Purchase, Search, View
from tests.integration import behaviour
from tests.integration.catalogue_items import catalogue
from tests.integration.profiles import changelog, decoded
from tests.integration.shop_client import ShopClient
from tests.integration.workers import until, worker, worker_settings

NOW = datetime.now(UTC).replace(microsecond=0)
FIRST, SECOND = (item.item_id for item in catalogue()[:2])


def history() -> list[Interaction]:
    """Return a view, a search and a purchase, each a minute after the other."""
    at = [NOW - timedelta(minutes=minute) for minute in (3, 2, 1)]
    return [
        View(event_id="v", user_id="anna", session_id="s", item_id=FIRST, occurred_at=at[0]),
        Search(event_id="s", user_id="anna", session_id="s", query="boots", occurred_at=at[1]),
        Purchase(event_id="p", user_id="anna", session_id="s", item_id=SECOND, occurred_at=at[2]),
    ]


async def test_events_that_are_sent_again_count_once_and_repeat_the_ids_of_their_lists(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name, min_shoppers=1)
    events = history()
    again = [msgspec.structs.replace(each, occurred_at=each.occurred_at + timedelta(days=1)) for each in events]
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        for event in events:
            await shop.publish_and_wait(event)
        for event in again:
            await shop.publish_event(event)
        await until(lambda: all(len(shop.lists[each.event_id]) >= 2 for each in events), "there are two lists each")
        running.kill()
        running.start()
        await running.wait_until_ready()
        for event in events:
            await shop.publish_event(event)
        offsets = {"v": {0, 2, 4}, "p": {1, 3, 5}, "s": {0, 1, 2}}

        def answered() -> bool:
            return all({each.trigger.offset for each in shop.lists[name]} == own for name, own in offsets.items())

        await until(answered, "every message has a list")
        await behaviour.wait_until_counted(settings)
        assert await running.stop() == 0
        for name in offsets:
            assert len({each.recommendation_id for each in shop.lists[name]}) == 1
        published = (await behaviour.read_broadcasts(settings)).neighbours
        profiles = [data for partition in (await changelog(settings)).values() for data in partition.values()]

    (profile,) = (decoded(data, bundle) for data in profiles)
    assert profile.habits["interval_days"].tolist() == [0.0]
    assert profile.habits["weight"].tolist() == [1.0]
    assert len(profile.events) == 3
    first, second = (published[stable_key(item)] for item in (FIRST, SECOND))
    assert (first.weight, second.weight) == (1.0, 3.0)
    assert dict(second.before).keys() == {first.key}
