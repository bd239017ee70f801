"""What belongs to a session: the items with its id, or those acted on since the last pause."""

from __future__ import annotations

import pytest

from inference.types import stable_key
from streams.profiles.profile import empty, in_session, session_key
from tests.streams.shoppers import DIM, NOW_MS, RULES, act, fold_all, search

MINUTE = 60_000


def keys(*item_ids: str) -> set[int]:
    return {stable_key(item_id) for item_id in item_ids}


def test_a_session_with_an_id_holds_its_items_however_long_it_lasts() -> None:
    profile = fold_all(
        [
            act("view", "first", NOW_MS - 300 * MINUTE, "s1"),
            act("view", "other", NOW_MS - MINUTE, "s2"),
            act("view", "none", NOW_MS - MINUTE),
            act("view", "last", NOW_MS, "s1"),
        ]
    )
    assert set(in_session(profile, "s1")["key"].tolist()) == keys("first", "last")
    assert set(in_session(profile, "s2")["key"].tolist()) == keys("other")
    assert in_session(profile, "s3")["key"].tolist() == []


def test_a_session_without_an_id_lasts_until_a_pause() -> None:
    steps = [RULES.session_gap_ms + 1, 1, RULES.session_gap_ms, 2 * RULES.session_gap_ms, 0]
    times = [NOW_MS - sum(steps[place:]) for place in range(len(steps))]
    names = ("before", "first", "second", "third", "now")
    for last, expected in enumerate(
        [("before",), ("first",), ("second", "first"), ("third", "second", "first"), ("now",)]
    ):
        history = [act("view", name, at_ms) for name, at_ms in zip(names, times, strict=True)]
        profile = fold_all(history[: last + 1])
        assert [*in_session(profile, None)["key"].tolist()] == [stable_key(name) for name in expected]


def test_a_late_event_from_before_a_session_does_not_move_its_start() -> None:
    profile = fold_all([act("view", "now", NOW_MS), act("view", "late", NOW_MS - MINUTE)])
    assert profile.session_started_ms == NOW_MS
    assert in_session(profile, None)["key"].tolist() == [stable_key("now")]


def test_a_search_moves_a_session_on() -> None:
    profile = fold_all([act("view", "before", NOW_MS - 31 * MINUTE), search("boots", NOW_MS)])
    assert in_session(profile, None)["key"].tolist() == []


def test_a_new_shopper_has_no_session() -> None:
    assert in_session(empty(DIM, 0), None)["key"].tolist() == []
    assert in_session(empty(DIM, 0), "s1")["key"].tolist() == []


@pytest.mark.parametrize("session_id", ["s1", "", "ж" * 128])
def test_a_session_has_a_key_of_32_bits_that_is_not_the_one_of_none(session_id: str) -> None:
    assert 0 < session_key(session_id) < 2**32
    assert session_key(None) == 0
