"""The items of a session: those with its id, else all, as far as no pause parts them."""

from __future__ import annotations

import pytest

from inference.types import stable_key
from streams.contracts.messages import Interaction
from streams.profiles.events import session_key
from tests.streams.shoppers import NOW_MS, RULES, act, fold_batch, in_one_topic, search

MINUTE = 60_000


def in_session(history: list[Interaction], session_id: str | None) -> list[int]:
    """Return the session's items in the query of a search that follows the history, newest first."""
    latest_ms = max((int(each.occurred_at.timestamp() * 1000) for each in history), default=NOW_MS)
    _, answers = fold_batch(None, in_one_topic([*history, search("boots", latest_ms, session_id)]))
    query = answers.queries[-1]
    keys: list[int] = query["session"][: query["session_length"]].tolist()
    return keys


def test_a_session_with_an_id_has_its_items() -> None:
    history: list[Interaction] = [
        act("view", "first", NOW_MS - 2 * MINUTE, "s1"),
        act("view", "other", NOW_MS - MINUTE, "s2"),
        act("view", "none", NOW_MS - MINUTE),
        act("view", "last", NOW_MS, "s1"),
    ]
    assert in_session(history, "s1") == [stable_key("last"), stable_key("first")]
    assert in_session(history, "s2") == [stable_key("other")]
    assert in_session(history, "s3") == []


def test_a_session_with_an_id_ends_with_a_pause() -> None:
    days = [act("view", f"i{day}", NOW_MS + (day - 20) * 1440 * MINUTE, "for weeks") for day in range(20)]
    soon = act("view", "soon", NOW_MS - 1440 * MINUTE + 1, "for weeks")
    assert in_session([*days, soon], "for weeks") == [stable_key("soon"), stable_key("i19")]
    assert in_session([*days, search("boots", NOW_MS)], "for weeks") == []


def test_a_pause_of_one_device_ends_nothing_while_the_shopper_uses_another() -> None:
    other = [act("view", f"i{n}", NOW_MS + (n - 5) * 20 * MINUTE, "phone") for n in range(5)]
    history: list[Interaction] = [
        act("view", "first", NOW_MS - 101 * MINUTE, "desk"),
        *other,
        act("view", "last", NOW_MS, "desk"),
    ]
    assert in_session(history, "desk") == [stable_key("last"), stable_key("first")]


def test_a_late_event_belongs_to_the_session_of_its_time() -> None:
    now = [act("view", name, NOW_MS + n * MINUTE, "s") for n, name in enumerate(("now", "later"))]
    old_ms = NOW_MS - 600 * MINUTE
    late = [act("view", name, old_ms + n * MINUTE, "s") for n, name in enumerate(("old", "older"))]
    _, answers = fold_batch(None, in_one_topic([*now, *late]))
    query, answer = answers.queries[-1], answers.answers[-1]
    assert query["session"][: query["session_length"]].tolist() == [stable_key("older"), stable_key("old")]
    assert answer["before"][: answer["before_length"]].tolist() == [stable_key("old")]
    assert answer["session_started_ms"] == old_ms
    assert answer["session_at_ms"] == old_ms + MINUTE
    assert in_session([*now, *late, act("view", "last", NOW_MS + 2 * MINUTE, "s")], "s") == [
        stable_key(name) for name in ("last", "later", "now")
    ]


PLACEHOLDER_IDS = [
    "(not set)", "Not Set", "null", "NULL", "undefined", "None", "0", "000", "-", "--", " ", "\u00a0", "\u200b", "nan",
    "N/A", "<none>", '""', "00000000-0000-0000-0000-000000000000", "-1", "unknown",
]  # fmt: skip


@pytest.mark.parametrize("placeholder", PLACEHOLDER_IDS)
def test_a_placeholder_is_no_session_id(placeholder: str) -> None:
    assert session_key(placeholder) == 0
    history = [act("view", "with", NOW_MS - MINUTE, placeholder), act("view", "without", NOW_MS)]
    assert in_session(history, placeholder) == in_session(history, None) == [stable_key("without"), stable_key("with")]


def test_items_of_one_time_share_their_steps() -> None:
    order = [act("purchase", name, NOW_MS) for name in "abc"]
    history = [act("view", "z", NOW_MS - 1), *order, act("view", "now", NOW_MS + 1)]
    answer = fold_batch(None, in_one_topic(history))[1].answers[-1]
    shares = dict(
        zip(answer["before"].tolist()[: answer["before_length"]], answer["before_shares"].tolist(), strict=False)
    )
    mean = (1 + 1 / 2 + 1 / 3) / 3
    assert shares == pytest.approx({stable_key("z"): 1 / 4} | dict.fromkeys(map(stable_key, "abc"), mean))


def test_a_search_of_the_same_time_led_to_nothing() -> None:
    history = [search("boots"), act("view", "a"), act("view", "b", NOW_MS + 1)]
    lengths = fold_batch(None, in_one_topic(history))[1].answers["led_query_length"]
    assert lengths.tolist() == [0, 0, 5]


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


@pytest.mark.parametrize("session_id", ["s1", "0x0", "ж" * 128, "a" * 4])
def test_a_session_key_has_32_bits_and_is_not_0(session_id: str) -> None:
    assert 0 < session_key(session_id) < 2**32
    assert session_key(None) == 0
