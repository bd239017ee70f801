"""Budgets of ranked lists: a burst, a rate, bounded memory, and the same lists in any batches."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.bundle import Bundle
from streams import budget
from streams.budget import RATE_LIMITED, ListBudgets
from streams.contracts.messages import Interaction, RecommendedItem
from streams.contracts.serde import encode_json
from streams.items.encoded import encode_catalogue
from streams.replay import Replay
from streams.settings import load_settings
from tests.streams.desk import ITEMS
from tests.streams.shoppers import NOW_MS, act, search

SECOND = 1000


def admitted(budgets: ListBudgets, times_ms: Sequence[int], user_id: str = "u") -> list[bool]:
    return [budgets.admit(user_id, NOW_MS + at_ms) for at_ms in times_ms]


def a_list(item_id: str) -> tuple[RecommendedItem, ...]:
    return (RecommendedItem(rank=1, item_id=item_id, score=0.5, sources=("query",), reason="fits"),)


def test_a_burst_and_a_rate_are_admitted_and_other_shoppers_have_their_own_budget() -> None:
    budgets = ListBudgets(60)
    assert sum(admitted(budgets, [0] * 100)) == 60
    assert admitted(budgets, [999, 1000, 1001, 2000]) == [False, True, False, True]
    assert admitted(budgets, [0, 0], user_id="stranger") == [True, True]
    assert sum(admitted(budgets, [3600 * SECOND] * 100)) == 60, "the budget is whole again, and not larger"


def test_without_a_limit_every_event_is_admitted() -> None:
    assert all(admitted(ListBudgets(0), [0] * 1000))


def test_an_older_timestamp_of_another_topic_neither_frees_nor_blocks_the_budget() -> None:
    budgets = ListBudgets(2)
    assert admitted(budgets, [60 * SECOND, 0, 0, 90 * SECOND]) == [True, True, False, True]


def test_memory_is_bounded_and_the_shopper_that_was_longest_away_drops_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SHOPPERS", 3)
    budgets = ListBudgets(1)
    assert [budgets.admit(user, NOW_MS) for user in "abcd"] == [True] * 4
    assert [budgets.admit(user, NOW_MS) for user in "bcd"] == [False] * 3
    assert budgets.admit("a", NOW_MS)


def test_a_list_is_kept_only_while_the_budget_is_exhausted() -> None:
    budgets = ListBudgets(2)
    admitted(budgets, [0])
    budgets.keep({"u": {"default": a_list("i1")}})
    assert budgets.last_lists("u") == {}
    admitted(budgets, [0])
    budgets.keep({"u": {"default": a_list("i2")}})
    assert budgets.last_lists("u") == {"default": a_list("i2")}
    admitted(budgets, [120 * SECOND])
    budgets.keep({"u": {"default": a_list("i3")}})
    assert budgets.last_lists("u") == {}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=60), st.integers(1, 7), st.integers(1, 4))
def test_an_event_beyond_the_budget_always_has_the_last_list(
    arrivals: list[tuple[int, int]], size: int, per_minute: int
) -> None:
    """Batches of any size give the same lists, also if timestamps go back."""
    whole = answers(arrivals, per_minute, len(arrivals) + 1)
    assert answers(arrivals, per_minute, size) == whole
    last: dict[int, str] = {}
    for (user, _), (is_ranked, items) in zip(arrivals, whole, strict=True):
        if is_ranked:
            last[user] = items
        assert items == last[user]


def answers(arrivals: Sequence[tuple[int, int]], per_minute: int, size: int) -> list[tuple[bool, str]]:
    """Answer arrivals (user, seconds) in batches, as the engine does: whether a list is ranked, and its item."""
    budgets, found = ListBudgets(per_minute), list[tuple[bool, str]]()
    for start in range(0, len(arrivals), size):
        batch = arrivals[start : start + size]
        ranked = [budgets.admit(str(user), NOW_MS + seconds * SECOND) for user, seconds in batch]
        last: dict[str, tuple[RecommendedItem, ...]] = {}
        for place, ((user, _), is_ranked) in enumerate(zip(batch, ranked, strict=True), start=start):
            if is_ranked:
                last[str(user)] = a_list(str(place))
            (item,) = last.get(str(user)) or budgets.last_lists(str(user))["default"]
            found.append((is_ranked, item.item_id))
        budgets.keep({user: {"default": items} for user, items in last.items()})
    return found


def test_a_replay_limits_a_shopper_in_any_batches(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings({"shopper_lists_per_minute": 4, "behaviour_interval_seconds": 1e6,
                              "trending_interval_seconds": 1e6}, env_file=None)  # fmt: skip
    events: list[Interaction] = [act("view", f"i{n % 8}", NOW_MS + n, user_id="hot") for n in range(20)]
    events[5:5] = [search("tea", NOW_MS + 4, user_id="hot"), act("view", "i1", NOW_MS + 4, user_id="stranger")]
    runs = []
    for size in (64, 1, 3):
        monkeypatch.setattr("streams.replay.BATCH", size)
        replay = Replay(settings, bundle, encode_catalogue(bundle, ITEMS))
        runs.append(([encode_json(answer) for answer in replay.recommend(events)], replay.profiles))
    assert runs[0] == runs[1] == runs[2]
    replay = Replay(settings.replace(shopper_lists_per_minute=0), bundle, encode_catalogue(bundle, ITEMS))
    unlimited = list(replay.recommend(events))
    assert replay.profiles == runs[0][1]
    assert {answer.fallback for answer in unlimited} == {None}
    assert sum(RATE_LIMITED.encode() in value for value in runs[0][0]) == 17
