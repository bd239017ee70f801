"""The learned state of the workers, and the expected state: the fold of the events without Kafka."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from inference.types import ItemNeighbours, SessionItems, stable_key
from streams.contracts import serde
from streams.contracts.messages import ItemTransition
from streams.factory import cooccurrence_rules
from streams.kafka.topics import COOCCURRENCE, changelog_topic
from streams.settings import Settings
from streams.worker.cooccurrence_path import published
from tests.integration.contents import ends, latest, stored
from tests.integration.profiles import State
from tests.integration.workers import Group, until
from tests.streams.behaviour.items import fold, neighbours


@dataclass(frozen=True)
class InMemoryBehaviour:
    """What every worker reads at its start: by the item's and by the session's key."""

    neighbours: Mapping[int, ItemNeighbours]
    sessions: Mapping[int, SessionItems]


async def learned(settings: Settings) -> InMemoryBehaviour:
    """Read the broadcast topics."""
    items, sessions = settings.topics.item_neighbours, settings.topics.sessions
    return InMemoryBehaviour(
        neighbours={
            stable_key(key.decode()): serde.decode_neighbours(value)
            for records in (await latest(settings, items)).values()
            for key, value in records.items()
        },
        sessions={
            int.from_bytes(key, "big"): serde.decode_session(value)
            for key, value in (await latest(settings, sessions, partitions=1))[0].items()
        },
    )


async def settled(settings: Settings) -> None:
    """Wait until all that is on `item-pairs` is counted and published."""
    group = Group(settings)

    async def is_settled() -> bool:
        committed = await group.committed()
        pairs = await ends(settings, settings.topics.item_pairs)
        return all(committed.get((topic, number), 0) == end for (topic, number), end in pairs.items())

    await until(is_settled, "all transitions are counted")


async def assert_consistent(settings: Settings) -> State:
    """Fail unless each action was counted once, in the table and in what is published of it; return the table."""
    states: State = {number: {} for number in range(settings.topics.partitions)}
    counted: dict[str, dict[tuple[str, int, int], ItemTransition]] = defaultdict(dict)
    rules = cooccurrence_rules(settings)
    for message in await stored(settings, settings.topics.item_pairs):
        of_partition = states[message.partition]
        for transition in serde.decode_transitions(message.value):
            key = transition.item_id.encode()
            of_partition[key] = fold(of_partition.get(key), transition, rules)
            counted[transition.item_id][transition.topic, transition.partition, transition.offset] = transition
    assert {key: set(places) for key, places in counted.items()} == await _actions(settings)
    assert await latest(settings, changelog_topic(settings, COOCCURRENCE)) == states
    expected = {number: dict(published(list(items.items()))) for number, items in states.items()}
    assert await latest(settings, settings.topics.item_neighbours) == expected
    for items in states.values():
        for key, state in items.items():
            _assert_counts_once(settings, key.decode(), state, list(counted[key.decode()].values()))
    return states


async def _actions(settings: Settings) -> dict[str, set[tuple[str, int, int]]]:
    """Return where the actions on each item lie."""
    places: dict[str, set[tuple[str, int, int]]] = defaultdict(set)
    for message in await stored(settings, settings.topics.clicks):
        action = serde.decode_item_action(message.key, message.value)
        places[action.item_id].add((message.topic, message.partition, message.offset))
    return places


def _assert_counts_once(settings: Settings, item_id: str, state: bytes, transitions: list[ItemTransition]) -> None:
    published_of_it = neighbours(stable_key(item_id), state)
    half_life_ms = cooccurrence_rules(settings).half_life_ms
    weight = sum(each.weight * 2.0 ** ((each.at_ms - published_of_it.as_of_ms) / half_life_ms) for each in transitions)
    assert published_of_it.weight == pytest.approx(weight, rel=1e-9)
