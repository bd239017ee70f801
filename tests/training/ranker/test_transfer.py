"""The choice of a ranker by shops that it has not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra `train`")
pytest.importorskip("scipy", reason="needs the extra `train`")

from inference.ranking.features import FEATURES
from tests.training.ranker.flat import flat
from tests.training.ranker.lists import labelled
from training.ranker.examples import Examples, join
from training.ranker.fit import fit
from training.ranker.transfer import (
    Candidate,
    InRetrievalOrder,
    Transfer,
    candidates,
    cost_table,
    leave_one_out,
    lists_fitted,
    ndcg,
    transfer_table,
)

SHOPS = {
    "one": [labelled(FEATURES, lists=120, seed=1)],
    "two": [labelled(FEATURES, lists=90, seed=2), labelled(FEATURES, lists=60, seed=3)],
    "three": [labelled(FEATURES, lists=100, seed=4)] * 2,
}
WEAK, HUGE = Candidate(1e-3, 2), Candidate(1e6, 2)


def misleading(examples: Examples) -> Examples:
    """Return lists whose best candidate is the one with the least values."""
    features = examples.features.copy()
    for name in ("query", "popularity"):
        features[:, FEATURES.index(name)] = 1 - features[:, FEATURES.index(name)]
    return replace(examples, features=features)


def test_each_shop_is_tested_by_a_ranker_of_the_others() -> None:
    steps: list[int] = []
    found = leave_one_out(SHOPS, [WEAK], 0, steps.append)
    for name, own in SHOPS.items():
        others = join([each for shop, parts in SHOPS.items() if shop != name for each in parts])
        expected = fit(others, decay=WEAK.decay, units=WEAK.units)
        np.testing.assert_array_equal(flat(found.rankers[WEAK][name].network), flat(expected.network))
        assert found.found[WEAK][name] == ndcg(expected, own)
    assert sum(steps) == lists_fitted(SHOPS, [WEAK])


def test_a_shop_that_differs_from_the_others_is_lost_by_their_ranker() -> None:
    shops = {"one": SHOPS["one"], "two": SHOPS["two"], "odd": [misleading(labelled(FEATURES, lists=100, seed=5))]}
    found = leave_one_out(shops, [WEAK], 0, lambda _: None)
    assert found.found[WEAK]["odd"] < 0.5 < found.found[WEAK]["one"]
    seen = fit(join([each for parts in shops.values() for each in parts]))
    losses = {name: float(loss) for name, *_, loss in cost_table(found, seen, shops).rows}
    assert losses["odd"] > 0


def test_the_candidate_that_loses_least_is_chosen_and_ties_go_to_the_stronger_penalty() -> None:
    found = leave_one_out(SHOPS, [WEAK, HUGE], 0, lambda _: None)
    assert found.best == WEAK
    table = transfer_table(found, SHOPS, InRetrievalOrder())
    # Examples that are given twice are tested once.
    assert "tested on all lists: one 120, two 150, three 100." in table.note
    marked = {row[0]: table.is_marked(row) for row in table.rows}
    assert marked["2 hidden units, penalty 0.001"]
    assert not marked["2 hidden units, penalty 1e+06"]
    strong, linear = Candidate(1e-2, 2), Candidate(1e-2, 0)
    tied = {WEAK: {"a": 0.5, "b": 0.5}, strong: {"a": 0.5005, "b": 0.4990}, linear: {"a": 0.4999, "b": 0.4999}}
    assert Transfer({}, tied).best == linear
    assert Transfer({}, tied | {strong: {"a": 0.6, "b": 0.5}}).best == strong


def test_candidates_are_linear_rankers_and_networks() -> None:
    assert {each.units for each in candidates(8, None)} == {0, 8}
    assert candidates(0, 0.5) == [Candidate(0.5, 0)]


def test_shops_count_alike_and_so_do_the_kinds_of_lists() -> None:
    searches = labelled(FEATURES, lists=30, seed=6)
    searches = searches.lists(np.arange(30) % 3 == 0)
    both = [SHOPS["one"][0], searches]
    kinds = join(both).kinds()
    assert set(kinds) == {"browsing", "searching"}
    expected = [ndcg(InRetrievalOrder(), [each]) for each in kinds.values()]
    assert ndcg(InRetrievalOrder(), both) == pytest.approx(np.mean(expected))
