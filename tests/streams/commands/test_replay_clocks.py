"""`replay` on small files that once gave wrong lists: clocks, repeats, session ids, blank searches, ties."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.streams.desk import Desk

TITLES = {"a": "Watering can", "b": "Garden hose", "c": "Rake", "d": "Spade", "e": "Plant pot", "f": "Gloves"}
CATALOGUE = "\n".join(
    json.dumps({"item_id": item, "title": title, "category": ["Garden"]}) for item, title in TITLES.items()
)


def event(kind: str, event_id: str, user: str, item: str, at: str, **more: str) -> dict[str, Any]:
    return {"type": kind, "event_id": event_id, "user_id": user, "item_id": item, "occurred_at": f"{at}Z", **more}


LAST = event("view", "last", "new", "a", "2026-01-01T12:00:00")
OK = [
    event("view", f"v{n}{item}", f"u{n}", item, f"2026-01-01T0{n}:0{minute}:00")
    for n in range(6)
    for minute, item in enumerate("ab")
] + [LAST]
FUTURE = event("view", "clock", "x", "f", "2037-05-05T00:00:00")
PURCHASES = [
    event("purchase", f"p{n}", "u", "e", f"{day}T10:00:00")
    for n, day in enumerate(("2026-01-01", "2026-01-08", "2026-01-15", "2026-01-22", "2026-02-01", "2026-02-08"))
]
LATER = event("view", "last", "u", "c", "2026-02-20T10:00:00")
ORDER = event("purchase", "order-1-line-1", "u", "e", "2026-01-01T10:00:00")
AFTER = event("view", "last", "u", "c", "2026-02-01T10:00:00")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.file("items.jsonl").write_text(CATALOGUE)
    return desk


def replayed(desk: Desk, events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the lists of the events by event id. The last list of an id counts."""
    desk.file("events.jsonl").write_text("\n".join(map(json.dumps, events)))
    result = desk.replay()
    assert result.exit_code == 0, result.output
    assert [each["trigger"]["event_id"] for each in desk.lists()] == [each["event_id"] for each in events]
    return {each["trigger"]["event_id"]: each for each in desk.lists()}


def sources(answer: dict[str, Any]) -> dict[str, list[str]]:
    return {item["item_id"]: item["sources"] for item in answer["items"]}


def reasons(answer: dict[str, Any]) -> dict[str, str]:
    return {item["item_id"]: item["reason"] for item in answer["items"]}


def test_one_event_dated_later_than_now_changes_no_other_list(desk: Desk) -> None:
    expected = sources(replayed(desk, OK)["last"])
    assert {"together", "sessions", "trending"} <= {name for names in expected.values() for name in names}
    found = replayed(desk, [FUTURE, *OK])
    for item in set(TITLES) - {"a", "f"}:
        assert sources(found["last"])[item] == expected[item]
    assert set(sources(found["last"])["b"]) >= {"together", "sessions"}


def test_a_file_with_the_newest_event_first_gives_the_same_lists(desk: Desk) -> None:
    in_order = replayed(desk, OK)
    assert {each: found["items"] for each, found in replayed(desk, OK[::-1]).items()} == {
        each: found["items"] for each, found in in_order.items()
    }


@pytest.mark.parametrize("session_id", ["(not set)", "one id for weeks", "0"])
def test_a_session_id_for_weeks_hides_no_item(desk: Desk, session_id: str) -> None:
    expected = replayed(desk, [*PURCHASES, LATER])["last"]
    assert reasons(expected)["e"].startswith("you buy this about every")
    named = [{**each, "session_id": session_id} for each in (*PURCHASES, LATER)]
    assert replayed(desk, named)["last"]["items"] == expected["items"]


def test_one_purchase_that_is_sent_twice_is_no_rhythm(desk: Desk) -> None:
    once = replayed(desk, [ORDER, AFTER])["last"]
    again = {**ORDER, "occurred_at": "2026-01-02T09:00:00Z"}
    twice = replayed(desk, [ORDER, again, AFTER])["last"]
    assert twice["items"] == once["items"]
    assert "about every" not in json.dumps(twice)
    first, second = (each for each in desk.lists() if each["trigger"]["event_id"] == ORDER["event_id"])
    assert first["recommendation_id"] == second["recommendation_id"]
    assert (first["trigger"]["offset"], second["trigger"]["offset"]) == (0, 1)


def test_a_purchase_of_1970_is_no_rhythm(desk: Desk) -> None:
    purchases = [{**ORDER, "occurred_at": "1970-01-01T00:00:00Z"}, {**ORDER, "event_id": "order-2"}]
    assert "about every" not in json.dumps(replayed(desk, [*purchases, AFTER])["last"])


@pytest.mark.parametrize("query", ["  ", "\u00a0", "\u200b", ".", "🎁", "&nbsp;"])
def test_a_blank_search_gets_a_list_without_a_text_intent(desk: Desk, query: str) -> None:
    search = {"type": "search", "event_id": "s", "user_id": "u", "query": query, "occurred_at": "2026-01-01T10:00:00Z"}
    answer = replayed(desk, [*OK[:-1], search])["s"]
    assert answer["items"]
    assert (answer["intent"], answer["fallback"]) == ([], None)
    assert "search" not in json.dumps(reasons(answer))
    assert not {"query", "words"} & {name for names in sources(answer).values() for name in names}


def test_a_search_for_an_item_id_finds_the_item(desk: Desk) -> None:
    items = [{"item_id": f"GRD-{n}", "title": title} for n, title in enumerate(TITLES.values())]
    desk.file("items.jsonl").write_text("\n".join(map(json.dumps, items)))
    search = {
        "type": "search",
        "event_id": "s",
        "user_id": "u",
        "query": "grd-3",
        "occurred_at": "2026-01-01T10:00:00Z",
    }
    assert replayed(desk, [search])["s"]["items"][0]["item_id"] == "GRD-3"


def test_a_catalogue_with_a_byte_order_mark_is_read(desk: Desk) -> None:
    expected = replayed(desk, OK)["last"]
    desk.file("items.jsonl").write_text(CATALOGUE, encoding="utf-8-sig")
    assert replayed(desk, OK)["last"]["items"] == expected["items"]


def test_the_order_of_events_of_one_time_makes_no_difference(desk: Desk) -> None:
    days = [f"2026-01-{day:02}T00:00:00" for day in (1, 2, 3)]
    events = [
        event(kind, f"{day}-{user}-{item}", user, item, day)
        for day in days
        for user, items in (("u", "abcd"), ("v", "bce"), ("w", "adf"))
        for item, kind in zip(items, ("view", "cart", "purchase", "purchase"), strict=False)
    ]
    events += [
        {"type": "search", "event_id": f"s{day}", "user_id": "u", "query": "pot", "occurred_at": f"{day}Z"}
        for day in days
    ]
    expected = replayed(desk, events)
    for seed in range(3):
        shuffled = random.Random(seed).sample(events, len(events))
        assert {key: _contents(found) for key, found in replayed(desk, shuffled).items()} == {
            key: _contents(found) for key, found in expected.items()
        }


def _contents(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a list without its place in Kafka, which a replay numbers in order."""
    return {name: answer[name] for name in ("user_id", "items", "intent", "fallback", "produced_at")}
