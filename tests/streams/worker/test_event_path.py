"""Every event gets one list, late batches get a fallback, and nothing is acknowledged before delivery."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
from aiokafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError
from faust.types import Message

from inference.bundle import Bundle
from inference.errors import ScoringError
from inference.pipeline import Recommender
from inference.placements import EVERYWHERE, Placement
from inference.queries import QueryBatch
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.filters import Filter
from inference.retrieval.hits import Hits
from inference.retrieval.sources import SHORT_TERM, make_sources
from inference.retrieval.vectors import quantise
from inference.types import Vector, stable_key
from streams.behaviour.transitions import RecentSessions
from streams.budget import RATE_LIMITED, ListBudgets
from streams.contracts import serde
from streams.contracts.messages import FORWARDED_HEADER, Interaction, ItemVector, ModelRef, Recommendations, Search
from streams.engine import Engine
from streams.items.live import LiveCatalogue
from streams.items.trending import Popularity, Shares, Trending
from streams.metrics import Metrics
from streams.placements import Placements
from streams.profiles.events import Event
from streams.profiles.profile import Source
from streams.pseudonyms import Pseudonyms
from streams.scoring import WARM_UP_TEXTS, Scoring, scorer_thread
from streams.serving.servable import Servable, ServableSlots
from streams.settings import load_settings
from streams.worker.checkpoint import Checkpoint
from streams.worker.deadline import Deadlines
from streams.worker.delivery import Delivery
from streams.worker.ending import explanation
from streams.worker.event_path import EventPath
from streams.worker.forwarding import Forwarder
from streams.worker.profile_store import ProfileStore
from streams.worker.transition_path import TransitionPath
from tests.integration.workers import until
from tests.streams.fakes import CHANGELOG, FakeProducer, FakeTable, message, message_of
from tests.streams.shoppers import DIM, NOW_MS, RULES, act, item_of, search, unit_vector

ITEMS = [f"i{number}" for number in range(30)]
LISTS, DEAD_LETTERS = "recommendations", "dead-letters"
SOON_S, NEVER_S = 0.05, 60.0
ENOUGH_S = 0.5
"""Enough seconds for all stages before the hanging one, even on a busy machine."""
TIMEOUT_S = 10.0


@dataclass
class FakeModel:
    """A fake model. It blocks in the stage `blocked_stage` until `gate` is set, or fails."""

    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    blocked_stage: str = ""
    fails: bool = False
    ranked_rows: list[int] = field(default_factory=list)
    encoded: list[str] = field(default_factory=list)
    encodings: int = 0
    encoder_fails: Callable[[int], bool] = lambda _: False
    vector_space: str = "m/1"
    name: str = SHORT_TERM
    version: str = "1"

    def enter(self, name: str) -> None:
        if self.blocked_stage == name:
            self.reached.set()
            assert self.gate.wait(TIMEOUT_S)

    def encode(self, texts: Sequence[str]) -> Vector:
        self.enter("encode")
        self.encodings += 1
        if self.encoder_fails(self.encodings) or any("unencodable" in text for text in texts):
            raise ScoringError("fake")
        self.encoded += texts
        return np.stack([unit_vector(text) for text in texts])

    def score(self, features: Vector) -> Vector:
        """Score by falling cosine to the short-term intent: the opposite of retrieval order."""
        self.enter("score")
        self.ranked_rows.append(len(features))
        if self.fails:
            raise ScoringError("fake")
        return np.asarray(0.5 - features[:, 0] / 2, dtype=np.float32)

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Retrieve as a source does."""
        self.enter("retrieve")
        (source,) = make_sources([SHORT_TERM], Behaviour())
        source.retrieve(batch, catalogue, hits, place)


class Harness:
    """An `EventPath` with a fake model and a fake producer."""

    running: asyncio.Task[None]

    def __init__(self) -> None:
        self.model, self.metrics = FakeModel(), Metrics()
        self.producer = FakeProducer(immediate=True)
        self.table = FakeTable(self.producer)
        self.trending = Trending(1e9)
        self.acknowledged: list[tuple[int, int]] = []
        self.errors: list[BaseException] = []
        self.waited_s = 0.0
        self.live = live = LiveCatalogue("m/1", DIM)
        for item_id in ITEMS:
            vector = quantise(unit_vector(item_id)).tobytes()
            live.apply(item_id, ItemVector(item=item_of(item_id), space="m/1", text_hash=1, vector=vector))
        self.scoring = Scoring(
            cast("Bundle", self.model),
            Recommender(Catalogue(DIM), self.model, [cast("Any", self.model)]),
            scorer_thread(1),
        )
        delivery = Delivery(cast("Any", self.producer), self.metrics, DEAD_LETTERS)
        settings = load_settings(
            {
                "partitions": 2,
                "batch_max_size": 8,
                "scoring_deadline_ms": NEVER_S * 1e3,
                "recommendations_topic": LISTS,
            },
            env_file=None,
        )
        # With one partition, every key's messages are in their partition.
        self.forwarder = Forwarder(delivery=delivery, partitions=1)
        self.path = EventPath(
            settings=settings,
            slots=ServableSlots(Servable(cast("Bundle", self.model), live, engine(live), self.scoring)),
            profiles=ProfileStore(cast("Any", self.table), Pseudonyms()),
            trending=self.trending,
            budgets=ListBudgets(0),
            delivery=delivery,
            forwarder=self.forwarder,
            deadlines=Deadlines(settings.latency, now=lambda: NOW_MS / 1e3 + self.waited_s),
            checkpoint=Checkpoint[Message](8, acknowledge=self._acknowledge, on_error=self.errors.append),
            transitions=TransitionPath(
                settings=settings, sessions=RecentSessions(), delivery=delivery, acknowledge=lambda _: None
            ),
            metrics=self.metrics,
        )

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        self.acknowledged += [(message.partition, message.offset) for message in messages]

    def deadline(self, seconds: float) -> None:
        limits = self.path.deadlines.limits
        self.path.deadlines.limits = limits.model_copy(update={"scoring_deadline_ms": seconds * 1e3})

    async def submit(self, *messages: Message) -> None:
        """Submit messages: one batch if the path is idle."""
        for each in messages:
            await self.path.checkpoint.put(each)

    async def lists(self, number: int) -> list[Recommendations]:
        """Wait for this number of lists."""
        await until(lambda: len(self.produced()) >= number or bool(self.errors), f"{number} lists", TIMEOUT_S)
        assert self.errors == []
        return self.produced()

    def produced(self) -> list[Recommendations]:
        return [serde.decode_recommendations(value) for sent in self.producer.on(LISTS) for _, value in sent.messages]

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"intentstream_{name}", labels) or 0.0


def engine(live: LiveCatalogue) -> Engine:
    return Engine(model=ModelRef(name="m", version="1"), catalogue=live, rules=RULES, list_size=29)


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = Harness()
    await harness.scoring.update(harness.live.take_changes())
    harness.running = asyncio.create_task(harness.path.run())
    yield harness
    harness.model.gate.set()
    harness.running.cancel()
    await asyncio.gather(harness.running, return_exceptions=True)
    harness.scoring.close()


def views(*item_ids: str, user_id: str = "u") -> list[Interaction]:
    return [act("view", item_id, NOW_MS + place, user_id=user_id) for place, item_id in enumerate(item_ids)]


def messages(events: Iterable[Interaction], partition: int = 0, offset: int = 0) -> list[Message]:
    return [message_of(event, place, partition) for place, event in enumerate(events, start=offset)]


def ids(answer: Recommendations) -> list[str]:
    return [item.item_id for item in answer.items]


def by_cosine(item_id: str) -> list[str]:
    """Return the other items by falling cosine to this one."""
    vector = unit_vector(item_id)
    return sorted(set(ITEMS) - {item_id}, key=lambda other: -float(vector @ unit_vector(other)))


async def test_each_event_gets_a_list_in_the_order_of_the_model(harness: Harness) -> None:
    await harness.submit(*(message_of(act("view", f"i{n}", user_id=f"u{n}"), n) for n in range(3)))
    answers = await harness.lists(3)
    assert {answer.fallback for answer in answers} == {None}
    assert {answer.user_id: ids(answer)[-1] for answer in answers} == {f"u{n}": by_cosine(f"i{n}")[0] for n in range(3)}
    await until(lambda: harness.acknowledged == [(0, 0), (0, 1), (0, 2)], "all are acknowledged", TIMEOUT_S)
    assert harness.counted("batch_size_sum") == harness.counted("batch_queue_seconds_count") == 3
    assert harness.counted("events_total", topic="clicks", outcome="ok") == 3
    assert harness.counted("end_to_end_latency_seconds_count", trigger="view") == 3


def placed(harness: Harness, **events: tuple[str, ...]) -> None:
    """Give types of events lists at the placements `default` and `small`, which excludes two items."""
    small = Placement(k=3, filter=Filter(exclude_items=("i1", "i2")))
    shown_at = Placements({"default": EVERYWHERE, "small": small}, events)
    harness.path.slots.current.engine.placements = shown_at


@pytest.mark.parametrize("blocked", ["", "score", "retrieve"])
async def test_an_event_has_a_list_at_each_placement_of_its_type(harness: Harness, blocked: str) -> None:
    placed(harness, view=("default", "small"), cart=("small",), click=())
    popular = {stable_key(item_id): 1 / (1 + place) for place, item_id in enumerate(ITEMS)}
    await harness.scoring.set_popularity(Popularity(Shares.of(popular)), harness.live)
    harness.model.blocked_stage = blocked
    if blocked:
        harness.deadline(0.01)
    events = [act("view", "i0", user_id="u0"), act("cart", "i5", user_id="u1"), act("click", "i6", user_id="u2")]
    await harness.submit(*messages(events))
    answers = await harness.lists(3)
    harness.model.gate.set()
    assert [(each.user_id, each.placement) for each in answers] == [("u0", "default"), ("u0", "small"), ("u1", "small")]
    assert {each.fallback for each in answers} == {"deadline_exceeded" if blocked else None}
    for small in answers[1:]:
        assert len(small.items) == 3
        assert {"i1", "i2"}.isdisjoint(ids(small))
    assert set(ids(answers[0])) == set(ITEMS) - {"i0"}
    first, second = (answer.recommendation_id for answer in answers[:2])
    assert first == serde.recommendation_id("clicks", 0, 0)
    assert second == serde.recommendation_id("clicks", 0, 0, "small")
    await until(lambda: harness.acknowledged == [(0, 0), (0, 1), (0, 2)], "all are acknowledged", TIMEOUT_S)


async def test_an_event_beyond_the_budget_repeats_the_list_of_each_placement(harness: Harness) -> None:
    placed(harness, view=("default", "small"))
    harness.path.budgets = ListBudgets(1)
    await harness.submit(*messages(views("i0", "i5")))
    answers = await harness.lists(4)
    assert [answer.fallback for answer in answers] == [None, None, "rate_limited", "rate_limited"]
    assert [ids(answer) for answer in answers[2:]] == [ids(answer) for answer in answers[:2]]
    await harness.submit(*messages(views("i6"), offset=2))
    answers = await harness.lists(6)
    assert [ids(answer) for answer in answers[4:]] == [ids(answer) for answer in answers[:2]]


async def test_a_failed_model_gives_lists_in_retrieval_order(harness: Harness) -> None:
    harness.model.fails = True
    await harness.submit(*(message_of(act("view", f"i{n}", user_id=f"u{n}"), n) for n in range(2)))
    answers = await harness.lists(2)
    assert {answer.user_id: ids(answer)[0] for answer in answers} == {f"u{n}": by_cosine(f"i{n}")[0] for n in range(2)}
    assert {answer.fallback for answer in answers} == {"scoring_failed"}
    assert harness.counted("fallbacks_total", reason="scoring_failed") == 2
    assert harness.counted("recommendation_score_count") == 0


async def test_a_late_batch_gets_lists_in_retrieval_order_and_its_scores_are_dropped(
    harness: Harness,
) -> None:
    harness.model.blocked_stage = "score"
    harness.deadline(ENOUGH_S)
    await harness.submit(*messages(views("i5")))
    (answer,) = await harness.lists(1)
    assert ids(answer)[0] == by_cosine("i5")[0]
    assert answer.fallback == "deadline_exceeded"
    assert harness.counted("fallbacks_total", reason="deadline_exceeded") == 1
    await until(lambda: harness.acknowledged == [(0, 0)], "it is acknowledged", TIMEOUT_S)
    harness.model.blocked_stage = ""
    harness.deadline(NEVER_S)
    harness.model.gate.set()
    await harness.submit(*messages(views("i6", user_id="v"), offset=1))
    answers = await harness.lists(2)
    assert [each.fallback for each in answers] == ["deadline_exceeded", None]
    await until(lambda: harness.acknowledged == [(0, 0), (0, 1)], "both are acknowledged", TIMEOUT_S)


async def test_events_that_have_waited_for_long_are_ranked_in_full_although_the_scorer_is_late(
    harness: Harness,
) -> None:
    harness.deadline(SOON_S)
    harness.waited_s = 60.0
    harness.model.blocked_stage = "score"
    await harness.submit(*messages(views("i5")))
    await until(harness.model.reached.is_set, "the scorer runs", TIMEOUT_S)
    await asyncio.sleep(2 * SOON_S)
    assert harness.produced() == []
    harness.model.gate.set()
    (answer,) = await harness.lists(1)
    assert answer.fallback is None


async def test_a_batch_with_late_retrieval_gets_popular_items_and_is_not_ranked(
    harness: Harness,
) -> None:
    popular = {stable_key(item_id): share for item_id, share in (("i7", 1.0), ("gone", 0.9), ("i8", 0.5), ("i9", 0.4))}
    await harness.scoring.set_popularity(Popularity(Shares.of(popular)), harness.live)
    harness.model.blocked_stage = "retrieve"
    harness.deadline(SOON_S)
    await harness.submit(*messages(views("i1", user_id="v")), *messages(views("i7"), offset=1))
    answers = {answer.user_id: answer for answer in await harness.lists(2)}
    assert ids(answers["v"]) == ["i7", "i8", "i9"]
    # Items of the shopper's session are excluded.
    assert ids(answers["u"]) == ["i8", "i9"]
    assert {answer.fallback for answer in answers.values()} == {"deadline_exceeded"}
    assert {item.sources for answer in answers.values() for item in answer.items} == {("trending",)}
    harness.model.blocked_stage = ""
    harness.deadline(NEVER_S)
    harness.model.gate.set()
    await harness.submit(*messages(views("i2"), offset=2))
    assert (await harness.lists(3))[-1].fallback is None
    # The model scored the candidates of the last list, and its shown items again for the reasons.
    assert len(harness.model.ranked_rows) == 2


async def test_a_batch_that_is_folded_late_is_answered_after_folding(harness: Harness) -> None:
    harness.model.blocked_stage = "encode"
    harness.deadline(SOON_S)
    await harness.submit(*messages([search("boots"), *views("i3")]))
    await asyncio.sleep(2 * SOON_S)
    assert harness.produced() == []
    harness.model.blocked_stage = "retrieve"
    harness.model.reached.clear()
    gate, harness.model.gate = harness.model.gate, threading.Event()
    gate.set()
    answers = await harness.lists(2)
    assert {answer.fallback for answer in answers} == {"deadline_exceeded"}
    assert (0, b"u") in harness.table.stored


async def test_an_unencodable_search_is_ranked_without_its_vector_and_does_not_affect_others(
    harness: Harness,
) -> None:
    searches = [search("unencodable", user_id="u"), search("boots", user_id="v"), search("Boots ", user_id="w")]
    await harness.submit(*messages(searches))
    answers = {answer.user_id: answer for answer in await harness.lists(3)}
    assert {user: answer.fallback for user, answer in answers.items()} == {"u": "encoding_failed", "v": None, "w": None}
    assert [text for text in harness.model.encoded if text not in WARM_UP_TEXTS] == ["boots"]
    assert harness.counted("fallbacks_total", reason="encoding_failed") == 1


async def test_a_search_is_folded_with_its_vector_after_a_short_fault_of_the_encoder(harness: Harness) -> None:
    harness.model.encoder_fails = lambda number: number <= 2
    await harness.submit(*messages([search("boots"), search("tea", NOW_MS + 1)]))
    answers = await harness.lists(2)
    assert {answer.fallback for answer in answers} == {None}
    assert harness.table.stored[0, b"u"] == folded(harness, [(search("boots"), 0), (search("tea", NOW_MS + 1), 1)])


async def test_no_search_is_folded_or_acknowledged_while_the_encoder_fails_on_every_text(harness: Harness) -> None:
    harness.model.encoder_fails = lambda _: True
    await harness.submit(*messages([search("boots")]))
    await until(lambda: harness.running.done(), "the path ends", TIMEOUT_S)
    error = harness.running.exception()
    assert isinstance(error, ExceptionGroup)
    assert "the encoder fails on every text" in explanation(error)
    assert harness.table.stored == {}
    assert harness.acknowledged == []


async def test_a_late_encoding_costs_the_list_and_not_the_profile(harness: Harness) -> None:
    harness.model.blocked_stage = "encode"
    harness.deadline(0.001)
    await harness.submit(*messages([search("boots")]))
    await until(harness.model.reached.is_set, "the encoder runs", TIMEOUT_S)
    assert harness.produced() == []
    harness.model.gate.set()
    await harness.lists(1)
    assert harness.table.stored[0, b"u"] == folded(harness, [(search("boots"), 0)])


async def test_a_late_unencodable_search_counts_one_fallback(harness: Harness) -> None:
    harness.model.blocked_stage = "retrieve"
    harness.deadline(SOON_S)
    await harness.submit(*messages([search("unencodable")]))
    (answer,) = await harness.lists(1)
    assert answer.fallback == "deadline_exceeded"
    assert harness.counted("fallbacks_total", reason="deadline_exceeded") == 1
    assert harness.counted("fallbacks_total", reason="encoding_failed") == 0


def folded(harness: Harness, events: Sequence[tuple[Search, int]]) -> bytes:
    """Return the profile after searches with their vectors, each at an offset."""
    profile: bytes | None = None
    for event, offset in events:
        source = Source("searches", 0, offset, int(event.occurred_at.timestamp() * 1000))
        (profile,) = engine(harness.live).fold([Event(event, source, 0, unit_vector(event.query))], [profile]).profiles
    assert profile is not None
    return profile


async def test_events_of_a_shopper_are_folded_in_order_and_the_last_profile_is_logged(
    harness: Harness,
) -> None:
    harness.forwarder.partitions = 2
    events = views("i1", "i2", "i3", user_id="w")
    expected = None
    for place, event in enumerate(events):
        source = Source("clicks", 0, place, NOW_MS + place)
        (expected,) = engine(harness.live).fold([Event(event, source, 0, None)], [expected]).profiles
    await harness.submit(*messages(events), *messages(views("i9", user_id="v"), partition=1))
    answers = await harness.lists(4)
    assert harness.table.stored[0, b"w"] == expected
    assert harness.table.reads == [(0, b"w"), (1, b"v")]
    logged = {(sent.partition, key): value for sent in harness.producer.on(CHANGELOG) for key, value in sent.messages}
    assert logged == harness.table.stored
    assert sum(len(sent.messages) for sent in harness.producer.on(CHANGELOG)) == 2
    # Each list excludes the items up to its event, and no later ones.
    of_w = [ids(answer) for answer in answers if answer.user_id == "w"]
    assert [{"i1", "i2", "i3"} & set(items) for items in of_w] == [{"i2", "i3"}, {"i3"}, set()]


async def test_a_batch_gives_the_same_lists_as_single_events(harness: Harness) -> None:
    events = [*views("i1", "i2", "i3"), *views("i4", "i1", user_id="v"), search("boots", NOW_MS + 9)]
    alone = Harness()
    await alone.scoring.update(alone.live.take_changes())
    running = asyncio.create_task(alone.path.run())
    for number, each in enumerate(messages(events), start=1):
        await alone.submit(each)
        await alone.lists(number)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    alone.scoring.close()
    await harness.submit(*messages(events))
    together = {answer.recommendation_id: answer for answer in await harness.lists(len(events))}
    for answer in alone.produced():
        assert together[answer.recommendation_id].items == answer.items
    assert harness.table.stored == alone.table.stored


async def test_events_beyond_a_shoppers_budget_repeat_its_last_list_and_are_folded(harness: Harness) -> None:
    hot = views(*(f"i{n % 9}" for n in range(12)))
    await harness.submit(*messages(hot[:8]))
    await harness.lists(8)
    unlimited = harness.table.stored.copy()

    limited = Harness()
    await limited.scoring.update(limited.live.take_changes())
    limited.path.budgets = ListBudgets(3)
    running = asyncio.create_task(limited.path.run())
    await limited.submit(*messages(hot[:8]))
    await limited.lists(8)
    assert limited.table.stored == unlimited, "events beyond the budget are folded like others"
    # A batch in which no list is ranked, and a stranger in the next one.
    await limited.submit(*messages(hot[8:], offset=8))
    await limited.lists(12)
    await limited.submit(*messages(views("i20", user_id="stranger"), offset=12))
    await limited.lists(13)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    limited.scoring.close()

    answers = {answer.trigger.offset: answer for answer in limited.produced()}
    assert [answers[offset].fallback for offset in range(13)] == [None] * 3 + [RATE_LIMITED] * 9 + [None]
    assert len({answer.recommendation_id for answer in answers.values()}) == 13
    assert {answers[offset].items for offset in range(3, 12)} == {answers[2].items}
    assert [answers[offset].trigger.event_id for offset in range(12)] == [event.event_id for event in hot]
    assert limited.counted("fallbacks_total", reason=RATE_LIMITED) == 9
    assert limited.counted("events_total", topic="clicks", outcome="ok") == 13
    assert limited.counted("recommendation_items_count") == 4, "repeated lists say nothing about quality"


async def test_a_late_batch_within_and_beyond_the_budget_is_answered(harness: Harness) -> None:
    harness.path.budgets = ListBudgets(2)
    harness.model.blocked_stage = "score"
    harness.deadline(ENOUGH_S)
    await harness.submit(*messages(views("i1", "i2", "i3")), *messages(views("i4", user_id="v"), offset=3))
    answers = {answer.trigger.offset: answer for answer in await harness.lists(4)}
    late = "deadline_exceeded"
    assert [answers[offset].fallback for offset in range(4)] == [late, late, RATE_LIMITED, late]
    assert answers[2].items == answers[1].items


async def test_a_batch_is_sent_by_partition_and_acknowledged_after_all_deliveries(
    harness: Harness,
) -> None:
    harness.producer.immediate = False
    await harness.submit(*messages([view for n in range(8) for view in views(f"i{n}", user_id=f"u{n}")]))
    await harness.lists(8)
    assert len(harness.producer.on(CHANGELOG)) == 1
    assert len(harness.producer.on(LISTS)) == 2
    for delivery in harness.producer.deliveries:
        assert harness.acknowledged == []
        assert harness.counted("recommendation_items_count") == 0
        delivery.complete()
        await asyncio.sleep(0.01)
    assert harness.acknowledged == [(0, offset) for offset in range(8)]
    assert harness.counted("recommendation_items_count") == 8


async def test_batches_are_processed_during_deliveries_and_acknowledged_in_order(
    harness: Harness,
) -> None:
    harness.producer.immediate = False
    for offset in range(3):
        await harness.submit(*messages(views(f"i{offset}"), offset=offset))
        await harness.lists(offset + 1)
    logged = [value for sent in harness.producer.on(CHANGELOG) for _, value in sent.messages]
    assert logged[-1] == harness.table.stored[0, b"u"]
    assert len(logged) == 3
    for delivery in reversed(harness.producer.deliveries):
        assert harness.acknowledged == []
        delivery.complete()
        await asyncio.sleep(0.01)
    assert harness.acknowledged == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize("topic", [CHANGELOG, LISTS])
async def test_a_failed_delivery_crashes_the_worker_and_acknowledges_nothing(harness: Harness, topic: str) -> None:
    harness.producer.immediate = False
    await harness.submit(*messages(views("i1")))
    await harness.lists(1)
    for delivery in harness.producer.deliveries:
        if delivery.topic == topic:
            delivery.fail(KafkaTimeoutError())
        else:
            delivery.complete()
    await asyncio.sleep(0.01)
    assert [type(error) for error in harness.errors] == [KafkaTimeoutError]
    assert harness.acknowledged == []
    assert not await harness.path.checkpoint.drain(0.01)


async def test_invalid_messages_and_profiles_become_dead_letters_and_others_get_lists(harness: Harness) -> None:
    harness.table.stored[0, b"v"] = b"no profile"
    bad = [message("clicks", b"u", b"{", 0), message_of(act("view", "i1", user_id="v"), 1)]
    await harness.submit(*bad, *messages(views("i2"), offset=2))
    (answer,) = await harness.lists(1)
    assert answer.user_id == "u"
    letters = [
        serde.decode_dead_letter(value) for sent in harness.producer.on(DEAD_LETTERS) for _, value in sent.messages
    ]
    assert [(letter.offset, letter.reason) for letter in letters] == [(0, "not_json"), (1, "unreadable_profile")]
    await until(lambda: len(harness.acknowledged) == 3, "all are acknowledged", TIMEOUT_S)
    assert harness.table.stored[0, b"v"] == b"no profile"
    assert harness.counted("events_total", topic="clicks", outcome="invalid") == 2
    assert harness.counted("batch_size_sum") == 1


async def test_a_batch_of_invalid_messages_is_acknowledged(harness: Harness) -> None:
    await harness.submit(message("searches", None, b"", 0), message("clicks", b"u", None, 0, partition=1))
    await until(lambda: len(harness.acknowledged) == 2, "both are acknowledged", TIMEOUT_S)
    assert harness.produced() == []


async def test_a_replayed_event_gets_the_same_list_and_its_profile_is_logged_again(harness: Harness) -> None:
    for _ in range(2):
        await harness.submit(*messages(views("i1")))
    first, second = await harness.lists(2)
    assert first.recommendation_id == second.recommendation_id
    assert first.items == second.items
    profiles = {value for sent in harness.producer.on(CHANGELOG) for _, value in sent.messages}
    assert profiles == {harness.table.stored[0, b"u"]}
    assert harness.counted("events_total", topic="clicks", outcome="replayed") == 1
    (snapshot,) = harness.trending.take_changed()
    assert len(snapshot.counts) == 1
    assert next(iter(snapshot.counts.values())) == pytest.approx(1.0)


async def test_an_event_that_is_sent_twice_gets_two_lists_with_one_id_and_counts_once(harness: Harness) -> None:
    (order,) = views("i1")
    for offset in range(2):
        await harness.submit(message_of(order, offset))
    first, second = await harness.lists(2)
    assert first.recommendation_id == second.recommendation_id
    assert first.items == second.items
    assert (first.trigger.offset, second.trigger.offset) == (0, 1)
    assert harness.counted("events_total", topic="clicks", outcome="duplicate") == 1
    (snapshot,) = harness.trending.take_changed()
    assert next(iter(snapshot.counts.values())) == pytest.approx(1.0)


async def test_transitions_and_sessions_of_answered_events_are_published(harness: Harness) -> None:
    await harness.submit(*messages(views("i1", "i2")))
    await harness.lists(2)
    await harness.path.transitions.publish()
    (session,) = [serde.decode_session(value) for sent in harness.producer.on("sessions") for _, value in sent.messages]
    assert session.items == (stable_key("i1"), stable_key("i2"))
    transitions = [
        each
        for sent in harness.producer.on("item-pairs")
        for _, value in sent.messages
        for each in serde.decode_transitions(value)
    ]
    assert {(each.item_id, each.offset) for each in transitions} == {("i1", 0), ("i2", 1)}


async def test_a_backlog_larger_than_the_checkpoint_is_processed_in_order(harness: Harness) -> None:
    events = [Search(event_id=f"e{n}", user_id=f"u{n % 5}", query=f"q{n % 7}", occurred_at=views("i1")[0].occurred_at)
              for n in range(100)]  # fmt: skip
    for each in messages(events):
        await harness.path.checkpoint.put(each)
    assert await harness.path.checkpoint.drain(TIMEOUT_S)
    assert harness.acknowledged == [(0, offset) for offset in range(100)]
    assert len({answer.recommendation_id for answer in harness.produced()}) == len(harness.produced()) == 100
    for user in range(5):
        offsets = [answer.trigger.offset for answer in harness.produced() if answer.user_id == f"u{user}"]
        assert all(earlier < later for earlier, later in pairwise(offsets))


async def test_dropped_events_are_not_sent_although_their_batch_ends_in_the_thread(harness: Harness) -> None:
    harness.model.blocked_stage = "score"
    await harness.submit(*messages(views("i1")))
    await until(harness.model.reached.is_set, "the batch is in the thread", TIMEOUT_S)
    dropping = asyncio.create_task(harness.path.drop())
    await asyncio.sleep(0.01)
    assert not dropping.done()  # the thread may still write to the store
    harness.model.gate.set()
    await dropping
    harness.model.blocked_stage = ""
    await harness.submit(*messages(views("i2"), offset=1))
    (answer,) = await harness.lists(1)
    assert answer.trigger.offset == 1
    await until(lambda: harness.acknowledged == [(0, 1)], "it is acknowledged", TIMEOUT_S)


async def test_an_event_in_a_wrong_partition_is_forwarded_and_acknowledged_after_its_copy(harness: Harness) -> None:
    harness.forwarder.partitions, harness.producer.immediate = 2, False
    event = act("view", "i1", user_id="v")
    wrong = message_of(event, 7)
    wrong.headers = [("trace", b"1")]
    await harness.submit(wrong)
    await until(lambda: bool(harness.producer.on("clicks")), "the copy is sent", TIMEOUT_S)
    (copy,) = harness.producer.copies
    assert (copy.topic, copy.partition, copy.key, copy.value) == ("clicks", 1, wrong.key, wrong.value)
    assert copy.headers == [("trace", b"1"), (FORWARDED_HEADER, f"0/7/{NOW_MS}".encode())]
    assert copy.timestamp_ms == NOW_MS
    assert harness.acknowledged == []
    harness.producer.complete()
    await until(lambda: len(harness.acknowledged) == 1, "the original is acknowledged", TIMEOUT_S)
    assert harness.produced() == []
    assert harness.table.stored == {}
    assert harness.counted("misplaced_messages_total", topic="clicks", outcome="forwarded") == 1


async def test_a_message_that_is_forwarded_twice_is_folded_once_and_answered_with_one_id(harness: Harness) -> None:
    harness.forwarder.partitions = 2
    event, origin = act("view", "i1", user_id="v"), f"0/7/{NOW_MS - 5}".encode()
    for offset in (40, 41):
        copy = message_of(event, offset, 1)
        copy.headers = ((FORWARDED_HEADER, origin),)
        await harness.submit(copy)
    lists = await harness.lists(2)
    assert {answer.recommendation_id for answer in lists} == {serde.recommendation_id("clicks", 0, 7)}
    assert {(each.trigger.topic, each.trigger.partition, each.trigger.offset) for each in lists} == {("clicks", 0, 7)}
    assert harness.counted("events_total", topic="clicks", outcome="ok") == 1
    assert harness.counted("events_total", topic="clicks", outcome="replayed") == 1
    await harness.path.transitions.publish()
    sent = [each for delivery in harness.producer.on("item-pairs") for _, each in delivery.messages]
    transitions = [each for value in sent for each in serde.decode_transitions(value)]
    assert {(each.topic, each.partition, each.offset) for each in transitions} == {("clicks<0", 1, 7)}


@pytest.mark.parametrize("origin", [b"0/7/5", b"", b"x", b"-1/7/5", b"0/99999999999999999999/5"])
async def test_a_forwarded_message_is_never_forwarded_again(harness: Harness, origin: bytes) -> None:
    harness.forwarder.partitions = 2
    copy = message_of(act("view", "i1", user_id="v"), 3)
    copy.headers = ((FORWARDED_HEADER, origin),)
    await harness.submit(copy)
    await harness.lists(1)
    assert harness.producer.copies == []
    assert harness.counted("misplaced_messages_total", topic="clicks", outcome="kept") == 1


async def test_events_are_processed_where_they_are_after_the_brokers_refused_a_copy(harness: Harness) -> None:
    harness.forwarder.partitions, harness.producer.immediate = 2, False
    await harness.submit(message_of(act("view", "i1", user_id="v"), 0))
    await until(lambda: bool(harness.producer.on("clicks")), "the copy is sent", TIMEOUT_S)
    harness.producer.immediate = True
    harness.producer.on("clicks")[0].fail(TopicAuthorizationFailedError("clicks"))
    await until(lambda: len(harness.acknowledged) == 1, "the original is acknowledged", TIMEOUT_S)
    (letter,) = [
        serde.decode_dead_letter(value) for each in harness.producer.on(DEAD_LETTERS) for _, value in each.messages
    ]
    assert (letter.reason, letter.partition, letter.offset) == ("wrong_partition", 0, 0)
    await harness.submit(message_of(act("view", "i2", user_id="v"), 1))
    await harness.lists(1)
    assert harness.errors == []


async def test_a_failed_copy_stops_the_worker(harness: Harness) -> None:
    harness.forwarder.partitions, harness.producer.immediate = 2, False
    await harness.submit(message_of(act("view", "i1", user_id="v"), 0))
    await until(lambda: bool(harness.producer.on("clicks")), "the copy is sent", TIMEOUT_S)
    harness.producer.on("clicks")[0].fail(KafkaTimeoutError())
    await until(lambda: bool(harness.errors), "the worker stops", TIMEOUT_S)
    assert harness.acknowledged == []


async def test_a_message_too_large_for_a_copy_is_processed_where_it_is(harness: Harness) -> None:
    harness.forwarder.partitions = 2
    event = act("view", "i1", user_id="v")
    large = message("clicks", b"v", serde.encode_json(event).ljust(1_000_000), 3)
    await harness.submit(large)
    await harness.lists(1)
    assert harness.producer.copies == []
