"""Files of events in any order, with wrong clocks and with repeats, in order of time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contracts.messages import Interaction, occurred_ms
from streams.contracts.serde import encode_json
from streams.errors import InvalidLine
from streams.event_log import EventLog, Repeats, ends_of_ties, in_file_order, read_event_log, without_repeats
from streams.profiles.layout import RECENT_EVENTS
from tests.streams.shoppers import NOW_MS, act, moment, search

SKEW_MS = 60_000


def named(event_id: str, at_ms: int, item_id: str = "a", user_id: str = "u") -> Interaction:
    return msgspec.structs.replace(act("view", item_id, at_ms, user_id=user_id), event_id=event_id)


def read(folder: Path, *events: Interaction) -> tuple[EventLog, list[str]]:
    path, notes = folder / "events.jsonl", list[str]()
    path.write_bytes(b"\n".join(map(encode_json, events)))
    return read_event_log(path, SKEW_MS, now_ms=NOW_MS, warn=notes.append), notes


def ids(log: EventLog) -> list[str]:
    return [each.event_id for each in log.interactions]


def test_events_in_order_stay_as_they_are(tmp_path: Path) -> None:
    events = [named(str(n), NOW_MS - 10 + n) for n in range(5)]
    log, notes = read(tmp_path, *events)
    assert (log.interactions, log.places, notes) == (events, [0, 1, 2, 3, 4], [])


def test_producers_follow_their_events(tmp_path: Path) -> None:
    lines = [encode_json(named(str(n), NOW_MS - n))[:-1] + b', "ce_source": "p%d"}' % n for n in range(3)]
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(lines))
    log = read_event_log(path, SKEW_MS, now_ms=NOW_MS, warn=lambda _: None)
    assert (ids(log), log.producers) == (["2", "1", "0"], ["p2", "p1", "p0"])


def test_a_file_with_the_newest_event_first_is_sorted_and_named(tmp_path: Path) -> None:
    log, notes = read(tmp_path, *(named(str(n), NOW_MS - n) for n in range(4)))
    assert (ids(log), log.places) == (["3", "2", "1", "0"], [3, 2, 1, 0])
    assert len(notes) == 1
    assert f"{tmp_path / 'events.jsonl'}:2:" in notes[0]
    assert "2 others" in notes[0]


def test_an_event_later_than_now_counts_at_the_time_of_its_neighbour(tmp_path: Path) -> None:
    future_ms = NOW_MS + 10 * 365 * 86_400_000
    soon = named("soon", NOW_MS + SKEW_MS)
    events = [named("a", future_ms), named("b", NOW_MS - 9), named("c", future_ms), named("d", NOW_MS - 5), soon]
    log, notes = read(tmp_path, *events)
    assert {each.event_id: occurred_ms(each) for each in log.interactions} == {
        "a": NOW_MS - 9, "b": NOW_MS - 9, "c": NOW_MS - 9, "d": NOW_MS - 5, "soon": NOW_MS + SKEW_MS,
    }  # fmt: skip
    assert log.interactions[-1] is not soon
    assert log.interactions[-1] == soon
    assert len(notes) == 1
    assert ":1:" in notes[0]
    assert "1 others" in notes[0]
    alone, _ = read(tmp_path, named("a", future_ms))
    assert alone.interactions[0].occurred_at == moment(NOW_MS)


def test_an_invalid_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(encode_json(named("a", NOW_MS)) + b"\n{}\n")
    with pytest.raises(InvalidLine, match=":2"):
        read_event_log(path, SKEW_MS)


@given(st.permutations(range(12)))
def test_the_order_of_lines_makes_no_difference(numbers: list[int]) -> None:
    def log_of(order: list[int]) -> list[str]:
        events = [named(f"e{n}", NOW_MS - n % 3, f"i{n:02}", f"u{n % 2}") for n in order]
        path = Path(folder) / "events.jsonl"
        path.write_bytes(b"\n".join(map(encode_json, events)))
        return ids(read_event_log(path, SKEW_MS, now_ms=NOW_MS, warn=lambda _: None))

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        assert log_of(numbers) == log_of(sorted(numbers))


def test_the_order_of_one_time_is_that_of_no_item(tmp_path: Path) -> None:
    """Otherwise the next item of a basket could be learned from the order of the file."""
    orders = set()
    for number in range(20):
        log, _ = read(tmp_path, *(named(f"{number}-{item}", NOW_MS, item) for item in "abc"))
        orders.add(tuple(each.item_id for each in log.interactions if not hasattr(each, "query")))
    assert len(orders) > 3


def test_repeats_are_left_out_like_in_profiles() -> None:
    others = [named(f"o{n}", NOW_MS, f"i{n}") for n in range(RECENT_EVENTS)]
    first, again = named("e", NOW_MS), named("e", NOW_MS + 86_400_000)
    assert list(without_repeats([first, again])) == [first]
    assert list(without_repeats([first, *others[:-1], again])) == [first, *others[:-1]]
    assert list(without_repeats([first, *others, again])) == [first, *others, again]
    different = [first, named("e", NOW_MS, "b"), named("e", NOW_MS, user_id="v"), search("a", NOW_MS)]
    assert list(without_repeats(different)) == different
    placeholders = [named("null", NOW_MS)] * 2
    assert list(without_repeats(placeholders)) == placeholders


def test_nothing_is_kept_of_a_forgotten_shopper() -> None:
    repeats, event = Repeats(), named("e", NOW_MS)
    assert [repeats.is_repeat(event), repeats.is_repeat(event)] == [False, True]
    repeats.forget(event.user_id)
    assert not repeats.is_repeat(event)


def test_the_last_event_of_a_shopper_at_a_time() -> None:
    events = [named("0", 0), named("1", 5), named("2", 5, user_id="v"), named("3", 5), named("4", 6), named("5", 6)]
    assert ends_of_ties(events) == [0, 3, 2, 3, 5, 5]
    assert ends_of_ties([]) == []


@given(st.permutations(range(8)))
def test_values_return_to_the_order_of_the_file(places: list[int]) -> None:
    values = [str(place).encode() for place in places]
    assert list(in_file_order(places, values)) == [str(place).encode() for place in range(8)]


def test_events_of_offsets_from_utc_are_sorted_by_time(tmp_path: Path) -> None:
    early = msgspec.structs.replace(named("early", NOW_MS), occurred_at=moment(NOW_MS) - timedelta(hours=1))
    assert ids(read(tmp_path, named("late", NOW_MS), early)[0]) == ["early", "late"]
