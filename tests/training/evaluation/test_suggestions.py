"""Evaluation of suggestions on a few queries."""

from __future__ import annotations

import numpy as np

from inference.types import Item
from training.evaluation.suggestions import KNOWN, NEW, OURS, OURS_ERROR, PERSONAL, POPULAR, Graded, Row, evaluate

ITEMS = [
    Item(item_id="1", title="Table lamp"),
    Item(item_id="2", title="Floor lamp"),
    Item(item_id="3", title="Ladder", category=("Ladders",)),
]
VECTORS = np.eye(3, 4, dtype=np.int8) * 127
ROWS = [("Lamp", "1", 3.0), ("Lamp", "2", 1.0), ("ladders", "3", 2.0), ("gone", "9", 3.0), ("zero", "1", 0.0)]


def test_mrr_by_letters_for_known_and_new_queries() -> None:
    report = evaluate(Graded.of(ITEMS, VECTORS, ROWS), k=10, folds=2, seed=0)
    rows = {(row.queries, row.completer): row for row in report.rows}
    assert (report.items, report.queries) == (3, 2)
    assert report.typed[4] == 2
    assert report.typed[5] == report.typed[7] == 1
    # `lamp` is more popular than `ladders`.
    assert rows[KNOWN, POPULAR].mrr[1] == rows[KNOWN, OURS].mrr[1] == (1 + 1 / 2) / 2
    assert rows[KNOWN, OURS].mrr[3] == 1.0
    assert rows[KNOWN, PERSONAL].mrr[1] == 1.0
    assert rows[KNOWN, OURS_ERROR].mrr[7] == 1.0
    # Held out, `lamp` is a phrase of two titles and `ladders` a category.
    assert report.found == 1.0
    assert rows[NEW, OURS].mrr[4] == 1.0
    assert report.latency_us[f"{OURS}, p50"] > 0


def test_the_same_seed_gives_the_same_figures() -> None:
    graded = Graded.of(ITEMS, VECTORS, ROWS)
    one, other = (evaluate(graded, k=10, folds=2, seed=3).rows for _ in range(2))
    assert one == other
    assert all(isinstance(row, Row) for row in one)
