"""Graded queries from a file, and the order of graded items."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.bundle import Bundle
from streams.errors import ConfigurationError
from tests.training.evaluation.small_shop import ITEMS
from training.evaluation.judgements import Judgements, graded_targets, rank_graded, read_judgements
from training.evaluation.metrics import at_k, gains


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "grades.csv"


@pytest.mark.parametrize("header", ["query,item_id,grade", "query,docid,rating", "rating,product_id,x,query"])
def test_alternative_column_names_are_read(file: Path, header: str) -> None:
    values = {"query": "tea", "item": "i0", "x": "", "grade": "3"}
    names = {"item_id": "item", "docid": "item", "product_id": "item", "rating": "grade"}
    first, second = (
        ",".join({**values, "item": item, "grade": grade}[names.get(each, each)] for each in header.split(","))
        for item, grade in (("i0", "3"), ("i5", "0"))
    )
    file.write_text("\n".join([header, first, second]))
    assert read_judgements(file, ITEMS) == Judgements(("tea",), ((0, 5),), ((3.0, 0.0),), 0, 0.0)


def test_queries_of_one_grade_and_unknown_items_are_dropped(file: Path) -> None:
    file.write_text("query,item_id,grade\ntea,i0,2\ntea,i5,1\ntea,gone,3\nmilk,i3,2\nmilk,i4,2\ntea,i5,0\n")
    found = read_judgements(file, ITEMS)
    assert found == Judgements(("tea",), ((0, 5),), ((2.0, 0.0),), 1, 1 / 6)
    assert graded_targets(found).items.tolist() == [0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a column query, got none"),
        ("query,item\n", "a column item_id or docid or product_id, got query, item"),
        ("query,item_id,grade\ntea,i0,good\n", "grades.csv:2: required a grade of 0 or more, got 'good'"),
        ("query,item_id,grade\ntea,i0,-1\n", "got '-1'"),
        ("query,item_id,grade\ntea,i0\n", "got None"),
        ("query,item_id,grade\ntea,x,1\ntea,y,2\n", "0 queries with items of the catalogue, 2 of 2 items unknown"),
    ],
)
def test_an_invalid_file_of_grades_is_an_error(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_judgements(file, ITEMS)


def test_graded_items_are_ranked_by_all_systems(bundle: Bundle) -> None:
    graded = Judgements(
        ("black tea", "fruit"), ((5, 1, 0, 6), (6, 5, 7)), ((0.0, 3.0, 2.0, 0.0), (3.0, 0.0, 3.0)), 0, 0
    )
    progress: list[int] = []
    ours, encoder, words = rank_graded(bundle, ITEMS, graded, 3, progress.append)
    assert progress == [1, 1]
    assert [each.name for each in (ours, encoder, words)] == ["intentstream", "encoder alone", "BM25"]
    assert ours.lists[0, :2].tolist() == encoder.lists[0, :2].tolist() == words.lists[0, :2].tolist() == [1, 0]
    targets = graded_targets(graded)
    assert at_k(gains(encoder.lists, targets), targets, 3)["ndcg"] == pytest.approx(1)
    # No word of the second query is in a title: BM25 keeps the order of the catalogue.
    assert words.lists[1].tolist() == [5, 6, 7]
    assert ours.lists.dtype == np.int32
