"""The source of the sequence model: what it reads of a shopper, and how it follows the catalogue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference.queries import QueryBatch
from inference.retrieval.sequence import SequenceSource
from inference.retrieval.vectors import quantise
from inference.types import NO_KEYS, Query, Remembered
from tests.inference.catalogues import item, unit_vectors
from tests.inference.retrieval.behaviours import ITEMS, found_by, key, proposed_ids, sequence_model, shop

pytestmark = pytest.mark.kernel


def shopper(*actions: tuple[int, str, int]) -> Query:
    """Return a shopper with actions on items, the newest first: item, action, milliseconds ago."""
    return Query(recent=tuple(Remembered(key(number), action, ago_ms) for number, action, ago_ms in actions))


FIRST = shopper((7, "viewed", 0), (9, "bought", 60_000), (30, "viewed", 120_000))
OTHERS = {
    "order": shopper((9, "viewed", 0), (7, "bought", 60_000), (30, "viewed", 120_000)),
    "action": shopper((7, "viewed", 0), (9, "viewed", 60_000), (30, "viewed", 120_000)),
    "time between": shopper((7, "viewed", 0), (9, "bought", 6_000_000), (30, "viewed", 9_000_000)),
    "time since": shopper((7, "viewed", 500_000), (9, "bought", 560_000), (30, "viewed", 620_000)),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_order_actions_and_times_change_the_list(other: Query) -> None:
    catalogue = shop()
    one, two = found_by(SequenceSource(sequence_model()), [FIRST, other], catalogue, ITEMS)
    assert one.rows.tolist() != two.rows.tolist()


def test_items_that_the_catalogue_lacks_have_no_effect() -> None:
    catalogue = shop()
    source = SequenceSource(sequence_model())
    lacking = replace(FIRST, recent=(*FIRST.recent[:1], Remembered(key("gone"), "viewed", 30_000), *FIRST.recent[1:]))
    one, two, none = found_by(source, [FIRST, lacking, shopper((6, "viewed", 0))], catalogue)
    assert one.rows.tolist() == two.rows.tolist()
    assert len(none.rows) == 0


def test_scores_are_shares_of_the_results() -> None:
    (found,) = found_by(SequenceSource(sequence_model()), [FIRST], shop(), ITEMS)
    assert found.scores.sum() == pytest.approx(1, abs=1e-4)


def test_the_source_follows_the_catalogue() -> None:
    catalogue, vectors = shop(), unit_vectors(ITEMS)
    followed = SequenceSource(sequence_model())
    found_by(followed, [FIRST], catalogue)
    for number in range(ITEMS, 5 * ITEMS):  # more than the first capacity
        catalogue.upsert(item(str(number)), quantise(vectors[number % ITEMS][::-1].copy()))
    catalogue.upsert(item("30"), quantise(vectors[31]))
    catalogue.remove("11")
    catalogue.upsert(item("11"), quantise(vectors[12]))
    (new,) = found_by(SequenceSource(sequence_model()), [FIRST], catalogue, ITEMS)
    (old,) = found_by(followed, [FIRST], catalogue, ITEMS)
    assert proposed_ids(old, catalogue) == proposed_ids(new, catalogue)
    assert max(int(name) for name in proposed_ids(new, catalogue)) >= ITEMS


def test_only_items_of_the_training_have_a_residual() -> None:
    model, catalogue, vectors = sequence_model(), shop(), unit_vectors(ITEMS)
    without = replace(model, keys=NO_KEYS, residuals=np.empty((0, model.width), np.float32))
    batch = QueryBatch.of([shopper((50, "viewed", 0)), shopper((7, "viewed", 0))], catalogue.dim)
    one, _ = SequenceSource(model).vectors(batch.records, catalogue)
    two, _ = SequenceSource(without).vectors(batch.records, catalogue)
    assert (one[0] == two[0]).all()
    assert (one[1] != two[1]).any()
    # A new item with the vector of a known one has no residual.
    catalogue.upsert(item("new"), quantise(vectors[7]))
    three, _ = SequenceSource(model).vectors(
        QueryBatch.of([Query(recent=(Remembered(key("new"), "viewed"),))], catalogue.dim).records, catalogue
    )
    assert (three[0] == two[1]).all()
