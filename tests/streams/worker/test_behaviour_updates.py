"""Behaviour records are learned in the scorer's thread, and every catalogue marks the items that were acted on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.pipeline import retrieve
from inference.queries import QueryBatch
from inference.retrieval.behaviour import Behaviour, make_sources
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sources import NAMES
from inference.retrieval.vectors import quantise
from inference.types import ItemNeighbours, Query, SessionItems, stable_key
from streams.contracts import serde
from streams.errors import InvalidEvent
from streams.metrics import Metrics
from streams.serving.servable import ServableSlots
from streams.worker.behaviour_updates import LEARNED_AT_ONCE, BehaviourUpdates
from tests.streams.shoppers import DIM, item_of, unit_vector


class Harness:
    """`BehaviourUpdates` with two catalogues. It records the threads that learn."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self.threads: set[str] = set()
        self.metrics = Metrics()
        self.catalogues = [Catalogue(DIM), Catalogue(DIM)]
        servables = [SimpleNamespace(scoring=SimpleNamespace(recommender=SimpleNamespace(catalogue=each)))
                     for each in self.catalogues]  # fmt: skip
        self.slots = cast("ServableSlots", SimpleNamespace(all=servables))
        self.behaviour = Behaviour()
        self.updates = BehaviourUpdates(
            behaviour=cast("Behaviour", self),
            thread=thread,
            metrics=self.metrics,
        )

    def learn(self, records: Any) -> set[int]:
        self.threads.add(threading.current_thread().name)
        return self.behaviour.learn(records)

    def apply(self, topic: str, value: bytes) -> None:
        decode = serde.decode_session if topic == "sessions" else serde.decode_neighbours
        self.updates.add(topic, decode(value))


@pytest.fixture
def harness() -> Iterator[Harness]:
    with ThreadPoolExecutor(1, "scorer") as thread:
        yield Harness(thread)


def neighbours(item_id: str) -> bytes:
    return serde.encode_msgpack(ItemNeighbours(key=stable_key(item_id), as_of_ms=1, weight=1.0))


async def test_records_are_learned_in_the_scorers_thread_and_marked_in_every_catalogue(harness: Harness) -> None:
    for catalogue in harness.catalogues:
        for item_id in ("i0", "i1"):
            catalogue.upsert(item_of(item_id), quantise(unit_vector(item_id)))
    for number in range(3 * LEARNED_AT_ONCE):
        harness.apply("item-neighbours", neighbours(f"other-{number}"))
    harness.apply("sessions", serde.encode_msgpack(SessionItems(key=5, at_ms=1, items=(stable_key("i0"), 7))))
    await harness.updates.flush(harness.slots)
    assert len(harness.behaviour.transitions) == 3 * LEARNED_AT_ONCE
    assert len(harness.behaviour.sessions) == 1
    assert {name.rpartition("_")[0] for name in harness.threads} == {"scorer"}
    later = Catalogue(DIM)
    harness.updates.mark_all_seen(later)
    for item_id in ("i0", "i1"):
        later.upsert(item_of(item_id), quantise(unit_vector(item_id)))
    for catalogue in (*harness.catalogues, later):
        seen = {key: bool(catalogue.columns.seen[catalogue.row(stable_key(key))]) for key in ("i0", "i1")}
        assert seen == {"i0": True, "i1": False}
    counted = harness.metrics.registry.get_sample_value
    assert counted("intentstream_learned_total", {"topic": "item-neighbours"}) == 3 * LEARNED_AT_ONCE
    assert counted("intentstream_learned_total", {"topic": "sessions"}) == 1


async def test_an_invalid_record_is_refused_and_the_others_are_learned(harness: Harness) -> None:
    with pytest.raises(InvalidEvent):
        harness.apply("sessions", b"\xc1")
    harness.apply("item-neighbours", neighbours("i0"))
    await harness.updates.flush(harness.slots)
    await harness.updates.flush(harness.slots)
    assert len(harness.behaviour.transitions) == 1


keys = st.sampled_from([0, 1, 2, 3, 2**63, 2**64 - 1])
times = st.sampled_from([-(2**61), -1, 0, 1, 2**61])
weights = st.sampled_from([0.0, 5e-324, 1.0, 1e15])
record_lists = st.lists(
    st.builds(
        ItemNeighbours,
        key=keys,
        as_of_ms=times,
        weight=weights,
        before=st.dictionaries(keys, weights, max_size=5),
        queries=st.dictionaries(st.sampled_from(["", "red shoes", "red", "\x00", "x" * 1000]), weights, max_size=3),
    )
    # Items may repeat or be absent.
    | st.builds(SessionItems, key=keys, at_ms=times, items=st.lists(keys, max_size=120).map(tuple)),
    max_size=30,
)


@given(record_lists)
def test_sources_work_with_any_valid_records(records: list[ItemNeighbours | SessionItems]) -> None:
    behaviour = Behaviour(sessions=3)
    catalogue = Catalogue(DIM, numbers=behaviour.numbers)
    for item_id in ("i0", "i1"):
        catalogue.upsert(item_of(item_id), quantise(unit_vector(item_id)))
    for record in records:
        decode = serde.decode_neighbours if isinstance(record, ItemNeighbours) else serde.decode_session
        behaviour.learn([decode(serde.encode_msgpack(record))])
    session = np.array([0, 1, 2**63, 2**64 - 1], dtype=np.uint64)
    queries = QueryBatch.of([Query(session=session, text="red"), Query()], DIM)
    retrieve(make_sources(NAMES, behaviour), queries, catalogue, 10)
    shown = np.array([0, len(session), len(session)], dtype=np.int64)
    behaviour.transitions.partners(queries.records, shown, session)
    # Removing all records leaves no reference: each was counted exactly once.
    for key in (0, 1, 2, 3, 2**63, 2**64 - 1):
        behaviour.learn([ItemNeighbours(key=key, as_of_ms=0, weight=0.0), SessionItems(key=key, at_ms=0, items=())])
    assert (len(behaviour.transitions), len(behaviour.sessions), behaviour.clicked.searches) == (0, 0, 0)
    assert len(behaviour.numbers) == len(catalogue)
