"""The scorer's thread: each text is encoded once, and lists come from the current catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
import numpy as np
import pytest

from inference.attributes.names import NAMES
from inference.bundle import Bundle
from inference.errors import ScoringError
from inference.pipeline import Recommender
from inference.queries import QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.filters import Conditions, Filter
from inference.retrieval.vectors import quantise
from inference.types import Query, Vector, stable_key
from streams.contracts.internal import ItemVector
from streams.items.live import LiveCatalogue, apply_changes
from streams.items.trend_counts import Popularity, Shares
from streams.scoring import ITEM_BATCH, Scoring, scorer_thread
from tests.streams.shoppers import DIM, item_of, unit_vector

ITEMS = [f"i{number}" for number in range(10)]


@dataclass
class FakeModel:
    """A fake bundle. It fails for a batch that contains an unencodable text."""

    runs: list[list[str]] = field(default_factory=list)
    failures: int = 0
    fails: bool = False
    not_finite: bool = False

    def encode(self, texts: Sequence[str]) -> Vector:
        self.runs.append(list(texts))
        self.failures -= 1
        if self.fails or self.failures >= 0 or any("unencodable" in text for text in texts):
            raise ScoringError("fake")
        if self.not_finite:
            return np.full((len(texts), DIM), np.nan, np.float32)
        return np.stack([unit_vector(text) for text in texts])

    encode_items = encode

    def score(self, features: Vector) -> Vector:
        return np.zeros(len(features), np.float32)


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def live() -> LiveCatalogue:
    live = LiveCatalogue("m/1", DIM)
    for item_id in ITEMS:
        vector = quantise(unit_vector(item_id)).tobytes()
        live.apply(item_id, ItemVector(item=item_of(item_id), space="m/1", text_hash=1, vector=vector))
    return live


@pytest.fixture
def scoring(model: FakeModel, live: LiveCatalogue) -> Iterator[Scoring]:
    catalogue = Catalogue(DIM)
    apply_changes(catalogue, live.take_changes())
    scoring = Scoring(cast("Bundle", model), Recommender(catalogue, model, []), scorer_thread(1))
    yield scoring
    scoring.close()


def test_new_searches_of_a_batch_are_encoded_in_one_run_and_cached(scoring: Scoring, model: FakeModel) -> None:
    vectors = scoring.encode_queries(["Red  BOOTS", "tea", "red boots"])
    again = scoring.encode_queries(["TEA", "milk"])
    assert model.runs == [["red boots", "tea"], ["milk"]]
    assert [vectors[0] is vectors[2], vectors[1] is again[0]] == [True, True]
    for vector, text in zip((*vectors, *again), ("red boots", "tea", "red boots", "tea", "milk"), strict=True):
        assert vector is not None
        assert np.array_equal(vector, unit_vector(text))
        # A cached vector must not keep its whole batch in memory.
        assert vector.base is None


def test_the_least_recently_used_search_is_evicted(
    scoring: Scoring, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.scoring.QUERY_CACHE_SIZE", 2)
    for query in ("a", "b", "a", "c", "a", "b"):
        scoring.encode_queries([query])
    assert model.runs == [["a"], ["b"], ["c"], ["b"]]


def test_a_batch_larger_than_the_cache_gets_all_its_vectors(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.scoring.QUERY_CACHE_SIZE", 2)
    scoring.encode_queries(["a", "b"])
    assert all(vector is not None for vector in scoring.encode_queries(["c", "a", "d", "e", "b"]))
    assert len(scoring.vectors) == 2


def test_a_search_without_words_is_not_encoded(scoring: Scoring, model: FakeModel) -> None:
    vectors = scoring.encode_queries(["  ", "boots", "\u200b.", "🎁"])
    assert [vector is None for vector in vectors] == [True, False, True, True]
    assert model.runs == [["boots"]]


def test_an_unencodable_search_is_not_cached_and_does_not_affect_others(scoring: Scoring, model: FakeModel) -> None:
    vectors = scoring.encode_queries(["tea", "unencodable", "milk", "unencodable"])
    assert [vector is None for vector in vectors] == [False, True, False, True]
    assert model.runs[:4] == [["tea", "unencodable", "milk"], ["tea"], ["unencodable"], ["milk"]]
    scoring.encode_queries(["unencodable"])
    assert model.runs[-2] == ["unencodable"]


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_short_fault_of_the_encoder_costs_no_vector(scoring: Scoring, model: FakeModel, failures: int) -> None:
    model.failures = failures
    vectors = scoring.encode_queries(["tea", "milk"])
    assert np.array_equal(np.stack(vectors), np.stack([unit_vector("tea"), unit_vector("milk")]))  # type: ignore[arg-type]


@pytest.mark.parametrize("broken", ["fails", "not_finite"])
def test_an_encoder_that_fails_on_every_text_is_an_error(scoring: Scoring, model: FakeModel, broken: str) -> None:
    setattr(model, broken, True)
    with pytest.raises(ScoringError, match="the encoder fails on every text: check the model"):
        scoring.encode_queries(["tea", "milk"])
    assert not scoring.vectors


async def test_items_are_encoded_in_small_batches(scoring: Scoring, model: FakeModel) -> None:
    texts = [*ITEMS, "unencodable"]
    vectors = await scoring.encode_items(texts)
    assert [vector is None for vector in vectors] == [text == "unencodable" for text in texts]
    assert np.array_equal(np.stack(vectors[:-1]), np.stack([unit_vector(text) for text in ITEMS]))  # type: ignore[arg-type]
    assert max(map(len, model.runs)) == ITEM_BATCH
    assert await scoring.encode_items([]) == []


async def test_updates_change_the_ranked_catalogue(scoring: Scoring, live: LiveCatalogue) -> None:
    live.apply("i3", None)
    await scoring.update(live.take_changes())
    assert scoring.recommender.catalogue.row(stable_key("i3")) is None
    assert len(scoring.recommender.catalogue) == len(ITEMS) - 1


async def test_popular_lists_meet_filters_by_derived_values(scoring: Scoring, live: LiveCatalogue) -> None:
    catalogue = scoring.recommender.catalogue = Catalogue(DIM, derived=NAMES)
    for item_id, title in (("i7", "A cup, black"), ("i8", "A mug, red"), ("i9", "A pot, black")):
        vector = quantise(unit_vector(item_id)).tobytes()
        item = msgspec.structs.replace(item_of(item_id), title=title)
        live.apply(item_id, ItemVector(item=item, space="m/1", text_hash=1, vector=vector))
    apply_changes(catalogue, live.take_changes())
    popular = {stable_key(item_id): share for item_id, share in (("i7", 1.0), ("i8", 0.9), ("i9", 0.5))}
    await scoring.set_popularity(Popularity(Shares.of(popular)), live)
    black = Conditions(attributes={"Color": ("Black",)})
    filters = ((Filter(attributes=black.attributes),), (Filter(without=(black,)),))
    lists = scoring.popular(QueryBatch.of([Query(k=3), Query(k=3)], DIM).filtered(filters))
    listed = [[item.item_id for item in lists.items[a:b]] for a, b in zip(lists.starts, lists.starts[1:], strict=False)]
    assert listed == [["i7", "i9"], ["i8"]]


async def test_popular_lists_omit_excluded_and_removed_items(scoring: Scoring, live: LiveCatalogue) -> None:
    popular = {stable_key(item_id): share for item_id, share in (("i7", 1.0), ("gone", 0.9), ("i8", 0.5), ("i9", 0.4))}
    await scoring.set_popularity(Popularity(Shares.of(popular)), live)
    seen = np.array([stable_key("i7")], dtype=np.uint64)
    batch = QueryBatch.of([Query(k=2), Query(k=2, exclude=seen), Query(k=0), Query(k=2)], DIM)
    batch.records[3]["earlier_length"], batch.records[3]["earlier"][0] = 1, stable_key("i8") % 2**32
    lists = scoring.popular(batch)
    listed = [[item.item_id for item in lists.items[a:b]] for a, b in zip(lists.starts, lists.starts[1:], strict=False)]
    assert listed == [["i7", "i8"], ["i8", "i9"], [], ["i7", "i9"]]
    assert (lists.fallback, set(lists.sources)) == ("deadline_exceeded", {("trending",)})
