"""One contract for every candidate source, and the table of sources."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.retrieval.behaviour import Behaviour, make_sources
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.catalogue_sources import VectorSource
from inference.retrieval.shortlists import Found
from inference.retrieval.sources import (
    CLICKED,
    NAMES,
    NEW,
    NEXT,
    REASONS,
    SEQUENCE,
    SESSIONS,
    SOURCES,
    TOGETHER,
    TRENDING,
    CandidateSource,
)
from inference.types import Query
from tests.conftest import a_quarter_of_the_examples
from tests.inference.catalogues import DIM, NUMBERS
from tests.inference.retrieval.behaviours import (
    ITEMS,
    UNAVAILABLE,
    found_by,
    learned,
    proposed_ids,
    records,
    sequence_model,
    shop,
    shoppers,
)

pytestmark = pytest.mark.kernel


def source_of(name: str, behaviour: Behaviour | None = None) -> CandidateSource:
    (source,) = make_sources([name], behaviour or Behaviour(numbers=NUMBERS))
    return source


def answers(source: CandidateSource, catalogue: Catalogue, limit: int = 9) -> list[dict[str, float]]:
    """What the source proposes to every shopper: ids and scores, in order."""
    return [proposed_ids(found, catalogue) for found in found_by(source, shoppers(12), catalogue, limit)]


def same(one: Found, other: Found) -> bool:
    return bool(one.rows.tolist() == other.rows.tolist() and one.scores.tolist() == other.scores.tolist())


@pytest.fixture(params=NAMES)
def source(request: pytest.FixtureRequest) -> CandidateSource:
    (source,) = make_sources([request.param], learned(), sequence_model())
    return source


@pytest.fixture(params=[10**6, 4], ids=["exact", "approximate"])
def catalogue(request: pytest.FixtureRequest) -> Catalogue:
    return shop(request.param)


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_hits_are_available_distinct_bounded_and_sorted(
    source: CandidateSource, catalogue: Catalogue, limit: int
) -> None:
    answers = found_by(source, shoppers(12), catalogue, limit)
    assert any(len(found.rows) for found in answers)
    for rows, scores in answers:
        assert len(rows) == len(scores) <= limit
        assert len(set(rows.tolist())) == len(rows)
        assert catalogue.columns.available[rows].all()
        assert not {catalogue.item(row).item_id for row in rows} & UNAVAILABLE
        assert (scores >= (-1 if isinstance(source, VectorSource) else 0)).all()
        assert (scores <= 1 + 1e-6).all()
        order = np.lexsort((catalogue.columns.keys[rows], -scores))
        assert order.tolist() == list(range(len(rows)))


def test_a_source_gives_the_same_hits_in_a_batch(source: CandidateSource, catalogue: Catalogue) -> None:
    queries = shoppers(30)
    for query, together in zip(queries, found_by(source, queries, catalogue), strict=True):
        (alone,) = found_by(source, [query], catalogue)
        assert same(alone, together)


def test_a_source_has_a_known_name_and_accepts_empty_batches_and_catalogues(source: CandidateSource) -> None:
    assert source.name in NAMES
    empty = Catalogue(DIM, numbers=NUMBERS)
    assert found_by(source, [], empty) == []
    assert [len(found.rows) for found in found_by(source, shoppers(4), empty)] == [0] * 4


@pytest.mark.parametrize("name", [TOGETHER, NEXT, SESSIONS, CLICKED])
def test_a_voting_source_refuses_a_catalogue_with_other_item_numbers(name: str) -> None:
    with pytest.raises(ValueError, match="item numbers of the behaviour"):
        found_by(source_of(name, learned()), shoppers(4), Catalogue(DIM))


def test_a_source_without_data_finds_nothing(source: CandidateSource, catalogue: Catalogue) -> None:
    catalogue.set_popularity({})
    (found,) = found_by(source, [Query()], catalogue)
    assert len(found.rows) == 0


def test_removed_items_are_never_proposed(source: CandidateSource, catalogue: Catalogue) -> None:
    for number in range(0, ITEMS, 2):
        catalogue.remove(str(number))
    proposed = {item_id for found in answers(source, catalogue, ITEMS) for item_id in found}
    assert proposed
    assert all(int(item_id) % 2 for item_id in proposed)


@a_quarter_of_the_examples()
@given(st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(random: Random) -> None:
    catalogue, shuffled = shop(), records()
    random.shuffle(shuffled)
    others = make_sources(NAMES, learned(shuffled), sequence_model())
    for source, other in zip(make_sources(NAMES, learned(), sequence_model()), others, strict=True):
        assert answers(source, catalogue) == answers(other, catalogue)


def test_sources_have_unique_names_with_reasons_and_features() -> None:
    assert [source.name for source in make_sources(NAMES, Behaviour(), sequence_model())] == list(NAMES)
    fed = [feature for source in SOURCES for feature in source.features]
    assert len(set(fed)) == len(fed)
    assert {source.reason for source in SOURCES} == {
        "search", "clicked", "together", "taste", "habit", "trend", "new",
    }  # fmt: skip
    assert len({source.title for source in SOURCES}) == len(SOURCES)


def test_sources_are_created_once_in_order_and_unknown_names_are_errors() -> None:
    made = make_sources([TRENDING, NEW, TRENDING], Behaviour())
    assert [source.name for source in made] == [NEW, TRENDING]
    # A bundle without a sequence model has no such source.
    assert [source.name for source in make_sources([SEQUENCE, NEW], Behaviour())] == [NEW]
    with pytest.raises(ValueError, match=r"required some of .* got 'magic'"):
        make_sources(["magic", NEW], Behaviour())


def test_the_table_loads_without_numpy_because_settings_read_it() -> None:
    code = "import sys; from inference.retrieval.sources import NAMES; print(*NAMES, 'numpy' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert printed.stdout.split() == [*NAMES, "False"]


def test_every_source_gives_one_of_the_reasons() -> None:
    assert {source.reason for source in SOURCES} <= set(REASONS)
