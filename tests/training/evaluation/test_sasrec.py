"""SASRec learns which item follows another one, from the acts before its first list."""

from __future__ import annotations

import pytest

from tests.training.evaluation.acts import acts_of, moment, train

pytest.importorskip("torch")

from training.evaluation.baselines.sasrec import SasRec


def test_the_usual_next_item_is_first_and_unknown_items_are_never_listed() -> None:
    rows = [(user, user, item) for user in range(60) for item in ((0, 1, 2) if user % 2 else (3, 4, 5))]
    acts = acts_of(*rows)
    baseline = train(SasRec(8, epochs=40), [*acts, *acts_of((99, 99, 3))])
    first = baseline.rank(moment([3], user=99), 3).tolist()
    assert first[0] == 4
    assert not {3, 6, 7} & set(first)
    # Acts after the first list are read: the shopper moves on.
    train(baseline, acts_of((99, 99, 4), (98, 98, 7)))
    assert baseline.rank(moment([3, 4], user=99), 3).tolist()[0] == 5
    assert 7 not in baseline.rank(moment([3, 4], user=99), 8).tolist()


def test_a_shopper_without_acts_gets_no_list() -> None:
    assert len(SasRec(3).rank(moment(), 2)) == 0
