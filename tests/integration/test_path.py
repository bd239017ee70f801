"""The whole path on each broker: events in, lists out, the same as `replay` makes of the same events."""

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
from tests.integration.shop import Shop, catalogue, stroll
from tests.integration.workers import serving, worker

TOLERANCE = 1e-5


async def test_a_worker_answers_as_replay_does(
    broker: str, request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path
) -> None:
    settings = serving(broker, request.node.name)
    histories = [stroll(f"shopper-{number}", 12) for number in range(8)]
    async with Shop.opened(settings) as shop, worker(settings, tmp_path) as running:
        await shop.stock(catalogue())
        await running.knows(len(catalogue()))
        # Each shopper acts after seeing the last list, so the order of a shopper's clicks and searches is known.
        await asyncio.gather(*(_closed_loop(shop, history) for history in histories))
        assert await running.stop() == 0
        answers = shop.answers

    replayed = Replay(settings, bundle, encode_catalogue(bundle, catalogue()))
    for event, expected in _replay(replayed, histories):
        (got,) = answers[event.event_id]
        _assert_same_list(got, expected)
        source = settings.searches_topic if isinstance(event, Search) else settings.clicks_topic
        trigger = got.trigger
        assert (trigger.type, trigger.topic, trigger.occurred_at) == (event.type, source, event.occurred_at)
        assert got.recommendation_id == recommendation_id(source, trigger.partition, trigger.offset)
        assert got.user_id == event.user_id
        assert got.produced_at > event.occurred_at


async def _closed_loop(shop: Shop, history: Sequence[Interaction]) -> None:
    for event in history:
        place = await shop.happens(event)
        await shop.answered([event])
        trigger = shop.answers[event.event_id][0].trigger
        assert (trigger.partition, trigger.offset) == (place.partition, place.offset)


def _replay(replay: Replay, histories: Sequence[Sequence[Interaction]]) -> list[tuple[Interaction, Recommendations]]:
    events = [event for history in histories for event in history]
    return list(zip(events, replay.recommend(events), strict=True))


def _assert_same_list(got: Recommendations, expected: Recommendations) -> None:
    """Compare all that the events decide. Where two scores are equal to the last bits, either may come first."""
    assert [item.rank for item in got.items] == list(range(1, len(expected.items) + 1))
    assert [item.score for item in got.items] == pytest.approx([item.score for item in expected.items], abs=TOLERANCE)
    known = {item.item_id: item for item in expected.items}
    for item in got.items:
        twin = known[item.item_id]
        assert (item.sources, item.reason) == (twin.sources, twin.reason)
        assert item.score == pytest.approx(twin.score, abs=TOLERANCE)
    assert (got.intent, got.model, got.fallback) == (expected.intent, expected.model, None)
