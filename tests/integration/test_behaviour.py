"""Behaviour through Kafka: counted once, published, and equal to that of `replay`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from inference.bundle import Bundle
from inference.retrieval.sources import NAMES
from inference.types import ItemNeighbours, SessionItems
from streams.contracts.messages import Interaction
from streams.items.encoded import encode_catalogue
from streams.replay import Replay
from streams.settings import Settings
from streams.settings_groups import PREFIX
from tests.integration import behaviour
from tests.integration.behaviour import InMemoryBehaviour
from tests.integration.catalogue_items import catalogue, random_events
from tests.integration.shop_client import ShopClient, assert_same_list, closed_loop
from tests.integration.workers import NEVER_S, worker, worker_settings

INTERVALS = ("behaviour_interval_seconds", "trending_interval_seconds")


class RecordedBehaviour:
    """Records the behaviour that `replay` learns."""

    def __init__(self) -> None:
        self.neighbours: dict[int, ItemNeighbours] = {}
        self.sessions: dict[int, SessionItems] = {}

    def learn(self, records: Iterable[ItemNeighbours | SessionItems]) -> None:
        for record in records:
            if isinstance(record, SessionItems):
                self.sessions[record.key] = record
            else:
                self.neighbours[record.key] = record


# A replay has one partition. With several, each limits the weight of its own shoppers in trends, so scores differ.
@pytest.mark.parametrize("support", [{"min_shoppers": 1}, {"partitions": 1}], ids=["partitions", "support"])
async def test_a_worker_publishes_the_behaviour_of_replay_and_gives_the_same_lists(
    support: dict[str, int], kafka: str, request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name, sources=NAMES, **support)
    shoppers = [f"shopper-{number}" for number in range(8)]
    past, present = ([event for shopper in shoppers for event in random_events(shopper, 12, seed)] for seed in range(2))
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))
        # One event at a time: the state of a full item depends on the order of events.
        await closed_loop(shop, past)
        await behaviour.wait_until_counted(settings)
        assert await running.stop() == 0
        await behaviour.assert_consistent(settings)
        published = await behaviour.read_broadcasts(settings)

        # With these intervals the worker publishes no more behaviour, as in a replay with the same settings.
        running.start(**{f"{PREFIX}{name.upper()}": str(NEVER_S) for name in INTERVALS})
        await running.wait_until_ready()
        await closed_loop(shop, present)
        assert await running.stop() == 0
        answers = shop.lists

    unpublished = settings.replace(**dict.fromkeys(INTERVALS, NEVER_S))
    replayed = Replay(unpublished, bundle, encode_catalogue(bundle, catalogue()))
    replayed.learn(past)
    for event, expected in zip(present, replayed.recommend(present), strict=True):
        (got,) = answers[event.event_id]
        if settings.topics.partitions == 1:
            assert_same_list(got, expected)
    _assert_same_behaviour(published, _replayed(settings, bundle, past))


def _replayed(settings: Settings, bundle: Bundle, events: Sequence[Interaction]) -> InMemoryBehaviour:
    """Return the behaviour that `replay` learns from the same events."""
    recorded = RecordedBehaviour()
    Replay(settings, bundle, encode_catalogue(bundle, catalogue()), recorded).learn(events)
    return InMemoryBehaviour(recorded.neighbours, recorded.sessions)


def _assert_same_behaviour(got: InMemoryBehaviour, expected: InMemoryBehaviour) -> None:
    """Compare behaviour up to the last bits of sums, whose order depends on the partitions."""
    assert got.sessions == expected.sessions
    assert len(got.sessions) > 1
    assert set(got.neighbours) == set(expected.neighbours)
    for key, neighbours in got.neighbours.items():
        other = expected.neighbours[key]
        assert neighbours.as_of_ms == other.as_of_ms
        assert neighbours.weight == pytest.approx(other.weight)
        assert dict(neighbours.before) == pytest.approx(dict(other.before))
        assert dict(neighbours.queries) == pytest.approx(dict(other.queries))
