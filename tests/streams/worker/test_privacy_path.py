"""A request deletes the profile and sessions of its shopper alone, in event order, then has a receipt."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from faust.types import Message

from inference.types import SessionItems
from inference.types import stable_key as shopper_key
from streams.behaviour.messages import ActionContext, session_items
from streams.budget import ListBudgets
from streams.contracts import serde
from streams.contracts.messages import FORWARDED_HEADER, Forget, ForgetReceipt, Interaction, Search
from streams.kafka.producer import partition_of
from streams.settings import load_settings
from streams.worker.checkpoint import Checkpoint
from streams.worker.privacy_path import PrivacyPath
from streams.worker.processing import Forgotten
from tests.integration.workers import until
from tests.streams.fakes import CHANGELOG, message
from tests.streams.shoppers import NOW_MS, act, search
from tests.streams.worker.event_harness import DEAD_LETTERS, TIMEOUT_S, Harness, harness, messages

__all__ = ["harness"]

SETTINGS = load_settings({"partitions": 2}, env_file=None)
RECEIPTS = SETTINGS.topics.privacy_receipts
ANN, BOB = (next(f"{name}{n}" for n in range(99) if partition_of(f"{name}{n}".encode(), 2) == 0) for name in "ab")
"""Two shoppers whose partition is 0."""
HOUR_MS = 3_600_000


class Requests:
    """A `PrivacyPath` over the event path of a harness. `published` are the sessions that this worker keeps."""

    def __init__(self, harness: Harness) -> None:
        self.acknowledged: list[int] = []
        self.published: list[int] = []
        self.path = PrivacyPath(
            settings=SETTINGS,
            events=harness.path,
            transitions=harness.path.transitions,
            checkpoint=Checkpoint[Message](8, acknowledge=self._acknowledge, on_error=harness.errors.append),
            delivery=harness.path.delivery,
        )
        self.path.sessions_of = self._sessions_of
        self._harness = harness

    async def submit(self, *requests: Message) -> None:
        """Process requests together, to the end."""
        for each in requests:
            await self.path.checkpoint.put(each)
        await asyncio.wait_for(self.path.process(await self.path.checkpoint.take(8)), TIMEOUT_S)

    @property
    def receipts(self) -> list[ForgetReceipt]:
        sent = self._harness.producer.on(RECEIPTS)
        return [serde.decode_receipt(value) for each in sent for _, value in each.messages]

    async def _sessions_of(self, shoppers: Collection[int]) -> list[int]:
        return [key for key in self.published if key >> 24 in {shopper >> 24 for shopper in shoppers}]

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        self.acknowledged += [each.offset for each in messages]


def forget(user_id: str, offset: int = 0, *, at_ms: int = NOW_MS + HOUR_MS, partition: int = 0) -> Message:
    value = serde.encode_json(Forget(type="forget", request_id=f"r{offset}", user_id=user_id))
    return message("privacy", user_id.encode(), value, offset, partition, at_ms)


def view(item_id: str, user_id: str, at_ms: int = NOW_MS) -> Interaction:
    return act("view", item_id, at_ms, user_id=user_id)


def changelog(harness: Harness) -> list[tuple[bytes, bytes]]:
    return [record for sent in harness.producer.on(CHANGELOG) for record in sent.messages]


@contextmanager
def blocked(harness: Harness, stage: str) -> Iterator[None]:
    harness.model.blocked_stage = stage
    yield
    harness.model.blocked_stage = ""
    harness.model.gate.set()


async def test_the_profile_is_deleted_from_the_store_and_the_changelog_and_others_stay(harness: Harness) -> None:
    requests = Requests(harness)
    await harness.submit(*messages([view("i1", ANN), view("i2", BOB)]))
    await harness.lists(2)
    await requests.submit(forget(ANN))
    assert set(harness.table.stored) == {(0, BOB.encode())}
    assert changelog(harness)[-1] == (ANN.encode(), b"")  # the fake's tombstone
    (receipt,) = requests.receipts
    assert (receipt.request_id, receipt.user_id, receipt.partition, receipt.offset) == ("r0", ANN, 0, 0)
    assert (receipt.profile, receipt.sessions) == (True, 0)
    assert receipt.requested_at.timestamp() * 1000 == NOW_MS + HOUR_MS
    assert receipt.completed_at.tzinfo is not None
    assert requests.acknowledged == [0]


async def test_later_events_begin_a_new_profile_and_older_ones_are_not_processed(harness: Harness) -> None:
    requests = Requests(harness)
    asked_ms = NOW_MS + HOUR_MS
    await harness.submit(*messages([view("i1", ANN)]))
    await harness.lists(1)
    await requests.submit(forget(ANN, at_ms=asked_ms))
    # One event waited on its topic while the request was processed.
    events = [view("i2", ANN, asked_ms), view("i3", ANN, asked_ms + 1), view("i4", BOB, asked_ms - 1)]
    await harness.submit(*messages(events, offset=1))
    answers = await harness.lists(3)
    assert [answer.trigger.offset for answer in answers] == [0, 2, 3]
    assert {"i1", "i2"} <= {item.item_id for item in answers[1].items}
    assert harness.counted("events_total", topic="clicks", outcome="forgotten") == 1
    await until(lambda: len(harness.acknowledged) == 4, "all are acknowledged", TIMEOUT_S)


async def test_a_batch_in_progress_does_not_bring_the_profile_back(harness: Harness) -> None:
    requests = Requests(harness)
    with blocked(harness, "encode"):
        await harness.submit(*messages([search("boots", NOW_MS, user_id=ANN), view("i1", ANN)]))
        await until(harness.model.reached.is_set, "the batch is in progress", TIMEOUT_S)
        forgetting = asyncio.create_task(requests.submit(forget(ANN)))
        await asyncio.sleep(0.01)
        assert not forgetting.done()
    await forgetting
    assert harness.table.stored == {}
    records = changelog(harness)
    assert [key for key, _ in records] == [ANN.encode()] * 2
    assert records[-1][1] == b""


async def test_the_request_waits_for_the_deliveries_of_its_deletions(harness: Harness) -> None:
    requests = Requests(harness)
    harness.producer.immediate = False
    forgetting = asyncio.create_task(requests.submit(forget(ANN)))
    for topic in (CHANGELOG, RECEIPTS):
        await until(lambda topic=topic: bool(harness.producer.on(topic)), f"{topic} is sent", TIMEOUT_S)  # type: ignore[misc]
        assert requests.acknowledged == []
        harness.producer.complete()
    await forgetting
    assert requests.acknowledged == [0]


async def test_published_and_waiting_sessions_and_transitions_are_dropped(harness: Harness) -> None:
    requests = Requests(harness)
    await harness.submit(*messages([view(item, user) for user in (ANN, BOB) for item in ("i1", "i2")]))
    await harness.lists(4)
    requests.published = [shopper_key(user) >> 24 << 24 | 7 for user in (ANN, BOB)]
    await requests.submit(forget(ANN))
    (receipt,) = requests.receipts
    assert (receipt.sessions, receipt.unpublished) == (1, 4)  # one session and three transitions were waiting
    (tombstone,) = harness.producer.on("sessions")
    assert tombstone.messages == [(serde.session_record_key(requests.published[0]), b"")]
    await harness.path.transitions.publish()
    sent = {topic: [value for each in harness.producer.on(topic) for _, value in each.messages if value]
            for topic in ("item-pairs", "sessions")}  # fmt: skip
    assert {each.shopper for value in sent["item-pairs"] for each in serde.decode_transitions(value)} == {
        shopper_key(BOB) & 0xFFFF
    }
    assert [serde.decode_session(value).key >> 24 for value in sent["sessions"]] == [shopper_key(BOB) >> 24]


async def test_a_repeated_request_has_a_receipt_again(harness: Harness) -> None:
    requests = Requests(harness)
    await harness.submit(*messages([view("i1", ANN)]))
    await harness.lists(1)
    for _ in range(2):
        await requests.submit(forget(ANN))
    assert [receipt.profile for receipt in requests.receipts] == [True, False]


async def test_requests_without_a_value_are_accepted_and_invalid_ones_refused(harness: Harness) -> None:
    requests = Requests(harness)
    await harness.submit(*messages([view("i1", ANN)]))
    await harness.lists(1)
    bad = message("privacy", BOB.encode(), b'{"type":"forget","request_id":"r","user_id":"x"}', 1)
    await requests.submit(message("privacy", ANN.encode(), None, 0), bad)
    (receipt,) = requests.receipts
    assert (receipt.request_id, receipt.user_id, receipt.profile) == ("privacy/0/0", ANN, True)
    (letter,) = [
        serde.decode_dead_letter(value) for each in harness.producer.on(DEAD_LETTERS) for _, value in each.messages
    ]
    assert (letter.offset, letter.reason) == (1, "wrong_key")
    assert requests.acknowledged == [0, 1]


async def test_a_request_in_a_wrong_partition_is_forwarded_to_the_owner_of_the_shopper(harness: Harness) -> None:
    requests = Requests(harness)
    misplaced = forget(ANN, partition=1)
    await requests.submit(misplaced)
    (forwarded,) = harness.producer.on("privacy")
    assert (forwarded.partition, forwarded.messages) == (0, [(misplaced.key, misplaced.value)])
    assert requests.receipts == []
    assert requests.acknowledged == [0]


def test_the_newest_requests_are_remembered() -> None:
    forgotten = Forgotten(kept=2)
    assert not forgotten
    for user_id, at_ms in ((b"a", 10_000), (b"b", 20_000), (b"a", 5_000), (b"c", 30_000)):
        forgotten.note(user_id, at_ms)
    assert [forgotten.includes(user, 10_000) for user in (b"a", b"b", b"c", b"d")] == [True, False, True, False]


async def test_an_event_that_is_forwarded_after_the_request_is_as_old_as_its_original(harness: Harness) -> None:
    requests = Requests(harness)
    asked_ms = NOW_MS + HOUR_MS
    await requests.submit(forget(ANN, at_ms=asked_ms))
    (late,) = messages([view("i1", ANN, asked_ms + 1)])
    copy = message("clicks", ANN.encode(), late.value, 7, at_ms=asked_ms + 1)
    copy.headers = [(FORWARDED_HEADER, f"1/3/{asked_ms}".encode())]
    await harness.submit(copy)
    await until(lambda: bool(harness.acknowledged), "it is acknowledged", TIMEOUT_S)
    assert harness.counted("events_total", topic="clicks", outcome="forgotten") == 1
    assert harness.table.stored == {}


async def test_the_list_of_a_shopper_without_a_budget_is_not_repeated_after_the_request(harness: Harness) -> None:
    harness.path.budgets = ListBudgets(per_minute=1)
    requests = Requests(harness)
    await harness.submit(*messages([view("i1", ANN)]))
    await harness.lists(1)
    await requests.submit(forget(ANN, at_ms=NOW_MS))
    await harness.submit(*messages([view("i2", ANN, NOW_MS + 1)], offset=1))
    first, second = await harness.lists(2)
    assert first.items
    assert (second.items, second.fallback) == ((), "rate_limited")


def test_all_sessions_of_a_shopper_share_the_beginning_of_their_keys() -> None:
    sessions: list[SessionItems] = []
    for user_id, session_id in ((ANN, "1"), (ANN, "2"), (BOB, "1")):
        context = ActionContext(1, 1.0, {}, [], None, [3, 4], 1, 1)
        action = act("view", "i1", NOW_MS, session_id, user_id)
        assert not isinstance(action, Search)
        session = session_items(action, shopper_key(user_id), context)
        assert session is not None
        sessions.append(session)
    first, second, other = (session.key for session in sessions)
    assert first >> 24 == second >> 24 == shopper_key(ANN) >> 24
    assert other >> 24 == shopper_key(BOB) >> 24
    assert len({first, second, other}) == 3
    assert {first & 0xFFFFFF, second & 0xFFFFFF} >= {other & 0xFFFFFF}
