"""The baselines of text: BM25, and the encoder alone."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from training.evaluation.baselines import text
from training.evaluation.baselines.base import Moment
from training.evaluation.baselines.text import Bm25, EncoderAlone

TEXTS = ("red red mug", "blue mug", "green garden chair", "")


def moment(query: str | None, session: tuple[int, ...] = ()) -> Moment:
    return Moment(0, 0, session, session, query)


def test_bm25_on_an_example_computed_by_hand() -> None:
    words = Bm25(TEXTS)
    # Mean length 2; `red` is in one text of four, twice, in a text of three words.
    rarity = log(1 + 3.5 / 1.5)
    assert words.scores("red")[0] == pytest.approx(rarity * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 2)))
    assert words.scores("Red  RED")[0] == pytest.approx(2 * words.scores("red")[0])
    assert words.rank(moment("a MUG"), 5).tolist() == [1, 0]
    assert words.rank(moment("sofa"), 5).tolist() == []
    assert words.rank(moment(None), 5).tolist() == []
    assert Bm25(("", "")).rank(moment("mug"), 5).tolist() == []


def test_the_encoder_ranks_by_the_search_else_by_the_newest_item() -> None:
    vectors = np.eye(4, 3, dtype=np.float32) + 0.1
    vectors[3] = 0
    encoder = EncoderAlone(vectors, lambda _: np.array([0.0, 1, 0], dtype=np.float32))
    assert encoder.rank(moment("tea", (0,)), 1).tolist() == [1]
    assert encoder.rank(moment(None, (1, 2)), 5).tolist() == [0]
    assert encoder.rank(moment(None), 5).tolist() == []


def test_hidden_items_of_other_lists_do_not_shorten_a_list_of_the_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_REMEMBERED", 1)
    encoder = EncoderAlone(np.ones((8, 2), dtype=np.float32), lambda _: np.ones(2, dtype=np.float32))
    assert encoder.rank(moment(None, (7,)), 2).tolist() == [0, 1]
    assert encoder.rank(moment(None, (0, 1, 2, 7)), 3).tolist() == [3, 4, 5]
    assert encoder.rank(moment(None, (1, 7)), 9).tolist() == [0, 2, 3, 4, 5, 6]
