"""Late batches: each event gets a fallback once, and no profile lacks anything."""

from __future__ import annotations

import asyncio
import threading

from inference.types import stable_key
from streams.budget import RATE_LIMITED, ListBudgets
from streams.items.trend_counts import Popularity, Shares
from tests.integration.workers import until
from tests.streams.shoppers import search
from tests.streams.worker.event_harness import (
    ENOUGH_S,
    NEVER_S,
    SOON_S,
    TIMEOUT_S,
    Harness,
    by_cosine,
    folded,
    harness,
    ids,
    messages,
    views,
)

__all__ = ["harness"]


async def test_a_late_batch_gets_lists_in_retrieval_order_and_its_scores_are_dropped(
    harness: Harness,
) -> None:
    harness.model.blocked_stage = "score"
    harness.deadline(ENOUGH_S)
    await harness.submit(*messages(views("i5")))
    (answer,) = await harness.lists(1)
    assert ids(answer)[0] == by_cosine("i5")[0]
    assert answer.fallback == "deadline_exceeded"
    await until(lambda: harness.acknowledged == [(0, 0)], "it is acknowledged", TIMEOUT_S)
    assert harness.counted("fallbacks_total", reason="deadline_exceeded") == 1
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


async def test_a_late_batch_within_and_beyond_the_budget_is_answered(harness: Harness) -> None:
    harness.path.budgets = ListBudgets(2)
    harness.model.blocked_stage = "score"
    harness.deadline(ENOUGH_S)
    await harness.submit(*messages(views("i1", "i2", "i3")), *messages(views("i4", user_id="v"), offset=3))
    answers = {answer.trigger.offset: answer for answer in await harness.lists(4)}
    late = "deadline_exceeded"
    assert [answers[offset].fallback for offset in range(4)] == [late, late, RATE_LIMITED, late]
    assert answers[2].items == answers[1].items
