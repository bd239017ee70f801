"""The whole path on each broker: the lists equal those of `replay` for the same events."""

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
from tests.integration.goods import catalogue, stroll
from tests.integration.shop import Shop, assert_same_list, closed_loop
from tests.integration.workers import NEVER_S, serving, worker


async def test_a_worker_answers_as_replay_does(
    broker: str, request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path
) -> None:
    # Nothing is told while they act: when a worker learns what others do is up to its clock.
    settings = serving(broker, request.node.name, behaviour_interval_seconds=NEVER_S, trending_interval_seconds=NEVER_S)
    histories = [stroll(f"shopper-{number}", 12) for number in range(8)]
    async with Shop.opened(settings) as shop, worker(settings, tmp_path) as running:
        await shop.stock(catalogue())
        await running.knows(len(catalogue()))
        # Each shopper acts after seeing the last list, so the order of a shopper's clicks and searches is known.
        await asyncio.gather(*(closed_loop(shop, history) for history in histories))
        assert await running.stop() == 0
        answers = shop.answers

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
