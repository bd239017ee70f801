"""Derived attributes in filters and facets: they add to the shop's own values, and change no order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.attributes.names import NAMES
from inference.records import Facets, Item
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.filters import Conditions, Filter
from inference.retrieval.vectors import quantise
from inference.types import stable_key
from tests.inference.catalogues import DIM, NUMBERS, unit_vectors

ITEMS = (
    Item(item_id="0", title="Fjell cup", brand="Fjell", attributes={"colour": "Black"}),
    Item(item_id="1", title="Fjell mug, black", brand="FJELL", attributes={"Color": "black"}),
    Item(item_id="2", title="Fjell pot black 500 ml", brand=None),
    Item(item_id="3", title="Acme pot red 6-pack", brand="Acme"),
    Item(item_id="4", title="Acme pot gray", attributes={"colour": "Grey"}),
    Item(item_id="5", title="Fjell plate gray", attributes={"capacity": "0.5 l"}),
)
VECTORS = quantise(unit_vectors(len(ITEMS)))


def shop(items: tuple[Item, ...] = ITEMS, derived: tuple[str, ...] = NAMES) -> Catalogue:
    catalogue = Catalogue(DIM, numbers=NUMBERS, derived=derived)
    for item, vector in zip(items, VECTORS, strict=True):
        catalogue.upsert(item, vector)
    return catalogue


def passing(catalogue: Catalogue, **conditions: object) -> set[str]:
    wanted = Filter(**conditions)  # type: ignore[arg-type]
    mask = catalogue.find_matching((wanted,)).mask
    found = {catalogue.item(row).item_id for row in np.flatnonzero(mask).tolist()}
    items = {stable_key(each.item_id): each for each in catalogue.items if each is not None}
    values = catalogue.derived_values(items)
    assert {each.item_id for key, each in items.items() if wanted.accepts(each, values[key])} == found
    return found


def facets(catalogue: Catalogue) -> Facets:
    return catalogue.facets(np.arange(catalogue.used, dtype=np.int32))


def test_filters_see_own_and_derived_values() -> None:
    catalogue = shop()
    assert passing(catalogue, attributes={"colour": ("Black",)}) == {"0", "2"}
    assert passing(catalogue, attributes={"colour": ("black",)}) == {"1", "2"}, "a synonym of the shop's name"
    assert passing(catalogue, attributes={"Color": ("black",)}) == {"1", "2"}
    assert passing(catalogue, attributes={"colour": ("gray", "Grey")}) == {"4", "5"}
    assert passing(catalogue, attributes={"quantity": ("6",)}) == {"3"}
    assert passing(catalogue, attributes={"capacity": ("500ml",)}) == {"2"}
    assert passing(catalogue, brands=("Fjell",)) == {"0", "2", "5"}
    assert passing(catalogue, brands=("<b>Fjell</b>&nbsp;",)) == {"0", "2", "5"}
    assert passing(catalogue, brands=("Acme",)) == {"3"}, "one item is too few to derive a brand"
    without = Conditions(attributes={"colour": ("black", "Black")})
    assert passing(catalogue, without=(without,)) == {"3", "4", "5"}


def test_without_derivation_filters_see_the_shops_values_only() -> None:
    catalogue = shop(derived=())
    assert passing(catalogue, attributes={"colour": ("black", "Black")}) == {"0"}
    assert passing(catalogue, brands=("Fjell",)) == {"0"}
    assert facets(catalogue).attributes == ()
    assert [each.derived for each in facets(catalogue).brands] == [0, 0, 0]


def test_facets_count_and_mark_derived_values() -> None:
    found = facets(shop())
    assert [(each.brand, each.count, each.derived) for each in found.brands] == [
        ("FJELL", 3, 2), ("Fjell", 3, 2), ("Acme", 1, 0),
    ]  # fmt: skip
    colours = next(each for each in found.attributes if each.name == "colour")
    assert [(each.value, each.count, each.derived) for each in colours.values] == [
        ("Black", 2, 1), ("Grey", 2, 1), ("black", 2, 1), ("red", 1, 1),
    ]  # fmt: skip


def test_each_facet_is_a_filter_that_finds_as_many_items() -> None:
    catalogue = shop()
    found = facets(catalogue)
    assert len(found.attributes) == 3
    for facet in found.attributes:
        for each in facet.values:
            assert len(passing(catalogue, attributes={facet.name: (each.value,)})) == each.count, each
    for brand in found.brands:
        assert len(passing(catalogue, brands=(brand.brand,))) == brand.count


def test_the_columns_of_the_ranker_hold_the_shops_values_only() -> None:
    with_derived, without = shop(), shop(derived=())
    for name, column in with_derived.columns._asdict().items():
        np.testing.assert_array_equal(column, getattr(without.columns, name), err_msg=name)
    assert with_derived.items == list(ITEMS)


CHANGES = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, 0, 1, 2, 3, 4, 5])), max_size=25)


@pytest.mark.kernel
@given(CHANGES)
def test_derived_values_depend_on_the_present_items_only(changes: list[tuple[int, int | None]]) -> None:
    """Items come, change and go in any order: the result is that of a new catalogue with the items that are left."""
    catalogue, held = Catalogue(DIM, numbers=NUMBERS, derived=NAMES), dict[str, Item]()
    for place, kind in changes:
        item_id = f"item{place}"
        if kind is None:
            catalogue.remove(item_id)
            held.pop(item_id, None)
        else:
            sample = ITEMS[kind]
            held[item_id] = Item(item_id=item_id, title=sample.title, brand=sample.brand, attributes=sample.attributes)
            catalogue.upsert(held[item_id], VECTORS[place])
    fresh = Catalogue(DIM, numbers=NUMBERS, derived=NAMES)
    for item in held.values():
        fresh.upsert(item, VECTORS[0])
    rows = np.array([row for row, item in enumerate(catalogue.items) if item is not None], dtype=np.int32)
    assert catalogue.facets(rows) == facets(fresh)
    for value in ("black", "grey", "red"):
        wanted = {"attributes": {"colour": (value,)}}
        assert passing(catalogue, **wanted) == passing(fresh, **wanted)
