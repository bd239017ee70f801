"""Every event gets one list in time, marked with its origin. Nothing is acknowledged before delivery."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
from aiokafka.errors import KafkaTimeoutError
from faust.types import Message

from inference.bundle import Bundle
from inference.errors import ScoringError
from inference.pipeline import Recommender
from inference.queries import QueryBatch
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.hits import Hits
from inference.retrieval.sources import SHORT_TERM, make_sources
from inference.retrieval.vectors import quantise
from inference.types import Vector, stable_key
from streams.behaviour.transitions import RecentSessions
from streams.contracts import serde
from streams.contracts.messages import Interaction, ItemVector, ModelRef, Recommendations, Search
from streams.engine import Engine
from streams.items.live import LiveCatalogue
from streams.items.trending import Popularity, Shares, Trending
from streams.metrics import Metrics
from streams.profiles.events import Event
from streams.profiles.profile import Source
from streams.scoring import Scoring, scorer_thread
from streams.serving.servable import Servable, ServableSlots
from streams.settings import load_settings
from streams.worker.checkpoint import Checkpoint
from streams.worker.delivery import Delivery
from streams.worker.event_path import EventPath
from streams.worker.transition_path import TransitionPath
from tests.integration.workers import until
from tests.streams.brokers import ScriptedProducer
from tests.streams.paths import CHANGELOG, MemoryTable, message, message_of
from tests.streams.shoppers import DIM, NOW_MS, RULES, act, item_of, search, unit_vector

ITEMS = [f"i{number}" for number in range(30)]
LISTS, LETTERS = "recommendations", "dead-letters"
SOON_S, NEVER_S = 0.05, 60.0
ENOUGH_S = 0.5
"""Seconds that are enough for all stages before the one that hangs, on a machine under load as well."""
PATIENCE_S = 10.0


@dataclass
class Script:
    """A model that stops in the scorer's thread where a test wants it, until `gate` opens, or fails."""

    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    hang_in: str = ""
    fails: bool = False
    ranked_rows: list[int] = field(default_factory=list)
    encoded: list[str] = field(default_factory=list)
    vector_space: str = "m/1"
    name: str = SHORT_TERM
    version: str = "1"

    def stage(self, name: str) -> None:
        if self.hang_in == name:
            self.reached.set()
            assert self.gate.wait(PATIENCE_S)

    def encode(self, texts: Sequence[str]) -> Vector:
        self.stage("encode")
        if any("unspeakable" in text for text in texts):
            raise ScoringError("scripted")
        self.encoded += texts
        return np.stack([unit_vector(text) for text in texts])

    def score(self, features: Vector) -> Vector:
        """Rank by the cosine to the short-term intent, upside down."""
        self.stage("score")
        self.ranked_rows.append(len(features))
        if self.fails:
            raise ScoringError("scripted")
        return np.asarray(0.5 - features[:, 0] / 2, dtype=np.float32)

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Stand in for a source."""
        self.stage("retrieve")
        (source,) = make_sources([SHORT_TERM], Behaviour())
        source.retrieve(batch, catalogue, hits, place)


class Bench:
    """A path that runs, with a scripted model and brokers."""

    def __init__(self) -> None:
        self.script, self.metrics = Script(), Metrics()
        self.producer = ScriptedProducer(prompt=True)
        self.table = MemoryTable(self.producer)
        self.trending = Trending(1e9)
        self.acknowledged: list[tuple[int, int]] = []
        self.errors: list[BaseException] = []
        self.live = live = LiveCatalogue("m/1", DIM)
        for item_id in ITEMS:
            vector = quantise(unit_vector(item_id)).tobytes()
            live.apply(item_id, ItemVector(item=item_of(item_id), space="m/1", text_hash=1, vector=vector))
        self.scoring = Scoring(
            cast("Bundle", self.script),
            Recommender(Catalogue(DIM), self.script, [cast("Any", self.script)]),
            scorer_thread(1),
        )
        delivery = Delivery(cast("Any", self.producer), self.metrics, LETTERS)
        settings = load_settings(
            {
                "partitions": 2,
                "batch_max_size": 8,
                "scoring_deadline_ms": NEVER_S * 1e3,
                "recommendations_topic": LISTS,
            },
            env_file=None,
        )
        self.path = EventPath(
            settings=settings,
            slots=ServableSlots(Servable(cast("Bundle", self.script), live, engine(live), self.scoring)),
            profiles=cast("Any", self.table),
            trending=self.trending,
            delivery=delivery,
            checkpoint=Checkpoint[Message](8, acknowledge=self._acknowledge, on_error=self.errors.append),
            transitions=TransitionPath(
                settings=settings, sessions=RecentSessions(), delivery=delivery, acknowledge=lambda _: None
            ),
            metrics=self.metrics,
        )

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        self.acknowledged += [(message.partition, message.offset) for message in messages]

    def deadline(self, seconds: float) -> None:
        self.path.settings = self.path.settings.replace(scoring_deadline_ms=seconds * 1e3)

    async def takes(self, *messages: Message) -> None:
        """Put messages in, to be one batch if nothing is under way."""
        for each in messages:
            await self.path.checkpoint.put(each)

    async def lists(self, number: int) -> list[Recommendations]:
        """Wait for so many lists."""
        await until(lambda: len(self.produced()) >= number or bool(self.errors), f"{number} lists", PATIENCE_S)
        assert self.errors == []
        return self.produced()

    def produced(self) -> list[Recommendations]:
        return [serde.decode_recommendations(value) for sent in self.producer.on(LISTS) for _, value in sent.messages]

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"intentstream_{name}", labels) or 0.0


def engine(live: LiveCatalogue) -> Engine:
    return Engine(model=ModelRef(name="m", version="1"), catalogue=live, rules=RULES, list_size=29)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.scoring.update(bench.live.take_changes())
    running = asyncio.create_task(bench.path.run())
    yield bench
    bench.script.gate.set()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    bench.scoring.close()


def views(*item_ids: str, user_id: str = "u") -> list[Interaction]:
    return [act("view", item_id, NOW_MS + place, user_id=user_id) for place, item_id in enumerate(item_ids)]


def messages(events: Iterable[Interaction], partition: int = 0, offset: int = 0) -> list[Message]:
    return [message_of(event, place, partition) for place, event in enumerate(events, start=offset)]


def ids(answer: Recommendations) -> list[str]:
    return [item.item_id for item in answer.items]


def by_cosine(item_id: str) -> list[str]:
    """Return the other items by their likeness to this one, the most alike first."""
    vector = unit_vector(item_id)
    return sorted(set(ITEMS) - {item_id}, key=lambda other: -float(vector @ unit_vector(other)))


async def test_in_time_the_model_orders_the_lists_and_each_event_gets_its_own(bench: Bench) -> None:
    await bench.takes(*(message_of(act("view", f"i{n}", user_id=f"u{n}"), n) for n in range(3)))
    answers = await bench.lists(3)
    assert {answer.fallback for answer in answers} == {None}
    assert {answer.user_id: ids(answer)[-1] for answer in answers} == {f"u{n}": by_cosine(f"i{n}")[0] for n in range(3)}
    await until(lambda: bench.acknowledged == [(0, 0), (0, 1), (0, 2)], "all are acknowledged", PATIENCE_S)
    assert bench.counted("batch_size_sum") == bench.counted("batch_queue_seconds_count") == 3
    assert bench.counted("events_total", topic="clicks", outcome="ok") == 3
    assert bench.counted("end_to_end_latency_seconds_count", trigger="view") == 3


async def test_a_model_that_fails_gives_retrieval_order_marked_and_counted(bench: Bench) -> None:
    bench.script.fails = True
    await bench.takes(*(message_of(act("view", f"i{n}", user_id=f"u{n}"), n) for n in range(2)))
    answers = await bench.lists(2)
    assert {answer.user_id: ids(answer)[0] for answer in answers} == {f"u{n}": by_cosine(f"i{n}")[0] for n in range(2)}
    assert {answer.fallback for answer in answers} == {"scoring_failed"}
    assert bench.counted("fallbacks_total", reason="scoring_failed") == 2
    assert bench.counted("recommendation_score_count") == 0


async def test_a_batch_that_is_late_is_answered_in_retrieval_order_and_what_the_model_says_then_is_dropped(
    bench: Bench,
) -> None:
    bench.script.hang_in = "score"
    bench.deadline(ENOUGH_S)
    await bench.takes(*messages(views("i5")))
    (answer,) = await bench.lists(1)
    assert ids(answer)[0] == by_cosine("i5")[0]
    assert answer.fallback == "deadline_exceeded"
    assert bench.counted("fallbacks_total", reason="deadline_exceeded") == 1
    await until(lambda: bench.acknowledged == [(0, 0)], "it is acknowledged", PATIENCE_S)
    bench.script.hang_in = ""
    bench.deadline(NEVER_S)
    bench.script.gate.set()
    await bench.takes(*messages(views("i6", user_id="v"), offset=1))
    answers = await bench.lists(2)
    assert [each.fallback for each in answers] == ["deadline_exceeded", None]
    await until(lambda: bench.acknowledged == [(0, 0), (0, 1)], "both are acknowledged", PATIENCE_S)


async def test_when_even_retrieval_is_late_the_lists_are_of_popular_items_and_nothing_is_ranked_any_more(
    bench: Bench,
) -> None:
    popular = {stable_key(item_id): share for item_id, share in (("i7", 1.0), ("gone", 0.9), ("i8", 0.5), ("i9", 0.4))}
    await bench.scoring.set_popularity(Popularity(Shares.of(popular)), bench.live)
    bench.script.hang_in = "retrieve"
    bench.deadline(SOON_S)
    await bench.takes(*messages(views("i1", user_id="v")), *messages(views("i7"), offset=1))
    answers = {answer.user_id: answer for answer in await bench.lists(2)}
    assert ids(answers["v"]) == ["i7", "i8", "i9"]
    # What the shopper acted on in this session is left out.
    assert ids(answers["u"]) == ["i8", "i9"]
    assert {answer.fallback for answer in answers.values()} == {"deadline_exceeded"}
    assert {item.sources for answer in answers.values() for item in answer.items} == {("trending",)}
    bench.script.hang_in = ""
    bench.deadline(NEVER_S)
    bench.script.gate.set()
    await bench.takes(*messages(views("i2"), offset=2))
    assert (await bench.lists(3))[-1].fallback is None
    # The candidates of the last list, then what is shown of them once more for the reasons.
    assert len(bench.script.ranked_rows) == 2


async def test_a_batch_that_is_not_even_folded_in_time_is_answered_once_it_is(bench: Bench) -> None:
    bench.script.hang_in = "encode"
    bench.deadline(SOON_S)
    await bench.takes(*messages([search("boots"), *views("i3")]))
    await asyncio.sleep(2 * SOON_S)
    assert bench.produced() == []
    bench.script.hang_in = "retrieve"
    bench.script.reached.clear()
    gate, bench.script.gate = bench.script.gate, threading.Event()
    gate.set()
    answers = await bench.lists(2)
    assert {answer.fallback for answer in answers} == {"deadline_exceeded"}
    assert (0, b"u") in bench.table.stored


async def test_a_search_that_cannot_be_encoded_goes_on_without_its_vector_and_costs_the_others_nothing(
    bench: Bench,
) -> None:
    searches = [search("unspeakable", user_id="u"), search("boots", user_id="v"), search("Boots ", user_id="w")]
    await bench.takes(*messages(searches))
    answers = {answer.user_id: answer for answer in await bench.lists(3)}
    assert {user: answer.fallback for user, answer in answers.items()} == {"u": "encoding_failed", "v": None, "w": None}
    assert bench.script.encoded == ["boots"]
    assert bench.counted("fallbacks_total", reason="encoding_failed") == 1


async def test_a_late_list_of_a_search_that_cannot_be_encoded_counts_once(bench: Bench) -> None:
    bench.script.hang_in = "retrieve"
    bench.deadline(SOON_S)
    await bench.takes(*messages([search("unspeakable")]))
    (answer,) = await bench.lists(1)
    assert answer.fallback == "deadline_exceeded"
    assert bench.counted("fallbacks_total", reason="deadline_exceeded") == 1
    assert bench.counted("fallbacks_total", reason="encoding_failed") == 0


async def test_the_events_of_a_shopper_are_folded_in_their_order_and_only_the_last_profile_is_logged(
    bench: Bench,
) -> None:
    events = views("i1", "i2", "i3")
    expected = None
    for place, event in enumerate(events):
        source = Source("clicks", 0, place, NOW_MS + place)
        (expected,) = engine(bench.live).fold([Event(event, source, 0, None)], [expected]).profiles
    await bench.takes(*messages(events), *messages(views("i9", user_id="v"), partition=1))
    answers = await bench.lists(4)
    assert bench.table.stored[0, b"u"] == expected
    assert bench.table.reads == [(0, b"u"), (1, b"v")]
    logged = {(sent.partition, key): value for sent in bench.producer.on(CHANGELOG) for key, value in sent.messages}
    assert logged == bench.table.stored
    assert sum(len(sent.messages) for sent in bench.producer.on(CHANGELOG)) == 2
    # Each list knows what came before its event, and nothing later.
    of_u = [ids(answer) for answer in answers if answer.user_id == "u"]
    assert [{"i1", "i2", "i3"} & set(items) for items in of_u] == [{"i2", "i3"}, {"i3"}, set()]


async def test_a_batch_gives_the_lists_that_its_events_would_get_one_by_one(bench: Bench) -> None:
    events = [*views("i1", "i2", "i3"), *views("i4", "i1", user_id="v"), search("boots", NOW_MS + 9)]
    alone = Bench()
    await alone.scoring.update(alone.live.take_changes())
    running = asyncio.create_task(alone.path.run())
    for number, each in enumerate(messages(events), start=1):
        await alone.takes(each)
        await alone.lists(number)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    alone.scoring.close()
    await bench.takes(*messages(events))
    together = {answer.recommendation_id: answer for answer in await bench.lists(len(events))}
    for answer in alone.produced():
        assert together[answer.recommendation_id].items == answer.items
    assert bench.table.stored == alone.table.stored


async def test_a_batch_is_handed_over_a_partition_at_a_time_and_acknowledged_when_all_of_it_is_delivered(
    bench: Bench,
) -> None:
    bench.producer.prompt = False
    await bench.takes(*messages([view for n in range(8) for view in views(f"i{n}", user_id=f"u{n}")]))
    await bench.lists(8)
    assert len(bench.producer.on(CHANGELOG)) == 1
    assert len(bench.producer.on(LISTS)) == 2
    for delivery in bench.producer.deliveries:
        assert bench.acknowledged == []
        assert bench.counted("recommendation_items_count") == 0
        delivery.arrive()
        await asyncio.sleep(0.01)
    assert bench.acknowledged == [(0, offset) for offset in range(8)]
    assert bench.counted("recommendation_items_count") == 8


async def test_the_next_batch_is_processed_while_the_one_before_is_delivered_and_acknowledged_after_it(
    bench: Bench,
) -> None:
    bench.producer.prompt = False
    for offset in range(3):
        await bench.takes(*messages(views(f"i{offset}"), offset=offset))
        await bench.lists(offset + 1)
    logged = [value for sent in bench.producer.on(CHANGELOG) for _, value in sent.messages]
    assert logged[-1] == bench.table.stored[0, b"u"]
    assert len(logged) == 3
    for delivery in reversed(bench.producer.deliveries):
        assert bench.acknowledged == []
        delivery.arrive()
        await asyncio.sleep(0.01)
    assert bench.acknowledged == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize("topic", [CHANGELOG, LISTS])
async def test_a_delivery_that_fails_ends_the_worker_and_acknowledges_nothing(bench: Bench, topic: str) -> None:
    bench.producer.prompt = False
    await bench.takes(*messages(views("i1")))
    await bench.lists(1)
    for delivery in bench.producer.deliveries:
        if delivery.topic == topic:
            delivery.fail(KafkaTimeoutError())
        else:
            delivery.arrive()
    await asyncio.sleep(0.01)
    assert [type(error) for error in bench.errors] == [KafkaTimeoutError]
    assert bench.acknowledged == []
    assert not await bench.path.checkpoint.drain(0.01)


async def test_what_cannot_be_read_is_refused_in_its_turn_and_the_others_are_served(bench: Bench) -> None:
    bench.table.stored[0, b"v"] = b"no profile"
    bad = [message("clicks", b"u", b"{", 0), message_of(act("view", "i1", user_id="v"), 1)]
    await bench.takes(*bad, *messages(views("i2"), offset=2))
    (answer,) = await bench.lists(1)
    assert answer.user_id == "u"
    letters = [serde.decode_dead_letter(value) for sent in bench.producer.on(LETTERS) for _, value in sent.messages]
    assert [(letter.offset, letter.reason) for letter in letters] == [(0, "not_json"), (1, "unreadable_profile")]
    await until(lambda: len(bench.acknowledged) == 3, "all are acknowledged", PATIENCE_S)
    assert bench.table.stored[0, b"v"] == b"no profile"
    assert bench.counted("events_total", topic="clicks", outcome="invalid") == 2
    assert bench.counted("batch_size_sum") == 1


async def test_a_batch_of_nothing_but_refused_messages_is_acknowledged(bench: Bench) -> None:
    await bench.takes(message("searches", None, b"", 0), message("clicks", b"u", None, 0, partition=1))
    await until(lambda: len(bench.acknowledged) == 2, "both are acknowledged", PATIENCE_S)
    assert bench.produced() == []


async def test_an_event_that_is_read_again_gets_the_same_id_and_its_profile_is_logged_again(bench: Bench) -> None:
    for _ in range(2):
        await bench.takes(*messages(views("i1")))
    first, second = await bench.lists(2)
    assert first.recommendation_id == second.recommendation_id
    assert first.items == second.items
    profiles = {value for sent in bench.producer.on(CHANGELOG) for _, value in sent.messages}
    assert profiles == {bench.table.stored[0, b"u"]}
    assert bench.counted("events_total", topic="clicks", outcome="replayed") == 1
    (snapshot,) = bench.trending.take_changed()
    assert len(snapshot.counts) == 1
    assert next(iter(snapshot.counts.values())) == pytest.approx(1.0)


async def test_items_and_sessions_are_observed_before_their_events_count_as_answered(bench: Bench) -> None:
    await bench.takes(*messages(views("i1", "i2")))
    await bench.lists(2)
    await bench.path.transitions.publish()
    (session,) = [serde.decode_session(value) for sent in bench.producer.on("sessions") for _, value in sent.messages]
    assert session.items == (stable_key("i1"), stable_key("i2"))
    transitions = [
        each
        for sent in bench.producer.on("item-pairs")
        for _, value in sent.messages
        for each in serde.decode_transitions(value)
    ]
    assert {(each.item_id, each.offset) for each in transitions} == {("i1", 0), ("i2", 1)}


async def test_a_long_backlog_flows_through_in_order(bench: Bench) -> None:
    events = [Search(event_id=f"e{n}", user_id=f"u{n % 5}", query=f"q{n % 7}", occurred_at=views("i1")[0].occurred_at)
              for n in range(100)]  # fmt: skip
    for each in messages(events):
        await bench.path.checkpoint.put(each)
    assert await bench.path.checkpoint.drain(PATIENCE_S)
    assert bench.acknowledged == [(0, offset) for offset in range(100)]
    assert len({answer.recommendation_id for answer in bench.produced()}) == len(bench.produced()) == 100
    for user in range(5):
        offsets = [answer.trigger.offset for answer in bench.produced() if answer.user_id == f"u{user}"]
        assert all(earlier < later for earlier, later in pairwise(offsets))
