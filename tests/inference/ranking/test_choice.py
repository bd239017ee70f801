"""The choice of the listed items, compared with a full sort."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from inference.ranking.choice import Rules, choose
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sources import NAMES, NEW
from inference.types import Item, Query, stable_key, title_key
from tests.inference.catalogues import catalogue_of, unit_vectors
from tests.inference.ranking.shortlists import shortlists_of

pytestmark = pytest.mark.kernel

ITEMS = 80
PLAIN = Rules(0.0, 0, -1)


@pytest.fixture
def catalogue() -> Catalogue:
    return catalogue_of(unit_vectors(ITEMS))


@pytest.mark.parametrize("seed", range(8))
def test_lists_are_the_best_candidates_by_score_then_position(catalogue: Catalogue, seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes, ks = random.integers(0, ITEMS, 6), [0, 1, 7, 20, 1000, -3]
    rows = [random.permutation(ITEMS)[:size].tolist() for size in sizes]
    # Few distinct scores, and some that differ in the last bits.
    scores = random.integers(1, 9, sizes.sum()) / 10 + random.integers(-1, 2, sizes.sum()) * 1e-7
    ranks = (random.random((sizes.sum(), len(NAMES))) < 0.3).astype(np.float32)
    given = shortlists_of([Query(k=k) for k in ks], rows, ranks, ranks)
    found = choose(given.queries.records, given.candidates, catalogue.columns, scores.astype(np.float32), PLAIN)
    starts = given.candidates.starts
    expected: list[int] = []
    for number, k in enumerate(ks):
        own = range(starts[number], starts[number + 1])
        best = sorted(own, key=lambda at: (-float(np.float32(scores[at])), at))
        expected += best[: max(k, 0)]
        assert found.starts[number + 1] == len(expected)
    assert found.positions.tolist() == expected
    assert found.scores.tolist() == [round(float(np.float32(scores[at])), 6) for at in expected]
    names = [[bool(bits >> place & 1) for place in range(len(NAMES))] for bits in found.sources.tolist()]
    assert names == (ranks[expected] > 0).tolist()


def titled(titles: list[str], scores: list[float], k: int, diversity: float = 0.0) -> list[int]:
    """Return the positions of a list that is chosen from items with these titles and scores."""
    columns = catalogue_of(unit_vectors(len(titles))).columns
    for row, title in enumerate(titles):
        columns.titles[row] = title_key(Item(item_id="x", title=title))
    given = shortlists_of([Query(k=k), Query(k=k)], [range(len(titles))] * 2)
    both = np.array([*scores, *scores], dtype=np.float32)
    found = choose(given.queries.records, given.candidates, columns, both, Rules(diversity, 0, -1))
    first, second = found.positions[: found.starts[1]].tolist(), found.positions[found.starts[1] :] - len(titles)
    assert first == second.tolist()
    assert found.scores.tolist() == pytest.approx([scores[position] for position in first * 2])
    return list(first)


@pytest.mark.parametrize("diversity", [0.0, 0.3])
def test_items_of_one_title_take_one_place(diversity: float) -> None:
    titles = ["Red boots", "red  BOOTS", "Lamp", "Red boots", "Chair"]
    assert titled(titles, [0.5, 0.9, 0.4, 0.8, 0.1], 3, diversity)[0] == 1
    assert set(titled(titles, [0.5, 0.9, 0.4, 0.8, 0.1], 3, diversity)) == {1, 2, 4}
    # Without other items, a list is filled with the others of the title, the best first.
    assert titled(titles, [0.5, 0.9, 0.4, 0.8, 0.1], 4) == [1, 2, 4, 3]
    # Titles without words are not equal.
    assert titled(["!", "!", "?"], [0.5, 0.9, 0.4], 2) == [1, 0]
    # Of equally good ones, the first candidate stays. A list of all candidates keeps its order.
    assert set(titled(titles, [0.9, 0.9, 0.4, 0.9, 0.1], 3, diversity)) == {0, 2, 4}
    assert titled(titles, [0.5, 0.9, 0.4, 0.8, 0.1], 5) == [1, 3, 0, 2, 4]
    assert titled(titles, [0.5, 0.9, 0.4, 0.8, 0.1], 9) == [1, 3, 0, 2, 4]


def test_brand_and_category_distinguish_items_of_one_title() -> None:
    yogurt = Item(item_id="1", title="Yogurt", brand="Fjell", category=("Food", "Yogurt"))
    assert title_key(yogurt) == title_key(replace(yogurt, title=" YOGURT ", item_id="2", price=3.0))
    others = ({"brand": None}, {"brand": "Acme"}, {"category": ("Drinks", "Yogurt")}, {"title": "Yogurt drink"})
    assert len({title_key(yogurt), *(title_key(replace(yogurt, **other)) for other in others)}) == 5


def test_many_titles_are_distinguished() -> None:
    titles, scores = [f"title {number // 2}" for number in range(400)], [1.0 - number / 1000 for number in range(400)]
    assert titled(titles, scores, 60) == list(range(0, 120, 2))


def test_new_items_fill_the_missing_last_ranks_in_order(catalogue: Catalogue) -> None:
    column = NAMES.index(NEW)
    catalogue.mark_seen([stable_key(str(number)) for number in range(60)])
    scores = np.linspace(0.9, 0.1, ITEMS, dtype=np.float32)
    ranks = np.zeros((ITEMS, len(NAMES)), dtype=np.float32)
    ranks[[3, 65, 66, 70], column] = 1  # 3 was acted on since

    def shown(k: int, places: int, source: int = column, text: str | None = None) -> list[int]:
        given = shortlists_of([Query(k=k, text=text)], [range(ITEMS)], ranks, ranks)
        rules = Rules(0.0, places, source)
        return list(choose(given.queries.records, given.candidates, catalogue.columns, scores, rules).positions)

    assert shown(20, 2) == [*range(18), 65, 66]
    assert shown(30, 9) == [*range(27), 65, 66, 70]  # a place in ten
    assert shown(9, 2) == list(range(9))
    assert shown(62, 3) == [*range(61), 65]  # 60 and 61 are new, and were chosen anyway
    assert shown(20, 2, source=-1) == shown(20, 2, text="boots") == list(range(20))


def fair(scores: list[float], protected: set[int], fairness: float, k: int, text: str | None = None) -> list[int]:
    """Return the rows of a list that is chosen from candidates with these scores, best first."""
    rows = len(scores)
    is_protected = np.zeros(rows, dtype=np.bool_)
    is_protected[list(protected)] = True
    given = shortlists_of([Query(k=k, text=text)], [range(rows)])
    rules = Rules(0.0, 0, -1, fairness, is_protected)
    columns = catalogue_of(unit_vectors(rows)).columns
    found = choose(given.queries.records, given.candidates, columns, np.array(scores, dtype=np.float32), rules)
    assert found.scores.tolist() == pytest.approx([scores[row] for row in found.positions])
    return [int(row) for row in found.positions]


def test_a_share_of_the_first_places_goes_to_the_best_protected_items() -> None:
    scores = [1.0 - 0.01 * row for row in range(40)]
    assert fair(scores, {15, 20, 30}, 0.2, 10) == [0, 1, 2, 3, 15, 4, 5, 6, 7, 20]
    assert fair(scores, {15, 20, 30}, 0.0, 10) == list(range(10))
    assert fair(scores, {15, 20, 30}, 0.2, 10, text="boots") == list(range(10))
    # Enough protected items are listed anyway: nothing changes.
    assert fair(scores, {0, 3, 30}, 0.2, 10) == list(range(10))
    # A listed item moves up at most, and none is listed twice.
    assert fair(scores, {8, 9}, 0.2, 10) == [0, 1, 2, 3, 8, 4, 5, 6, 7, 9]
    assert fair(scores, set(), 0.2, 10) == list(range(10))
    assert fair(scores, set(range(40)), 0.5, 10) == list(range(10))
    assert fair(scores, {39}, 0.5, 0) == []
    assert fair(scores[:3], {2}, 0.5, 10) == [0, 2, 1]


def test_a_protected_item_that_is_far_less_probable_gets_no_place() -> None:
    scores = [0.9] * 5 + [0.4] * 3 + [0.1] * 5
    assert set(fair(scores, {10, 11}, 0.5, 8)) == set(range(8))
    assert fair([0.9, 0.8, 0.5, 0.45, 0.2], {4}, 0.5, 4) == [0, 1, 2, 3]
    # It goes before the first item that is at most twice as probable.
    assert fair([0.9, 0.8, 0.35, 0.3, 0.2], {4}, 0.5, 4) == [0, 1, 4, 2]


@pytest.mark.parametrize("seed", range(20))
def test_every_first_part_of_a_fair_list_has_its_share(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = np.sort(random.uniform(0.6, 1.0, 60).round(3))[::-1].tolist()
    protected = set(random.choice(60, int(random.integers(0, 30)), replace=False).tolist())
    fairness, k = float(random.choice([0.1, 0.25, 0.5])), 20
    found = fair(scores, protected, fairness, k)
    assert len(set(found)) == k
    for length in range(1, k + 1):
        first = found[:length]
        assert len(protected & set(first)) >= min(int(fairness * length), len(protected))
    # Both kinds of items are in the order of their scores, the best ones first.
    for kind in (protected, set(range(60)) - protected):
        own = [scores[row] for row in found if row in kind]
        assert own == sorted((scores[row] for row in kind), reverse=True)[: len(own)]
