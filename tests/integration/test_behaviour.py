"""Behaviour through Kafka: counted once, received by every worker, and equal to that of `replay`."""

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
from tests.integration.goods import catalogue, stroll
from tests.integration.shop import Shop, assert_same_list, closed_loop
from tests.integration.workers import NEVER_S, serving, worker

INTERVALS = ("behaviour_interval_seconds", "trending_interval_seconds")


class Listener:
    """Whom `replay` tells what shoppers do."""

    def __init__(self) -> None:
        self.neighbours: dict[int, ItemNeighbours] = {}
        self.sessions: dict[int, SessionItems] = {}

    def learn(self, records: Iterable[ItemNeighbours | SessionItems]) -> None:
        for record in records:
            if isinstance(record, SessionItems):
                self.sessions[record.key] = record
            else:
                self.neighbours[record.key] = record


async def test_a_worker_tells_what_replay_tells_and_answers_alike_once_it_knows_it(
    broker: str, request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path
) -> None:
    settings = serving(broker, request.node.name, sources=NAMES)
    shoppers = [f"shopper-{number}" for number in range(8)]
    past, present = ([event for shopper in shoppers for event in stroll(shopper, 12, seed)] for seed in range(2))
    async with Shop.opened(settings) as shop, worker(settings, tmp_path) as running:
        await shop.stock(catalogue())
        await running.knows(len(catalogue()))
        # One after the other: where an item's memory is full, the order of its shoppers counts.
        await closed_loop(shop, past)
        await behaviour.settled(settings)
        assert await running.stop() == 0
        await behaviour.assert_consistent(settings)
        told = await behaviour.learned(settings)

        # Whatever it tells from now on comes too late to matter, as in a replay with the same interval.
        running.start(**{f"{PREFIX}{name.upper()}": str(NEVER_S) for name in INTERVALS})
        await running.ready()
        await closed_loop(shop, present)
        assert await running.stop() == 0
        answers = shop.answers

    quiet = settings.replace(**dict.fromkeys(INTERVALS, NEVER_S))
    replayed = Replay(quiet, bundle, encode_catalogue(bundle, catalogue()))
    replayed.learn(past)
    for event, expected in zip(present, replayed.recommend(present), strict=True):
        (got,) = answers[event.event_id]
        assert_same_list(got, expected)
    _assert_same_told(told, _heard(settings, bundle, past))


def _heard(settings: Settings, bundle: Bundle, events: Sequence[Interaction]) -> InMemoryBehaviour:
    """Return what `replay` tells of the same events."""
    listener = Listener()
    Replay(settings, bundle, encode_catalogue(bundle, catalogue()), listener).learn(events)
    return InMemoryBehaviour(listener.neighbours, listener.sessions)


def _assert_same_told(got: InMemoryBehaviour, expected: InMemoryBehaviour) -> None:
    """Compare all but the last bits: sums of the same terms, in the order in which partitions were read."""
    assert got.sessions == expected.sessions
    assert len(got.sessions) > 1
    assert set(got.neighbours) == set(expected.neighbours)
    for key, neighbours in got.neighbours.items():
        other = expected.neighbours[key]
        assert neighbours.as_of_ms == other.as_of_ms
        assert neighbours.weight == pytest.approx(other.weight)
        assert dict(neighbours.before) == pytest.approx(dict(other.before))
        assert dict(neighbours.queries) == pytest.approx(dict(other.queries))
