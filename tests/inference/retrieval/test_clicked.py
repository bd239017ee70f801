"""Items acted on after searches, in cases computed by hand."""

from __future__ import annotations

import pytest

from inference.retrieval.clicked import Clicked
from inference.types import Query
from tests.inference.catalogues import NUMBERS
from tests.inference.retrieval.by_hand import item, proposed

pytestmark = pytest.mark.kernel


def test_a_search_matches_itself_and_similar_searches() -> None:
    clicked = Clicked(NUMBERS)
    clicked.learn([item(1, 9.0, queries={"usb cable": 3.0})])
    clicked.learn([item(2, 9.0, queries={"usb cable": 1.0, "garden chair": 2.0})])
    source = clicked
    assert proposed(source, Query(text="garden  CHAIR")) == pytest.approx({"2": 2 / 3})
    assert proposed(source, Query(text="USB cable")) == pytest.approx({"1": 3 / 5, "2": 1 / 5})
    near = proposed(source, Query(text="long usb cables"))
    assert list(near) == ["1", "2"]
    assert 0 < near["1"] < 3 / 5
    assert near["1"] / near["2"] == pytest.approx(3)
    assert proposed(source, Query(text="lamp")) == proposed(source, Query()) == proposed(source, Query(text="")) == {}
    assert clicked.searches == 2


def test_rare_words_make_searches_similar() -> None:
    clicked = Clicked(NUMBERS)
    for number, text in enumerate(["red lamp", "red chair", "red table", "red xm4"], start=1):
        clicked.learn([item(number, 1.0, queries={text: 1.0})])
    assert next(iter(proposed(clicked, Query(text="xm4 red case")))) == "4"


def test_a_search_without_records_is_removed() -> None:
    clicked = Clicked(NUMBERS, capacity=2)
    clicked.learn([item(1, 1.0, at_ms=1, queries={"lamp": 1.0})])
    clicked.learn([item(2, 1.0, at_ms=2, queries={"lamp": 1.0, "chair": 1.0})])
    clicked.learn([item(2, 1.0, at_ms=3, queries={"chair": 1.0})])
    assert clicked.searches == 2
    clicked.learn([item(3, 1.0, at_ms=4, queries={"table": 1.0})])
    assert (len(clicked), clicked.searches) == (2, 2)
    assert proposed(clicked, Query(text="lamp")) == {}
    clicked.learn([item(3, 0.0)])
    clicked.learn([item(4, 1.0, at_ms=1, queries={})])
    assert clicked.searches == 1


def test_a_refused_record_changes_nothing() -> None:
    clicked = Clicked(NUMBERS, capacity=1)
    clicked.learn([item(1, 1.0, at_ms=5, queries={"lamp": 1.0})])
    clicked.learn([item(2, 1.0, at_ms=4, queries={"chair": 1.0})])
    assert clicked.searches == 1
    clicked.learn([item(2, 1.0, at_ms=6, queries={"chair": 1.0})])
    assert proposed(clicked, Query(text="chair")) == pytest.approx({"2": 1 / 2})
