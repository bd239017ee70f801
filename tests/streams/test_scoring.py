"""Every shopper gets a list in time, his own, and one that says how it was made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import pytest

from inference.bundle import Bundle
from inference.errors import ScoringError
from inference.pipeline import Recommender
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.catalogue import Catalogue, Found
from inference.retrieval.sources import SHORT_TERM, make_sources
from inference.retrieval.vectors import quantise
from inference.types import Query, RankedList, Vector, stable_key
from streams.contracts.messages import ItemVector
from streams.items.live import LiveCatalogue, apply_changes
from streams.items.trending import Popularity, Shares
from streams.metrics import Metrics
from streams.scoring import Scoring, ScoringLimits, scorer_thread
from tests.streams.shoppers import DIM, item_of, unit_vector

ITEMS = [f"i{number}" for number in range(30)]
SOON, NEVER = 0.02, 60.0


@dataclass
class Script:
    """Says where the scorer's thread stops until `gate` opens, and whether the model fails."""

    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    hang_in: str = ""
    fails: bool = False
    ranked_rows: list[int] = field(default_factory=list)
    encoded: list[str] = field(default_factory=list)
    nearest: None = None

    def stage(self, name: str) -> None:
        if self.hang_in == name:
            self.reached.set()
            assert self.gate.wait(10)

    def encode(self, texts: Sequence[str]) -> Vector:
        """Stand in for the bundle."""
        self.stage("encode")
        self.encoded.extend(texts)
        return np.stack([unit_vector(text) for text in texts])

    encode_items = encode

    def score(self, features: Vector) -> Vector:
        """Stand in for the ranker: the cosine to the short-term intent, upside down."""
        self.stage("score")
        self.ranked_rows.append(len(features))
        if self.fails:
            raise ScoringError("scripted")
        return np.asarray(0.5 - features[:, 0] / 2, dtype=np.float32)

    @property
    def name(self) -> str:
        return SHORT_TERM

    def retrieve(self, queries: Sequence[Query], catalogue: Catalogue, limit: int) -> list[Found | None]:
        """Stand in for a source."""
        self.stage("retrieve")
        (source,) = make_sources([SHORT_TERM], Behaviour())
        return source.retrieve(queries, catalogue, limit)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def live() -> LiveCatalogue:
    live = LiveCatalogue("m/1", DIM)
    for item_id in ITEMS:
        vector = quantise(unit_vector(item_id)).tobytes()
        live.apply(item_id, ItemVector(item=item_of(item_id), space="m/1", text_hash=1, vector=vector))
    return live


@pytest.fixture
def scoring(script: Script, live: LiveCatalogue) -> Iterator[Scoring]:
    catalogue = Catalogue(DIM)
    apply_changes(catalogue, live.take_changes())
    recommender = Recommender(catalogue, script, [script])
    limits = ScoringLimits(linger_s=0.0, deadline_s=NEVER)
    scoring = Scoring(cast("Bundle", script), recommender, limits, Metrics(), scorer_thread(limits))
    yield scoring
    script.gate.set()
    scoring.close()


def shopper(item_id: str, k: int = 10) -> Query:
    """A query whose nearest item is `item_id`."""
    return Query(short_term=unit_vector(item_id), k=k)


def deadline(scoring: Scoring, seconds: float) -> None:
    scoring.limits = replace(scoring.limits, deadline_s=seconds)


def ids(ranked: RankedList) -> list[str]:
    return [scored.item.item_id for scored in ranked.items]


def counted(scoring: Scoring, reason: str) -> float:
    return scoring.metrics.registry.get_sample_value("intentstream_fallbacks_total", {"reason": reason}) or 0.0


async def test_in_time_the_model_orders_the_list(scoring: Scoring) -> None:
    ranked = await scoring.rank(shopper("i3", k=30))
    assert ranked.fallback is None
    assert ids(ranked)[-1] == "i3"


async def test_a_model_that_fails_gives_retrieval_order_marked_and_counted(scoring: Scoring, script: Script) -> None:
    script.fails = True
    one, other = await asyncio.gather(scoring.rank(shopper("i3")), scoring.rank(shopper("i4")))
    assert [ids(one)[0], ids(other)[0]] == ["i3", "i4"]
    assert {one.fallback, other.fallback} == {"scoring_failed"}
    assert counted(scoring, "scoring_failed") == 2


async def test_a_model_that_is_late_gives_retrieval_order_marked_and_counted(scoring: Scoring, script: Script) -> None:
    script.hang_in = "score"
    deadline(scoring, 0.2)
    ranked = await scoring.rank(shopper("i5"))
    assert script.reached.is_set()
    assert ids(ranked)[0] == "i5"
    assert ranked.fallback == "deadline_exceeded"
    assert counted(scoring, "deadline_exceeded") == 1


async def test_when_even_retrieval_is_late_the_list_is_what_is_popular(
    scoring: Scoring, script: Script, live: LiveCatalogue
) -> None:
    popular = {stable_key(item_id): share for item_id, share in (("i7", 1.0), ("gone", 0.9), ("i8", 0.5), ("i9", 0.4))}
    await scoring.set_popularity(Popularity(Shares.of(popular)), live)
    deadline(scoring, SOON)
    script.hang_in = "retrieve"
    seen = replace(shopper("i5", k=2), exclude=np.array([stable_key("i7")], dtype=np.uint64))
    assert ids(await scoring.rank(shopper("i5", k=2))) == ["i7", "i8"]
    ranked = await scoring.rank(seen)
    assert ids(ranked) == ["i8", "i9"]
    assert ranked.fallback == "deadline_exceeded"
    assert {scored.sources for scored in ranked.items} == {("trending",)}


async def test_who_gives_up_in_mid_batch_does_not_shift_the_others_lists(scoring: Scoring, script: Script) -> None:
    script.hang_in = "score"
    deadline(scoring, SOON)
    hasty = asyncio.create_task(scoring.rank(shopper("i1", k=30)))
    await asyncio.sleep(0)
    deadline(scoring, NEVER)
    patient = [asyncio.create_task(scoring.rank(shopper(item_id, k=30))) for item_id in ("i2", "i3")]
    assert (await hasty).fallback == "deadline_exceeded"
    script.gate.set()
    assert [ids(ranked)[-1] for ranked in await asyncio.gather(*patient)] == ["i2", "i3"]


async def test_who_gave_up_before_the_batch_is_not_ranked_and_then_all_is_well(
    scoring: Scoring, script: Script
) -> None:
    script.hang_in = "score"
    first = asyncio.create_task(scoring.rank(shopper("i1", k=30)))
    await asyncio.to_thread(script.reached.wait, 10)
    deadline(scoring, SOON)
    given_up = await asyncio.gather(*(scoring.rank(shopper("i2")) for _ in range(20)))
    assert {ranked.fallback for ranked in given_up} == {"deadline_exceeded"}
    script.hang_in = ""
    script.gate.set()
    assert (await first).fallback is None
    deadline(scoring, NEVER)
    assert (await scoring.rank(shopper("i3"))).fallback is None
    # The candidates, then what is shown of them once more for the reasons: of two lists.
    assert [len(ITEMS), len(ITEMS)] == script.ranked_rows[::2]


async def test_a_repeated_search_is_encoded_once(scoring: Scoring, script: Script) -> None:
    first = await scoring.encode_query("Red  BOOTS")
    again = await scoring.encode_query("red boots")
    assert again is first
    assert script.encoded == ["red boots"]
    assert first is not None
    assert first.base is None


async def test_the_search_that_was_not_made_for_longest_is_forgotten(
    scoring: Scoring, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.scoring.QUERY_CACHE_SIZE", 2)
    for query in ("a", "b", "a", "c", "a", "b"):
        await scoring.encode_query(query)
    assert script.encoded == ["a", "b", "c", "b"]


async def test_an_items_vector_is_the_bundles(scoring: Scoring) -> None:
    vectors = await asyncio.gather(*(scoring.encode_item(text) for text in ITEMS))
    assert np.array_equal(np.stack(vectors), np.stack([unit_vector(text) for text in ITEMS]))


async def test_a_changed_catalogue_shows_in_the_next_list(scoring: Scoring, live: LiveCatalogue) -> None:
    live.apply("i3", None)
    await scoring.update(live.take_changes())
    assert "i3" not in ids(await scoring.rank(shopper("i3", k=30)))


async def test_a_search_that_is_encoded_too_late_goes_on_without_its_vector(scoring: Scoring, script: Script) -> None:
    script.hang_in = "encode"
    deadline(scoring, SOON)
    assert await scoring.encode_query("boots") is None
    assert counted(scoring, "encoding_failed") == 1
    script.gate.set()
    deadline(scoring, NEVER)
    assert await scoring.encode_query("boots") is not None
