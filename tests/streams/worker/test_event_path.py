"""Every event gets a list at each of its placements, also if the model, the encoder or the event fails."""

from __future__ import annotations

import asyncio

import pytest

from inference.types import stable_key
from streams.budget import RATE_LIMITED, ListBudgets
from streams.contracts import serde
from streams.items.trend_counts import Popularity, Shares
from streams.profiles.events import Event, Source
from streams.scoring import WARM_UP_TEXTS
from streams.worker.ending import explanation
from tests.integration.workers import until
from tests.streams.fakes import CHANGELOG, message, message_of
from tests.streams.shoppers import NOW_MS, act, search
from tests.streams.worker.event_harness import (
    DEAD_LETTERS,
    ITEMS,
    TIMEOUT_S,
    Harness,
    by_cosine,
    engine,
    folded,
    harness,
    ids,
    messages,
    placed,
    views,
)

__all__ = ["harness"]


async def test_each_event_gets_a_list_in_the_order_of_the_model(harness: Harness) -> None:
    await harness.submit(*(message_of(act("view", f"i{n}", user_id=f"u{n}"), n) for n in range(3)))
    answers = await harness.lists(3)
    assert {answer.fallback for answer in answers} == {None}
    assert {answer.user_id: ids(answer)[-1] for answer in answers} == {f"u{n}": by_cosine(f"i{n}")[0] for n in range(3)}
    await until(lambda: harness.acknowledged == [(0, 0), (0, 1), (0, 2)], "all are acknowledged", TIMEOUT_S)
    assert harness.counted("batch_size_sum") == harness.counted("batch_queue_seconds_count") == 3
    assert harness.counted("events_total", topic="clicks", outcome="ok") == 3
    assert harness.counted("end_to_end_latency_seconds_count", trigger="view") == 3


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
