"""One contract for both kinds of search: added items are found, removed and sold-out items are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.kernels.votes import ItemNumbers
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.shortlists import Found
from inference.retrieval.vectors import quantise
from inference.types import Item, Vector, stable_key
from tests.inference.catalogues import DIM, catalogue_of, clustered, indexed, item, unit_vectors

LIMITS = {"exact": 10**6, "approximate": 4}


@pytest.fixture(params=LIMITS)
def exact_limit(request: pytest.FixtureRequest) -> int:
    return LIMITS[request.param]


def found_ids(catalogue: Catalogue, found: Found) -> list[str]:
    return [catalogue.item(row).item_id for row in found.rows]


def nearest(catalogue: Catalogue, vector: Vector, limit: int) -> list[str]:
    (found,) = indexed(catalogue).search(vector[None], limit)
    return found_ids(catalogue, found)


def test_an_items_own_vector_finds_it_first(exact_limit: int) -> None:
    vectors = unit_vectors(300)
    catalogue = catalogue_of(vectors, exact_limit=exact_limit)
    assert [found_ids(catalogue, found)[0] for found in catalogue.search(vectors, 5)] == [str(n) for n in range(300)]


def test_scores_are_the_similarities_in_falling_order(exact_limit: int) -> None:
    catalogue = catalogue_of(unit_vectors(300), exact_limit=exact_limit)
    queries = unit_vectors(10, seed=1)
    for query, found in zip(queries, catalogue.search(queries, 20), strict=True):
        assert len(set(found.rows.tolist())) == 20
        assert np.array_equal(found.scores, np.sort(found.scores)[::-1])
        vectors = catalogue.columns.vectors[found.rows].astype(np.float64)
        cosines = vectors @ quantise(query) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(quantise(query))
        assert found.scores == pytest.approx(cosines, abs=1e-6)


def test_the_approximate_search_finds_nine_of_ten(exact_limit: int) -> None:
    vectors, queries = clustered(3000, 32), clustered(50, 32, seed=5)
    exact = catalogue_of(vectors).search(queries, 20)
    other = catalogue_of(vectors, exact_limit=exact_limit).search(queries, 20)
    shared = [len(set(a.rows.tolist()) & set(b.rows.tolist())) for a, b in zip(exact, other, strict=True)]
    assert np.mean(shared) / 20 >= 0.9


def test_search_is_exact_until_the_index_includes_every_item() -> None:
    vectors, queries = clustered(300, 32), clustered(20, 32, seed=5)
    exact = catalogue_of(vectors)
    growing = Catalogue(32, exact_limit=100)
    for number, vector in enumerate(vectors):
        growing.upsert(item(str(number)), quantise(vector))
    steps = 1
    while growing.build_index(70):
        steps += 1
        for one, other in zip(exact.search(queries, 20), growing.search(queries, 20), strict=True):
            assert found_ids(exact, one) == found_ids(growing, other)
    assert steps == 5
    assert not exact.build_index(70)


def test_no_queries_find_nothing(exact_limit: int) -> None:
    assert catalogue_of(unit_vectors(5), exact_limit=exact_limit).search(np.empty((0, DIM), dtype=np.float32), 3) == []


def test_removed_items_are_not_found_and_their_rows_are_reused(exact_limit: int) -> None:
    vectors = unit_vectors(60)
    catalogue = catalogue_of(vectors, exact_limit=exact_limit)
    for number in range(0, 60, 2):
        assert catalogue.remove(str(number))
    assert not catalogue.remove("0")
    assert len(catalogue) == 30
    assert set(nearest(catalogue, vectors[0], 60)) == {str(number) for number in range(1, 60, 2)}
    fresh = unit_vectors(30, seed=9)
    for number, vector in enumerate(fresh):
        catalogue.upsert(item(f"new{number}"), quantise(vector))
    rows = {row for key in range(30) if (row := catalogue.row(stable_key(f"new{key}"))) is not None}
    assert rows == set(range(0, 60, 2))
    assert [nearest(catalogue, vector, 1) for vector in fresh] == [[f"new{number}"] for number in range(30)]


def test_an_emptied_catalogue_finds_nothing(exact_limit: int) -> None:
    vectors = unit_vectors(20)
    catalogue = catalogue_of(vectors, exact_limit=exact_limit)
    for number in range(20):
        catalogue.remove(str(number))
    assert nearest(catalogue, vectors[0], 5) == []
    assert len(catalogue) == 0


def test_a_replaced_item_is_found_by_its_new_vector_once(exact_limit: int) -> None:
    vectors = unit_vectors(50)
    catalogue = catalogue_of(vectors, exact_limit=exact_limit)
    catalogue.upsert(item("7", category="moved"), quantise(-vectors[7]))
    assert nearest(catalogue, -vectors[7], 1) == ["7"]
    assert nearest(catalogue, vectors[7], 50).count("7") <= 1
    changed = catalogue.get(stable_key("7"))
    assert changed is not None
    assert changed.label == "moved"
    assert len(catalogue) == 50


def test_an_item_out_of_stock_is_not_found_until_it_is_back(exact_limit: int) -> None:
    vectors = unit_vectors(50)
    catalogue = catalogue_of(vectors, exact_limit=exact_limit)
    catalogue.upsert(item("3", in_stock=False), quantise(vectors[3]))
    assert "3" not in nearest(catalogue, vectors[3], 50)
    catalogue.upsert(item("3"), quantise(vectors[3]))
    assert nearest(catalogue, vectors[3], 1) == ["3"]


def test_equal_items_are_ordered_by_key_even_at_the_cut(exact_limit: int) -> None:
    twins = np.repeat(unit_vectors(1), 30, axis=0)
    catalogue = catalogue_of(twins, exact_limit=10**6)
    by_key = sorted((str(number) for number in range(30)), key=stable_key)
    assert nearest(catalogue, twins[0], 30) == by_key
    assert nearest(catalogue, twins[0], 7) == by_key[:7]
    # An approximate search may see other twins at the cut; those that it returns are in order.
    found = nearest(catalogue_of(twins, exact_limit=exact_limit), twins[0], 7)
    assert found == sorted(found, key=stable_key)


def test_a_small_catalogue_gives_fewer_items(exact_limit: int) -> None:
    vectors = unit_vectors(6)
    assert nearest(Catalogue(DIM, exact_limit=exact_limit), vectors[0], 5) == []
    assert len(nearest(catalogue_of(vectors, exact_limit=exact_limit), vectors[0], 100)) == 6


def test_the_same_changes_give_the_same_lists(exact_limit: int) -> None:
    vectors, queries = unit_vectors(500), unit_vectors(20, seed=3)
    one, other = (catalogue_of(vectors, exact_limit=exact_limit).search(queries, 10) for _ in range(2))
    assert [found.rows.tolist() for found in one] == [found.rows.tolist() for found in other]


operations = st.lists(st.tuples(st.sampled_from(["put", "sell out", "remove"]), st.integers(0, 9)), max_size=40)


@pytest.mark.parametrize("limit", LIMITS)
@given(operations)
def test_any_changes_give_the_same_content_as_a_dict(limit: str, changes: list[tuple[str, int]]) -> None:
    catalogue, model, vectors = Catalogue(DIM, exact_limit=LIMITS[limit]), dict[str, bool](), unit_vectors(10)
    for change, number in changes:
        if change == "remove":
            assert catalogue.remove(str(number)) == (model.pop(str(number), None) is not None)
        else:
            model[str(number)] = change == "put"
            catalogue.upsert(item(str(number), in_stock=change == "put"), quantise(vectors[number]))
    assert len(catalogue) == len(model)
    assert all((catalogue.row(stable_key(str(number))) is not None) == (str(number) in model) for number in range(10))
    available = {item_id for item_id, in_stock in model.items() if in_stock}
    assert set(nearest(catalogue, vectors[0], 10)) == available


def test_popularity_is_set_by_key_and_removed_with_the_item() -> None:
    catalogue = catalogue_of(unit_vectors(5))
    catalogue.set_popularity({stable_key("3"): 1.0, stable_key("unknown"): 0.9, stable_key("1"): 0.5})
    assert [catalogue.item(row).item_id for row in catalogue.popular] == ["3", "1"]
    catalogue.remove("3")
    catalogue.upsert(item("new"), quantise(unit_vectors(1)[0]))
    assert [catalogue.item(row).item_id for row in catalogue.popular] == ["1"]
    assert sorted(catalogue.columns.popularity[:5].tolist()) == [0, 0, 0, 0, 0.5]
    catalogue.set_popularity({})
    assert len(catalogue.popular) == 0


def test_many_rows_are_looked_up_together() -> None:
    catalogue = catalogue_of(unit_vectors(700))
    catalogue.remove("5")
    ids = ["699", "5", "0", "unknown", "0"]
    rows, found = catalogue.rows_of(np.array([stable_key(item_id) for item_id in ids], dtype=np.uint64))
    assert found.tolist() == [True, False, True, False, True]
    assert [catalogue.item(row).item_id for row in rows[found]] == ["699", "0", "0"]
    assert rows[~found].tolist() == [-1, -1]


def test_popularity_is_the_same_from_arrays_and_from_mappings() -> None:
    one, other = catalogue_of(unit_vectors(300)), catalogue_of(unit_vectors(300))
    keys = np.array([stable_key(str(number)) for number in range(0, 600, 2)], dtype=np.uint64)
    weights = np.linspace(1, -1, len(keys), dtype=np.float32).clip(0).round(1)
    one.set_popularity(dict(zip(keys.tolist(), weights.tolist(), strict=True)), {int(keys[3]): 0.5})
    other.set_popularity((keys, weights), (keys[3:4], np.array([0.5], dtype=np.float32)))
    for name in ("popularity", "lasting", "seen"):
        assert np.array_equal(getattr(one.columns, name), getattr(other.columns, name))
    assert one.popular.tolist() == other.popular.tolist()
    order = np.lexsort((one.columns.keys[one.popular], -one.columns.popularity[one.popular]))
    assert order.tolist() == list(range(150))
    named = np.flatnonzero(one.columns.seen)
    assert named.tolist() == [number for number in range(0, 300, 2) if weights[number // 2] > 0]


def test_rows_are_found_by_item_numbers_which_are_released_with_the_items() -> None:
    numbers = ItemNumbers()
    elsewhere = numbers.retain(stable_key("7"))
    for number in range(300):
        numbers.retain(number)
    one, other = Catalogue(DIM, numbers=numbers), Catalogue(DIM, numbers=numbers)
    for catalogue in (one, other):
        for number, vector in enumerate(unit_vectors(1000)):
            catalogue.upsert(item(str(number)), quantise(vector))
    assert one.row_of[elsewhere] == other.row_of[elsewhere] == 7
    assert len(one.row_of) == numbers.capacity
    assert sorted(one.row_of[one.row_of >= 0].tolist()) == list(range(1000))
    other.remove("7")
    assert other.row_of[elsewhere] == -1
    assert one.row_of[elsewhere] == 7
    capacity = numbers.capacity
    one.close()
    other.close()
    assert (one.row_of == -1).all()
    again = Catalogue(DIM, numbers=numbers)
    for number, vector in enumerate(unit_vectors(1000)):
        again.upsert(item(f"new {number}"), quantise(vector))
    assert numbers.capacity == capacity
    assert again.row_of[elsewhere] == -1


def test_the_word_index_follows_the_items() -> None:
    catalogue = catalogue_of(unit_vectors(20))
    vector = quantise(unit_vectors(1)[0])
    catalogue.upsert(Item(item_id="7", title="Blue kettle"), vector)
    row = catalogue.row(stable_key("7"))
    assert catalogue.words.search("kettle").documents.tolist() == [row]
    catalogue.remove("7")
    assert catalogue.words.search("kettle").documents.tolist() == []
    assert len(catalogue.words) == 19
    without = Catalogue(DIM, index_words=False)
    without.upsert(Item(item_id="7", title="Blue kettle"), vector)
    assert without.words.search("kettle").documents.tolist() == []


def test_growth_keeps_every_item() -> None:
    vectors = unit_vectors(700)
    catalogue = catalogue_of(vectors)
    assert [nearest(catalogue, vectors[number], 1) for number in (0, 255, 256, 699)] == [
        ["0"],
        ["255"],
        ["256"],
        ["699"],
    ]


def test_a_vector_of_other_dimensions_is_refused_with_the_items_id() -> None:
    with pytest.raises(ValueError, match=r"'x': required shape \(16,\), got \(3,\)"):
        Catalogue(DIM).upsert(item("x"), np.zeros(3, dtype=np.int8))


def test_a_row_without_an_item_is_a_lookup_error() -> None:
    catalogue = catalogue_of(unit_vectors(2))
    catalogue.remove("0")
    with pytest.raises(LookupError, match="row 0"):
        catalogue.item(0)
