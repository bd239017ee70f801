"""The workers' co-occurrence state and broadcasts, and their expected values: a fold of the events without Kafka."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from inference.types import ItemNeighbours, SessionItems, stable_key
from streams.contracts import serde
from streams.contracts.internal import ItemTransition
from streams.factory import cooccurrence_rules, profile_rules
from streams.kafka.topics import COOCCURRENCE, changelog_topic
from streams.settings import Settings
from streams.worker.cooccurrence_path import published
from tests.integration.profiles import State
from tests.integration.topic_contents import compacted_state, end_offsets, read_all
from tests.integration.workers import Group, until
from tests.streams.behaviour.items import fold, neighbours


@dataclass(frozen=True)
class InMemoryBehaviour:
    """The behaviour on the broadcast topics, by the key of the item or session."""

    neighbours: Mapping[int, ItemNeighbours]
    sessions: Mapping[int, SessionItems]


async def read_broadcasts(settings: Settings) -> InMemoryBehaviour:
    """Read the broadcast topics."""
    items, sessions = settings.topics.item_neighbours, settings.topics.sessions
    return InMemoryBehaviour(
        neighbours={
            stable_key(key.decode()): serde.decode_neighbours(value)
            for records in (await compacted_state(settings, items)).values()
            for key, value in records.items()
        },
        sessions={
            int.from_bytes(key, "big"): serde.decode_session(value)
            for key, value in (await compacted_state(settings, sessions, partitions=1))[0].items()
        },
    )


async def wait_until_counted(settings: Settings) -> None:
    """Wait until all events have sent their transitions to `item-pairs`, and these are counted and published."""
    group, topics = Group(settings), settings.topics
    for topic in (topics.clicks, topics.searches, topics.item_pairs):

        async def all_committed(topic: str = topic) -> bool:
            committed = await group.committed()
            ends = await end_offsets(settings, topic)
            return all(committed.get(partition, 0) == end for partition, end in ends.items())

        await until(all_committed, f"all messages of {topic} are acknowledged")


async def assert_consistent(settings: Settings, taught: Sequence[ItemTransition] | None = None) -> State:
    """Assert that each action was counted once in the table and in the published neighbours. Return the table.

    `taught` are the transitions that the events give, for histories of more than 24 items: a shopper's profile
    remembers no more, and an item that dropped out teaches again.
    """
    states: State = {number: {} for number in range(settings.topics.partitions)}
    counted: dict[str, dict[tuple[str, int, int], ItemTransition]] = defaultdict(dict)
    rules = cooccurrence_rules(settings)
    for message in await read_all(settings, settings.topics.item_pairs):
        partition_state = states[message.partition]
        for transition in serde.decode_transitions(message.value):
            key = transition.item_id.encode()
            partition_state[key] = fold(partition_state.get(key), transition, rules)
            position = (transition.topic, transition.partition, transition.offset)
            counted[transition.item_id].setdefault(position, transition)  # a later one is a repeat
    actions = await _actions(settings) if taught is None else _positions(taught)
    every, expected_ones = ({place for places in each.values() for place in places} for each in (counted, actions))
    missing, surplus = sorted(expected_ones - every), sorted(every - expected_ones)
    assert (len(missing), len(surplus)) == (0, 0), f"not counted: {missing[:20]}, counted besides: {surplus[:20]}"
    # An action also counts for other items of the same time, with weight 0 for these items themselves.
    own = {key: {place for place, each in of_item.items() if each.weight > 0.0} for key, of_item in counted.items()}
    assert {key: places for key, places in own.items() if places} == actions
    assert await compacted_state(settings, changelog_topic(settings, COOCCURRENCE)) == states
    expected = {number: dict(published(list(items.items()), rules.support)) for number, items in states.items()}
    assert await compacted_state(settings, settings.topics.item_neighbours) == expected
    for items in states.values():
        for key, state in items.items():
            _assert_counts_once(settings, key.decode(), state, list(counted[key.decode()].values()))
    return states


def _positions(transitions: Sequence[ItemTransition]) -> dict[str, set[tuple[str, int, int]]]:
    positions: dict[str, set[tuple[str, int, int]]] = defaultdict(set)
    for each in transitions:
        if each.weight > 0.0:
            positions[each.item_id].add((each.topic, each.partition, each.offset))
    return positions


async def _actions(settings: Settings) -> dict[str, set[tuple[str, int, int]]]:
    """Return the positions of the actions on each item that teach: those heavier than its shopper's others that day."""
    positions: dict[str, set[tuple[str, int, int]]] = defaultdict(set)
    heaviest, weights = dict[tuple[str, str, object], float](), profile_rules(settings).weights
    for message in await read_all(settings, settings.topics.clicks):
        action = serde.decode_item_action(message.key, message.value)
        day = (action.user_id, action.item_id, action.occurred_at.date())
        if weights[action.type] > heaviest.get(day, 0.0):
            heaviest[day] = weights[action.type]
            positions[action.item_id].add((message.topic, message.partition, message.offset))
    return positions


def _assert_counts_once(settings: Settings, item_id: str, state: bytes, transitions: list[ItemTransition]) -> None:
    published_neighbours = neighbours(stable_key(item_id), state)
    half_life_ms = cooccurrence_rules(settings).half_life_ms
    weight = sum(
        each.weight * 2.0 ** ((each.at_ms - published_neighbours.as_of_ms) / half_life_ms) for each in transitions
    )
    assert published_neighbours.weight == pytest.approx(weight, rel=1e-9)
