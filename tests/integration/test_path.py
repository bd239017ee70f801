"""The event path on each broker: lists equal those of `replay`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from inference.bundle import Bundle
from streams.contracts.messages import Interaction, Recommendations, Search
from streams.contracts.serde import recommendation_id
from streams.items.encoded import encode_catalogue
from streams.replay import Replay
from tests.integration.catalogue_items import catalogue, random_events
from tests.integration.shop_client import ShopClient, assert_same_list, closed_loop
from tests.integration.workers import NEVER_S, worker, worker_settings


async def test_a_worker_gives_the_same_lists_as_replay(
    broker: str, request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path
) -> None:
    # No behaviour is published, because the time at which a worker learns it varies.
    settings = worker_settings(
        broker, request.node.name, behaviour_interval_seconds=NEVER_S, trending_interval_seconds=NEVER_S
    )
    histories = [random_events(f"shopper-{number}", 12) for number in range(8)]
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        # Each event follows the list of the one before, so the order of a shopper's clicks and searches is known.
        await asyncio.gather(*(closed_loop(shop, history) for history in histories))
        assert await running.stop() == 0
        answers = shop.lists

    replayed = Replay(settings, bundle, encode_catalogue(bundle, catalogue()))
    for event, expected in _replay(replayed, histories):
        (got,) = answers[event.event_id]
        assert_same_list(got, expected)
        source = settings.topics.searches if isinstance(event, Search) else settings.topics.clicks
        trigger = got.trigger
        assert (trigger.type, trigger.topic, trigger.occurred_at) == (event.type, source, event.occurred_at)
        assert got.recommendation_id == recommendation_id(source, trigger.partition, trigger.offset)
        assert got.user_id == event.user_id
        assert got.produced_at > event.occurred_at


def _replay(replay: Replay, histories: Sequence[Sequence[Interaction]]) -> list[tuple[Interaction, Recommendations]]:
    events = [event for history in histories for event in history]
    return list(zip(events, replay.recommend(events), strict=True))
