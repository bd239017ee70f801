"""Sessions that grow while interactions wait: the same labels as those of a whole log."""

from __future__ import annotations

import numpy as np

from inference.types import stable_key
from streams.contracts.messages import Interaction
from tests.training.learning.acts import search, view
from training.learning.sessions import Sessions, Waiting
from training.ranker.gather import Sampling, arrivals, next_items

GAP_MS = 30 * 60_000


def added(events: list[Interaction]) -> list[Waiting]:
    sessions = Sessions(GAP_MS)
    return [sessions.add(event, 0, is_new=True, place=None) for event in events]


def random_events(seed: int, length: int) -> list[Interaction]:
    draw = np.random.default_rng(seed)
    events: list[Interaction] = []
    minute = 0.0
    for _ in range(length):
        minute += float(draw.choice([0, 1, 5, 40], p=[0.1, 0.6, 0.2, 0.1]))
        user, session = f"u{draw.integers(3)}", ("s", "t", None)[int(draw.integers(3))]
        if draw.random() < 0.2:
            events.append(search(minute, user=user, session=session))
        else:
            events.append(view(minute, int(draw.integers(6)), user=user, session=session))
    return events


def test_labels_are_those_of_the_offline_gathering() -> None:
    for seed in range(20):
        events = random_events(seed, 60)
        waiting = added(events)
        found = [tuple(each.following(5)) for each in waiting]
        assert found == next_items(events, Sampling(horizon=5))


def test_arrivals_are_those_of_the_offline_gathering() -> None:
    events = random_events(3, 80)
    waiting, known = added(events), set[str]()
    found = {}
    for number, each in enumerate(waiting):
        if each.begins and each.session.items and each.interaction.user_id in known:
            found[number] = tuple(each.basket())
        known.add(each.interaction.user_id)
    assert found == arrivals(events, GAP_MS)


def test_of_the_interactions_of_one_time_only_the_last_is_gathered() -> None:
    assert [each.is_gathered for each in added([view(0, 1), view(1, 2), view(1, 3)])] == [True, False, True]


def test_an_item_keeps_the_rank_of_its_first_action() -> None:
    sessions = Sessions(GAP_MS)
    first = sessions.add(view(0, 1), 0, is_new=True, place=None)
    sessions.add(view(1, 2), 7, is_new=True, place=None)
    sessions.add(view(2, 2), 1, is_new=True, place=None)
    assert first.following(5) == {stable_key("i2"): 7}


def test_a_forgotten_shopper_starts_a_new_session() -> None:
    sessions = Sessions(GAP_MS)
    sessions.add(view(0, 1), 0, is_new=True, place=None)
    sessions.forget("u")
    assert sessions.add(view(1, 2), 0, is_new=True, place=None).begins
