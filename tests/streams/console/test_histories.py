"""Histories: sessions, answers and hit rates."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from streams.console.histories import EVENTS_KEPT, SHOPPERS_KEPT, WINDOW, Histories, decode_event
from tests.streams.console.harness import AT, answer, seen

ITEMS = [f"i{number}" for number in range(2, 22)]


def judged(histories: Histories) -> list[tuple[bool, bool, int | None]]:
    return [(each.listed, each.popular, each.rank) for each in histories.outcomes]


def test_the_next_item_is_compared_with_the_list_before_in_any_order_of_arrival() -> None:
    for late in (False, True):
        histories = Histories(popular=("i9", "i1", "i3"))
        histories.add_event(seen("e1"), 0.0)
        histories.add_list(answer("e1", ITEMS), 5.0)
        own = answer("e2", ["i4", *ITEMS[3:]])
        if not late:
            histories.add_list(own, 9.0)
        histories.add_event(seen("e2", item_id="i3"), 8.0)
        if late:
            histories.add_list(own, 9.0)
        assert judged(histories) == [(True, True, 2)]
        history = histories.of("ann")
        assert history is not None
        assert history.ranks == {"e2": 2}
        # The eleventh item is in the list, but not among the first ones, and nobody else acts on it.
        histories.add_list(answer("e3", ITEMS), 9.5)
        histories.add_event(seen("e4", item_id="i12"), 10.0)
        assert judged(histories)[1:] == [(False, False, 11)]


def test_repeated_actions_first_actions_and_actions_after_a_search_do_not_count() -> None:
    histories = Histories(popular=("i1",))
    histories.add_event(seen("e1"), 0.0)  # there is no list before
    histories.add_list(answer("e1", ITEMS), 1.0)
    histories.add_event(seen("e2", "cart"), 2.0)  # the item is in the session
    histories.add_event(seen("s1", "search"), 3.0)
    histories.add_list(answer("s1", ITEMS, type_="search"), 4.0)
    histories.add_event(seen("e3", item_id="i2"), 5.0)
    assert judged(histories) == []
    history = histories.of("ann")
    assert history is not None
    assert history.ranks == {"e3": 1}, "the page still shows that the item was in the list"


def test_popular_items_of_the_session_do_not_take_places() -> None:
    popular = tuple(f"i{number}" for number in range(1, 14))
    histories = Histories(popular=popular)
    for number in range(1, 4):
        histories.add_event(seen(f"e{number}", item_id=f"i{number}"), 0.0)
        histories.add_list(answer(f"e{number}", ["i99"]), 0.0)
    histories.add_event(seen("last", item_id="i13"), 0.0)
    assert judged(histories)[-1] == (False, True, None)


@pytest.mark.parametrize(
    ("first", "second", "counts"),
    [
        ({"session_id": "a"}, {"session_id": "a"}, False),
        ({"session_id": "a"}, {"session_id": "b"}, True),
        ({}, {"occurred_at": AT + timedelta(minutes=29)}, False),
        ({}, {"occurred_at": AT + timedelta(minutes=31)}, True),
    ],
)
def test_an_item_counts_again_in_another_session(
    first: dict[str, object], second: dict[str, object], counts: bool
) -> None:
    histories = Histories(popular=("i1",))
    histories.add_event(msgspec.structs.replace(seen("e1"), **first), 0.0)
    histories.add_list(answer("e1", ["i1"]), 1.0)
    histories.add_event(msgspec.structs.replace(seen("e2"), **second), 2.0)
    assert len(judged(histories)) == counts


def test_lists_are_timed_by_their_events_and_repeats_do_not_count() -> None:
    histories = Histories()
    histories.add_event(seen("e1"), 100.0)
    histories.add_event(seen("e1"), 900.0)
    found = histories.add_list(answer("e1", ITEMS), 107.0)
    assert found is not None
    assert found.took_ms == 7.0
    assert histories.add_list(answer("e1", ITEMS), 950.0) is None
    assert (histories.events, histories.lists) == (1, 1)
    early = histories.add_list(answer("unknown", ITEMS), 1.0)
    assert early is not None
    assert early.took_ms is None
    assert histories.add_list(b"{", 1.0) is None


def test_what_is_kept_is_bounded() -> None:
    histories = Histories()
    for number in range(SHOPPERS_KEPT + 10):
        histories.add_event(seen(f"e{number}", user=f"u{number}"), 0.0)
    assert histories.of("u0") is None
    assert histories.recent(2) == [f"u{SHOPPERS_KEPT + 9}", f"u{SHOPPERS_KEPT + 8}"]
    for number in range(EVENTS_KEPT + 10):
        histories.add_event(seen(f"f{number}", user="u400"), 0.0)
    history = histories.of("u400")
    assert history is not None
    assert len(history.events) == EVENTS_KEPT


def test_a_running_hit_rate_needs_a_window_of_actions() -> None:
    histories = Histories(popular=("none",))
    for number in range(WINDOW + 2):
        histories.add_list(answer(f"l{number}", [f"x{number}"] if number % 2 else ["other"]), 0.0)
        histories.add_event(seen(f"e{number}", item_id=f"x{number}"), 0.0)
    assert histories.hit_rates() == (0.5, 0.0, WINDOW + 2)
    lines = histories.hits_over_time()
    assert lines["lists"] == [0.5] * 3
    assert lines["popular items"] == [0.0] * 3


def test_messages_that_are_no_events_are_skipped() -> None:
    nested = b'{"context":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for value in (None, b"", b"{}", b'{"type": 3}', b"\xff", nested):
        assert decode_event(value, None) is None
        assert value is None or Histories().add_list(value, 0.0) is None
    event = decode_event(
        b'{"type":"view","event_id":"e","user_id":"u","occurred_at":"2017-01-01T10:00:00Z","item_id":"i"}', b"i7 i8"
    )
    assert event is not None
    assert event.bought_next == ("i7", "i8")
    assert event.interaction.type == "view"
