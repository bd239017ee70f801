from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from inference.types import Item
from streams.contracts import serde
from streams.contracts.messages import Interaction, Purchase, Search, View
from streams.demo.catalogue import DemoCatalogue, best_sellers
from streams.demo.data import BASKET_ITEMS, bought_next, busiest_households, most_faithful, shopping
from streams.demo.purchases import Purchases, read_purchases
from streams.demo.titles import package, product_name, query_of, readable

EVENTS = 1500


@pytest.fixture(scope="module")
def purchases() -> Purchases:
    return read_purchases()


@pytest.fixture(scope="module")
def catalogue(purchases: Purchases) -> DemoCatalogue:
    return best_sellers(purchases, 1000)


@pytest.fixture(scope="module")
def events(purchases: Purchases, catalogue: DemoCatalogue) -> list[Interaction]:
    return shopping(purchases.lines, catalogue, busiest_households(purchases.lines), EVENTS)


def by_user(events: list[Interaction]) -> dict[str, list[Interaction]]:
    users = defaultdict(list)
    for event in events:
        users[event.user_id].append(event)
    return users


def test_events_are_deterministic(purchases: Purchases, catalogue: DemoCatalogue, events: list[Interaction]) -> None:
    again = shopping(read_purchases().lines, best_sellers(purchases, 1000), busiest_households(purchases.lines), EVENTS)
    assert again == events
    shorter = shopping(purchases.lines, catalogue, busiest_households(purchases.lines), 100)
    assert shorter == events[:100]


def test_every_event_round_trips_through_the_contract(events: list[Interaction]) -> None:
    assert len(events) == EVENTS
    for event in events:
        decode = serde.decode_search if isinstance(event, Search) else serde.decode_item_action
        assert decode(event.user_id.encode(), serde.encode_json(event)) == event


def test_ids_are_unique_and_items_are_of_the_catalogue(events: list[Interaction], catalogue: DemoCatalogue) -> None:
    assert len({event.event_id for event in events}) == EVENTS
    known = {item.item_id for item in catalogue.items}
    assert {event.item_id for event in events if not isinstance(event, Search)} <= known


def test_events_are_in_order_of_time_for_each_shopper_and_day(events: list[Interaction]) -> None:
    for own in by_user(events).values():
        assert all(one.occurred_at <= other.occurred_at for one, other in pairwise(own))
    paid = [event.occurred_at.date() for event in events if isinstance(event, Purchase)]
    assert paid == sorted(paid)


def test_every_event_but_purchases_is_marked_as_synthetic(events: list[Interaction]) -> None:
    assert {event.type for event in events} == {"search", "view", "cart", "purchase"}
    for event in events:
        assert event.context == ({} if isinstance(event, Purchase) else {"synthetic": True})


def test_a_purchased_item_was_viewed_in_the_same_session(events: list[Interaction]) -> None:
    viewed: set[tuple[str | None, str]] = set()
    for event in events:
        if isinstance(event, Purchase):
            assert (event.session_id, event.item_id) in viewed
        elif not isinstance(event, Search):
            viewed.add((event.session_id, event.item_id))


def test_baskets_are_bounded_and_shoppers_alternate(events: list[Interaction]) -> None:
    bought: defaultdict[str | None, int] = defaultdict(int)
    for event in events:
        bought[event.session_id] += isinstance(event, Purchase)
    assert max(bought.values()) <= BASKET_ITEMS
    assert len({event.user_id for event in events[:100]}) > 10


def test_the_most_faithful_shopper_has_the_most_days(events: list[Interaction]) -> None:
    days = {user: len({event.occurred_at.date() for event in own}) for user, own in by_user(events).items()}
    assert days[most_faithful(events)] == max(days.values())


def test_catalogue_items_are_unique_valid_and_readable(catalogue: DemoCatalogue) -> None:
    items: tuple[Item, ...] = catalogue.items
    assert len(items) == 1000
    assert len({(item.title, item.brand, item.category) for item in items}) == 1000
    for item in items:
        assert serde.parse_item(serde.encode_json(item)) == item
        assert item.price is None or item.price > 0
        assert item.brand in {"National brand", "Private label"}
        assert item.title.count("(") == item.title.count(")")
        assert item.title == item.title.strip(" -/&:,")
        assert "  " not in item.title


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        ("FRZN SS PREMIUM ENTREES/DNRS/N", "Frozen Single Serve Premium Entrees/Dinners"),
        ("SOFT DRINKS 12/18&15PK CAN CAR", "Soft Drinks 12/18 & 15 Pack Can"),
        ("POTATOES RUSSET (BULK&BAG)", "Potatoes Russet"),
        ("CANDY BARS (SINGLES)(INCLUDING", "Candy Bars (Singles)"),
        ("SW GDS:DONUTS", "Sweet Goods: Donuts"),
        ("MISC. DAIRY", "Miscellaneous Dairy"),
        ("CHICKEN BREAST BONE IN", "Chicken Breast Bone In"),
    ],
)
def test_an_abbreviated_product_text_is_expanded(raw: str, title: str) -> None:
    assert readable(raw, frozenset({"ENTREES", "PREMIUM", "CAN"})) == title


def test_a_modifier_is_named_after_its_category() -> None:
    assert product_name("SUPER", "ICE CREAM/MILK/SHERBTS") == "Ice Cream, Super"
    assert product_name("CHOICE BEEF", "BEEF") == "Choice Beef"


@pytest.mark.parametrize(
    ("raw", "size"), [("1 GA", "1 gal"), (".23 OZ", "0.23 oz"), ("PT", None), ("L   .15 OZ", None), (None, None)]
)
def test_a_package_size_is_parsed_or_none(raw: str | None, size: str | None) -> None:
    assert package(raw) == size


def test_the_weight_of_a_crate_is_no_package_size() -> None:
    assert package("40 LB", produce=True) is None
    assert package("16 OZ", produce=True) == "16 oz"


def test_what_a_visit_buys_later_is_known_of_each_event() -> None:
    at = datetime(2017, 1, 1, tzinfo=UTC)
    given: tuple[tuple[str, type[View | Purchase], str], ...] = (
        ("a", View, "1"), ("b", View, "9"), ("a", View, "2"),
        ("a", Purchase, "1"), ("b", View, "8"), ("a", Purchase, "2"),
    )  # fmt: skip
    events: list[Interaction] = [
        kind(event_id=f"e{n}", user_id="u", session_id=visit, occurred_at=at, item_id=item)
        for n, (visit, kind, item) in enumerate(given)
    ]
    found = {event_id: set(items) for event_id, items in bought_next(events).items()}
    assert found == {"e0": {"1", "2"}, "e2": {"1", "2"}, "e3": {"2"}}


def test_a_query_is_a_shortened_title() -> None:
    assert query_of("Fluid Milk White only") == "fluid milk white"
