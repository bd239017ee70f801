"""Data that are removed from events and items, by their effect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from inference.encoding.text import item_text, normalise_query
from inference.types import Item
from streams.contracts.messages import Interaction, Purchase, Search, View
from training.log import Log, read_log
from training.value.variants import (
    ATTRIBUTES,
    COMPLETE,
    FIELDS,
    Variant,
    context_keys,
    has_attribute,
    has_field,
    remaining_events,
    without_attributes,
)

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
ITEM = Item(
    item_id="i", title="Tea", description="Green", category=("Drinks",), brand="B", price=1.0, currency="EUR",
    attributes={"size": "1"}, released_at=NOON, seller="s", url="https://a.example/", image_url="https://a.example/i",
    list_price=2.0,
)  # fmt: skip


def events() -> list[Interaction]:
    shared: dict[str, Any] = {
        "user_id": "u",
        "session_id": "s",
        "recommendation_id": "r",
        "context": {"page": "home", "ab": 1},
    }
    return [
        Search(event_id="a", occurred_at=NOON - timedelta(days=9), query="tea", **shared),
        View(event_id="b", occurred_at=NOON - timedelta(days=2), item_id="i", price=3.0, **shared),
        Purchase(event_id="c", occurred_at=NOON, item_id="i", price=3.0, quantity=2.0, **shared),
        View(event_id="d", occurred_at=NOON + timedelta(hours=1), item_id="i", user_id="u"),
    ]


def log() -> Log:
    return read_log(events(), [ITEM], 30 * 60_000)


def kept(variant: Variant) -> list[Interaction]:
    return list(remaining_events(log(), variant, 2).interactions)


def test_the_whole_shop_keeps_all_events_as_they_are() -> None:
    found = remaining_events(log(), COMPLETE, 2)
    assert list(found.interactions) == events()
    assert found.numbers.tolist() == [0, 1, 2, 3]


def test_types_of_events_are_dropped_everywhere() -> None:
    found = remaining_events(log(), Variant(types=frozenset({"view"})), 2)
    assert [each.event_id for each in found.interactions] == ["a", "c"]
    assert found.numbers.tolist() == [0, 2]


def test_periods_of_history_are_dropped_before_the_test_period_only() -> None:
    assert [each.event_id for each in kept(Variant(ages=frozenset({(7.0, 30.0)})))] == ["b", "c", "d"]
    assert [each.event_id for each in kept(Variant(ages=frozenset({(1.0, 7.0), (7.0, 30.0)})))] == ["c", "d"]
    assert [each.event_id for each in kept(Variant(ages=frozenset({(-1.0, 1.0)})))] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_is_removed_and_no_other(name: str) -> None:
    for before, after in zip(events(), kept(Variant(fields=frozenset({name}))), strict=True):
        differing = {each for each in before.__struct_fields__ if getattr(before, each) != getattr(after, each)}
        assert differing <= {name}
        assert bool(differing) == bool(FIELDS[name](before, 0))
    assert has_field(events(), name)
    assert name == "user_id" or name == "occurred_at" or not has_field(events()[3:], name)


def test_a_search_without_its_text_is_a_search_without_words() -> None:
    found = kept(Variant(fields=frozenset({"query"})))[0]
    assert isinstance(found, Search)
    assert normalise_query(found.query) == ""


def test_without_the_shoppers_id_each_session_is_a_shopper() -> None:
    found = kept(Variant(fields=frozenset({"user_id"})))
    assert len({each.user_id for each in found}) == len(np.unique(log().session)) == 4


def test_without_the_time_of_day_only_dates_are_left() -> None:
    found = kept(Variant(fields=frozenset({"occurred_at"})))
    assert found[2].occurred_at == found[3].occurred_at == datetime(2026, 1, 10, tzinfo=UTC)


def test_keys_of_the_context_are_removed_one_by_one() -> None:
    assert kept(Variant(context=frozenset({"page"})))[0].context == {"ab": 1}
    assert context_keys(events()) == ["ab", "page"]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_is_removed_and_no_other(name: str) -> None:
    (found,) = without_attributes([ITEM], frozenset({name}))
    assert {each for each in ITEM.__struct_fields__ if getattr(ITEM, each) != getattr(found, each)} == {name}
    assert has_attribute([ITEM], name)
    assert not has_attribute([found], name)


def test_a_title_that_is_missing_adds_nothing_to_the_items_text() -> None:
    (found,) = without_attributes([ITEM], frozenset({"title"}))
    assert item_text(found) == "B. Drinks. Green"


def test_variants_are_joined_and_their_keys_identify_them() -> None:
    one = Variant(types=frozenset({"view", "cart"}))
    other = Variant(ages=frozenset({(1.0, 7.0)}), attributes=frozenset({"title"}))
    both = one | other
    assert (both.types, both.ages, both.attributes) == (one.types, other.ages, other.attributes)
    assert both.key == (other | one).key != one.key
    assert Variant(types=frozenset({"cart", "view"})).key == one.key


def test_without_events_their_fields_make_no_difference() -> None:
    every = frozenset({"view", "search"})
    nothing = Variant(types=every, fields=frozenset({"price"}), ages=frozenset({(1.0, 7.0)}))
    assert nothing.canonical(every) == Variant(types=every)
    some = Variant(types=frozenset({"view"}), fields=frozenset({"price"}))
    assert some.canonical(every) == some
