"""Filters: their meaning for one item, and lists with filters compared with a filter of the whole catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.pipeline import retrieve
from inference.queries import QueryBatch
from inference.retrieval.behaviour import make_sources
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.filters import Conditions, Filter, Filters
from inference.retrieval.matching import MASKS
from inference.retrieval.shortlists import Shortlists
from inference.retrieval.sources import NAMES
from inference.retrieval.vectors import quantise
from inference.types import Habits, Item, Query, Remembered, stable_key
from tests.inference.catalogues import DIM, NUMBERS, indexed, queries_of, unit_vectors
from tests.inference.retrieval.behaviours import keys, learned

pytestmark = pytest.mark.kernel

ITEMS = 320
START = datetime(2026, 1, 1, tzinfo=UTC)
CATEGORIES = ((), ("Food",), ("Food", "Snacks"), ("Food", "Snacks", "Chips"), ("Drinks", "Snacks"), ("Drinks", "Tea"))


def item(number: int) -> Item:
    """Return an item whose fields follow from its number, each field also missing at times."""
    return Item(
        item_id=str(number),
        title=f"words {number}",
        category=CATEGORIES[number % len(CATEGORIES)],
        brand=(None, "Ana &amp; Bo", "Cid")[number % 3],
        seller=(None, "north", "south", "west")[number % 4],
        price=None if number % 10 == 0 else (number % 23) * 1.1,
        currency=None if number % 10 == 0 else ("EUR", "USD")[number % 2],
        released_at=None if number % 7 == 0 else START + timedelta(days=number % 40),
        attributes={} if number % 5 == 0 else {"colour": ("red", "blue", "Green")[number % 3], "size": str(number % 4)},
        in_stock=number % 6 != 5,
    )


def catalogue_of(numbers: Sequence[int], exact_limit: int = 10**6) -> Catalogue:
    catalogue = Catalogue(DIM, exact_limit=exact_limit, numbers=NUMBERS)
    for number, vector in zip(numbers, quantise(unit_vectors(len(numbers))), strict=True):
        catalogue.upsert(item(number), vector)
    catalogue.set_popularity({stable_key(str(number)): 1 / (1 + number) for number in range(30)})
    catalogue.mark_seen(stable_key(str(number)) for number in range(100))
    return indexed(catalogue)


SHOP, LARGE_SHOP = catalogue_of(range(ITEMS)), catalogue_of(range(ITEMS), exact_limit=4)
SOURCES = make_sources(NAMES, learned())


def ids(shortlists: Shortlists, number: int, catalogue: Catalogue) -> list[str]:
    rows = shortlists.candidates.rows[shortlists.own(number)].tolist()
    return [catalogue.item(row).item_id for row in rows]


def listed(query: Query, *filters: Filter, catalogue: Catalogue = SHOP, limit: int = 20) -> list[str]:
    """Return the candidates of one query with filters, as many as it wants."""
    batch = QueryBatch.of([query], DIM).filtered([filters])
    return ids(retrieve(SOURCES, batch, catalogue, limit, 1), 0, catalogue)


labels = st.sampled_from(["Food", "Snacks", "Chips", "Tea", "Nothing", ("Food", "Snacks"), ("Snacks", "Chips")])
prices = st.none() | st.sampled_from([0.0, 1.1, 5.5, 9.9, 30.0])
fields = {
    "categories": st.lists(labels, max_size=2).map(tuple),
    "brands": st.lists(st.sampled_from(["Ana & Bo", "Cid", "Nobody"]), max_size=2).map(tuple),
    "sellers": st.lists(st.sampled_from(["north", "south"]), max_size=2).map(tuple),
    "attributes": st.dictionaries(
        st.sampled_from(["colour", "size", "weight"]),
        st.lists(st.sampled_from(["red", "Green", "1", "2"]), min_size=1, max_size=2).map(tuple),
        max_size=2,
    ),
    "min_price": prices,
    "max_price": prices,
    "currency": st.sampled_from([None, None, "EUR"]),
    "released_after": st.none() | st.integers(0, 40).map(lambda days: START + timedelta(days=days)),
}
conditions = st.fixed_dictionaries({}, optional=fields)
filters_of = st.builds(
    lambda own, without, **others: Filter(
        **own, without=tuple(Conditions(**each) for each in without if each), **others
    ),
    conditions,
    st.lists(conditions, max_size=2),
    in_stock=st.sampled_from([True, True, False, None]),
    exclude_items=st.lists(st.integers(0, ITEMS).map(str), max_size=60).map(tuple),
    exclude_bought=st.booleans(),
    exclude_session=st.sampled_from([None, False, True]),
)


def expected(query: Query, filters: Filters, catalogue: Catalogue) -> set[str]:
    """Return the ids of all items that a query may get, item by item."""
    last = [each.exclude_session for each in filters if each.exclude_session is not None]
    excluded = set(query.exclude.tolist()) if not last or last[-1] else set()
    if any(each.exclude_bought for each in filters):
        excluded |= set(query.habits.keys.tolist()) | {each.key for each in query.recent if each.action == "bought"}
    items = [catalogue.item(row) for row in range(catalogue.used)]
    return {
        each.item_id
        for each in items
        if all(own.accepts(each) for own in filters) and stable_key(each.item_id) not in excluded
    }


def shoppers(k: int) -> list[Query]:
    """Return shoppers of all kinds, also one without any data and one who bought items."""
    bought = keys(*range(0, 60, 2))
    ones = np.ones(len(bought), dtype=np.float32)
    buyer = Query(
        habits=Habits(bought, ones, ones, ones),
        recent=(Remembered(stable_key("7"), "bought"),),
        exclude=keys(7, 8),
        k=k,
    )
    return [*queries_of(4, k=k), Query(k=k), buyer]


@pytest.mark.parametrize("catalogue", [SHOP, LARGE_SHOP], ids=["exact", "approximate"])
@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(filters_of, max_size=2).map(tuple), min_size=6, max_size=6), st.integers(1, 40))
def test_lists_equal_those_of_a_filter_over_the_whole_catalogue(
    catalogue: Catalogue, filters: list[Filters], k: int
) -> None:
    queries = shoppers(k)
    batch = QueryBatch.of(queries, DIM)
    shortlists = retrieve(SOURCES, batch.filtered(filters), catalogue, 20, 1)
    without = retrieve(SOURCES, batch, catalogue, 20, 1)
    for number, (query, own) in enumerate(zip(queries, filters, strict=True)):
        found = ids(shortlists, number, catalogue)
        if not own:
            assert found == ids(without, number, catalogue)
            continue
        allowed = expected(query, own, catalogue)
        assert set(found) <= allowed
        assert len(set(found)) == len(found) == min(k, len(allowed))


def test_queries_without_filters_have_the_same_candidates_beside_others() -> None:
    batch = QueryBatch.of(queries_of(9), DIM)
    filtered = batch.filtered([(), (Filter(brands=("Cid",)),), ()] * 3)
    alone, mixed = retrieve(SOURCES, batch, SHOP, 20), retrieve(SOURCES, filtered, SHOP, 20)
    for number in (0, 2, 3, 5, 6, 8):
        for one, other in zip(alone.candidates[1:], mixed.candidates[1:], strict=True):
            assert one[alone.own(number)].tobytes() == other[mixed.own(number)].tobytes()
    assert batch.filtered([()] * 9) is batch


def test_every_source_finds_the_best_matching_items() -> None:
    """With an equal catalogue of the matching items alone, each source has the same hits."""
    cid = Filter(brands=("Cid",), max_price=11.0)
    matching = [number for number in range(ITEMS) if cid.accepts(item(number))]
    vectors = quantise(unit_vectors(ITEMS))
    small = Catalogue(DIM, numbers=NUMBERS)
    for number in matching:
        small.upsert(item(number), vectors[number])
    small.set_popularity({stable_key(str(number)): 1 / (1 + number) for number in range(30)})
    small.mark_seen(stable_key(str(number)) for number in range(100))
    batch = QueryBatch.of(queries_of(6), DIM)
    for source in SOURCES:
        if source.name == "words":
            continue  # the rarity of a word is that in the whole catalogue
        whole = retrieve([source], batch.filtered([(cid,)] * 6), SHOP, 15)
        alone = retrieve([source], batch, small, 15)
        for number in range(6):
            count = len(ids(alone, number, small))
            assert ids(whole, number, SHOP)[:count] == ids(alone, number, small), source.name


def test_a_list_is_filled_up_by_popularity_then_by_release() -> None:
    rare = Filter(brands=("Cid",), without=(Conditions(categories=("Snacks",)),))
    matching = [number for number in range(ITEMS) if rare.accepts(item(number))]
    released = {number: item(number).released_at or datetime.min.replace(tzinfo=UTC) for number in matching}
    order = sorted(
        matching,
        key=lambda number: (
            -(1 / (1 + number) if number < 30 else 0.0),
            -released[number].timestamp() if released[number].year > 1 else np.inf,
            stable_key(str(number)),
        ),
    )
    none = make_sources(["words"], learned())
    batch = QueryBatch.of([Query(k=40)], DIM).filtered([(rare,)])
    assert ids(retrieve(none, batch, SHOP, 20, 1), 0, SHOP) == [str(number) for number in order[:40]]


def test_excluded_items_take_no_places_of_the_nearest() -> None:
    """A shop asks for the next page of a list by excluding the pages before."""
    sources = make_sources(["short_term"], learned())
    query = Query(short_term=unit_vectors(1, DIM, 9)[0], k=10)
    shown: list[str] = []
    for _ in range(8):
        batch = QueryBatch.of([query], DIM).filtered([(Filter(exclude_items=tuple(shown)),)])
        shown += ids(retrieve(sources, batch, SHOP, 40, 1), 0, SHOP)[:10]
    whole = retrieve(sources, QueryBatch.of([query], DIM), SHOP, 80)
    assert shown == ids(whole, 0, SHOP)


def test_masks_follow_the_items() -> None:
    catalogue = catalogue_of(range(40))
    cheap = Filter(brands=("Cid",), max_price=10.0, attributes={"colour": ("Green",)}, in_stock=None)
    query = Query(k=400)

    def check() -> None:
        held = [catalogue.get(stable_key(str(number))) for number in range(400)]
        wanted = {each.item_id for each in held if each is not None and cheap.accepts(each)}
        assert set(listed(query, cheap, catalogue=catalogue)) == wanted

    check()
    vectors = quantise(unit_vectors(400))
    catalogue.upsert(msgspec.structs.replace(item(2), price=11.0), vectors[2])
    catalogue.upsert(
        msgspec.structs.replace(item(1), price=1.0, brand="Cid", attributes={"colour": "Green"}), vectors[1]
    )
    catalogue.remove("8")
    check()
    for number in range(40, 400):  # the columns grow
        catalogue.upsert(item(number), vectors[number])
    check()


def test_many_different_filters_keep_few_masks() -> None:
    catalogue = catalogue_of(range(40))
    for number in range(3 * MASKS):
        allowed = expected(Query(), (Filter(min_price=number / 10),), catalogue)
        assert set(listed(Query(k=40), Filter(min_price=number / 10), catalogue=catalogue)) == allowed


def test_several_filters_must_all_be_passed_and_the_last_decides_about_the_session() -> None:
    query = Query(exclude=keys(3, 9), k=ITEMS)
    food, cheap = Filter(categories=("Food",), exclude_session=False), Filter(max_price=5.5)
    found = set(listed(query, food, cheap))
    assert found == {
        each for each in map(str, range(ITEMS)) if food.accepts(item(int(each))) and cheap.accepts(item(int(each)))
    }
    assert "3" in found
    assert "3" not in listed(query, food, Filter(max_price=5.5, exclude_session=True))


def test_earlier_items_of_the_session_are_left_out_unless_a_filter_says_otherwise() -> None:
    food = Filter(categories=("Food",))
    matching = {str(number) for number in range(ITEMS) if food.accepts(item(number))}
    batch = QueryBatch.of([Query(k=ITEMS), Query(k=ITEMS)], DIM)
    batch.records["earlier_length"] = 3
    batch.records["earlier"][:, :3] = keys(1, 7, 13).astype(np.uint32)
    filtered = batch.filtered([(food,), (food, Filter(exclude_session=False))])
    found = retrieve(SOURCES, filtered, SHOP, 40)
    assert [set(ids(found, number, SHOP)) for number in range(2)] == [matching - {"1", "7", "13"}, matching]
    assert batch.records["earlier_length"].tolist() == [3, 3]


def test_a_filter_that_nothing_passes_gives_an_empty_list() -> None:
    assert listed(queries_of(2)[1], Filter(brands=("Nobody",))) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"brand": ["Cid"]}', "unknown field `brand`"),
        ('{"max_price": -1}', ">= 0.0"),
        ('{"categories": [""]}', "length >= 1"),
        ('{"without": [{"in_stock": true}]}', "unknown field `in_stock`"),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.json.decode(text, type=Filter)


def test_a_filter_is_read_from_json() -> None:
    text = '{"categories": ["Snacks", ["Drinks", "Tea"]], "attributes": {"colour": ["red"]}, "exclude_bought": true}'
    assert msgspec.json.decode(text, type=Filter) == Filter(
        categories=("Snacks", ("Drinks", "Tea")), attributes={"colour": ("red",)}, exclude_bought=True
    )
