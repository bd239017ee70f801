"""The items of a session: those with its id, else those since the last pause."""

from __future__ import annotations

import pytest

from inference.types import stable_key
from streams.contracts.messages import Interaction
from streams.profiles.profile import session_key
from tests.streams.shoppers import NOW_MS, RULES, act, fold_batch, in_one_topic, search

MINUTE = 60_000


def in_session(history: list[Interaction], session_id: str | None) -> list[int]:
    """Return the session's items in the query of a search that follows the history, newest first."""
    latest_ms = max((int(each.occurred_at.timestamp() * 1000) for each in history), default=NOW_MS)
    _, answers = fold_batch(None, in_one_topic([*history, search("boots", latest_ms, session_id)]))
    query = answers.queries[-1]
    keys: list[int] = query["session"][: query["session_length"]].tolist()
    return keys


def test_a_session_with_an_id_has_its_items_of_any_age() -> None:
    history: list[Interaction] = [
        act("view", "first", NOW_MS - 300 * MINUTE, "s1"),
        act("view", "other", NOW_MS - MINUTE, "s2"),
        act("view", "none", NOW_MS - MINUTE),
        act("view", "last", NOW_MS, "s1"),
    ]
    assert in_session(history, "s1") == [stable_key("last"), stable_key("first")]
    assert in_session(history, "s2") == [stable_key("other")]
    assert in_session(history, "s3") == []


def test_a_session_without_an_id_ends_with_a_pause() -> None:
    steps = [RULES.session_gap_ms + 1, 1, RULES.session_gap_ms, 2 * RULES.session_gap_ms, 0]
    times = [NOW_MS - sum(steps[place:]) for place in range(len(steps))]
    names = ("before", "first", "second", "third", "now")
    for last, expected in enumerate(
        [("before",), ("first",), ("second", "first"), ("third", "second", "first"), ("now",)]
    ):
        history = [act("view", name, at_ms) for name, at_ms in zip(names, times, strict=True)]
        assert in_session(history[: last + 1], None) == [stable_key(name) for name in expected]


def test_a_late_event_does_not_move_the_start_of_a_session() -> None:
    history = [act("view", "now", NOW_MS), act("view", "late", NOW_MS - MINUTE)]
    _, answers = fold_batch(None, in_one_topic(history))
    assert answers.answers["session_started_ms"].tolist() == [NOW_MS, NOW_MS]
    assert in_session(history, None) == [stable_key("now")]


def test_a_search_after_a_pause_starts_a_session() -> None:
    assert in_session([act("view", "before", NOW_MS - 31 * MINUTE), search("boots", NOW_MS)], None) == []


def test_a_new_shopper_has_no_session() -> None:
    assert in_session([], None) == []
    assert in_session([], "s1") == []


@pytest.mark.parametrize("session_id", ["s1", "", "ж" * 128])
def test_a_session_key_has_32_bits_and_is_not_0(session_id: str) -> None:
    assert 0 < session_key(session_id) < 2**32
    assert session_key(None) == 0
