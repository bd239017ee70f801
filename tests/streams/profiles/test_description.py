"""A profile is described in words as far as the catalogue has them, for people and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inference.types import Item, SessionItems, stable_key
from streams.profiles import codec
from streams.profiles.description import Names, describe, describe_sessions
from streams.profiles.profile import empty
from tests.streams.profiles.versions import VERSION_1, VERSION_4, VERSION_5
from tests.streams.shoppers import NOW_MS, act, at, fold_batch, search

SHOE = Item(item_id="shoe", title="Trail shoe", category=("Sport", "Shoes"), brand="Fjell", price=80.0)
NAMES = Names.of([SHOE], ["clicks", "searches"])


def described(*history: Any) -> dict[str, Any]:
    stored = fold_batch(None, list(history))[0]
    description = describe(codec.read(stored), NAMES)
    assert json.loads(json.dumps(description)) == description
    return description


def test_items_searches_and_positions_have_their_names() -> None:
    found = described(
        (search("trail shoes", NOW_MS), at(5, NOW_MS, "searches")),
        (act("view", "shoe", NOW_MS + 1000, "s1"), at(7, NOW_MS + 1000)),
        (act("view", "gone", NOW_MS + 2000), at(8, NOW_MS + 2000)),
    )
    gone, shoe = found["recent_items"]
    assert shoe["item_id"], shoe["title"] == ("shoe", "Trail shoe")
    assert (shoe["action"], shoe["at"][:19]) == ("view", found["session_started_at"][:17] + shoe["at"][17:19])
    assert shoe["session"] is not None
    assert gone["item_key"] == f"{stable_key('gone'):016x}"
    assert gone["session"] is None
    assert [each["text"] for each in found["searches"]] == ["trail shoes"]
    assert {each["topic"]: each["offset"] for each in found["positions"]} == {"clicks": 8, "searches": 5}
    assert found["updated_at"].endswith("Z")


def test_earlier_items_of_the_session_are_counted() -> None:
    history = [(act("view", f"i{number}", NOW_MS + number), at(number)) for number in range(30)]
    assert described(*history)["earlier_items_in_session"] == 6


def test_habits_have_their_interval_after_the_second_purchase() -> None:
    day_ms = 86_400_000
    once = described((act("purchase", "shoe", NOW_MS), at(1)))
    assert [(each["item_id"], each["usual_interval_days"]) for each in once["habits"]] == [("shoe", None)]
    twice = described(
        (act("purchase", "shoe", NOW_MS), at(1)),
        (act("purchase", "shoe", NOW_MS + 7 * day_ms), at(2, NOW_MS + 7 * day_ms)),
    )
    assert [each["usual_interval_days"] for each in twice["habits"]] == [7.0]


def test_an_empty_profile_and_all_versions_are_described() -> None:
    nothing = describe(empty(8, 5), NAMES)
    assert nothing["updated_at"] is None
    assert nothing["prices"] is None
    for stored in (VERSION_1, VERSION_4, VERSION_5):
        assert describe(codec.read(stored), NAMES)["updated_at"] is not None


def test_labels_have_their_names_and_shares() -> None:
    found = describe(codec.read(VERSION_5), Names.of([], []))
    assert sum(each["share"] for each in found["categories"]) == pytest.approx(1.0, abs=1e-3)


def test_sessions_are_described_newest_first() -> None:
    older = SessionItems(key=1, at_ms=1000, items=(stable_key("shoe"),))
    newest, oldest = describe_sessions([older, SessionItems(key=2, at_ms=2000, items=(3,))], NAMES)
    assert (newest["session_key"], newest["at"]) == (f"{2:016x}", "1970-01-01T00:00:02.000Z")
    assert newest["items"] == [{"item_key": f"{3:016x}"}]
    assert oldest["items"] == [{"item_id": "shoe", "title": "Trail shoe"}]
