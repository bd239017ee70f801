"""Processed messages become profiles of their producers' streams, and foreign records on the topic break nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import Message

from streams.assets.profile import Stream
from streams.assets.snapshots import decode_snapshot
from streams.contracts.messages import PRODUCER_HEADER
from streams.worker.asset_path import MOST_PRODUCER, UNNAMED, producer_of
from tests.integration.workers import until
from tests.streams.fakes import message, message_of
from tests.streams.shoppers import NOW_MS, act, search
from tests.streams.worker.event_harness import TIMEOUT_S, Harness, harness

__all__ = ["harness"]
TOPIC = "asset-profiles"


def named(given: Message, *headers: tuple[str, bytes]) -> Message:
    given.headers = list(headers)
    return given


@pytest.fixture
async def recorded(harness: Harness) -> Harness:
    """A path that has processed messages of two producers, and one that breaks the contract."""
    web = (PRODUCER_HEADER, b"web")
    sent = [
        named(message_of(act("view", "i0", NOW_MS, user_id="u"), 0), web),
        named(message_of(act("view", "unknown", NOW_MS + 1, user_id="u"), 1), web),
        message_of(act("view", "i1", NOW_MS + 2, user_id="v"), 2),
        named(message_of(search("shoes", NOW_MS + 3), 3), ("other", b"x"), web),
        named(message("clicks", b"u", b"{", 4), web),
    ]
    await harness.submit(*sent)
    await until(lambda: len(harness.acknowledged) == len(sent), "all are acknowledged", TIMEOUT_S)
    await harness.path.assets.publish()
    return harness


async def test_each_stream_has_a_profile_on_the_topic(recorded: Harness) -> None:
    values = [value for sent in recorded.producer.on(TOPIC) for _, value in sent.messages]
    profiles = {snapshot.stream: snapshot.window for snapshot in map(decode_snapshot, values)}
    assert {stream: profile.messages for stream, profile in profiles.items()} == {
        Stream("clicks", "view", "web"): 2,
        Stream("clicks", "view", UNNAMED): 1,
        Stream("searches", "search", "web"): 1,
        Stream("clicks", "refused", "web"): 1,
    }
    views = profiles[Stream("clicks", "view", "web")]
    assert (views.marks, views.outcomes) == ({"unknown_item": 1}, {"ok": 2})
    assert profiles[Stream("clicks", "refused", "web")].outcomes == {"not_json": 1}
    assert profiles[Stream("searches", "search", "web")].vector_count == 1


async def test_the_history_reads_what_was_published_and_skips_other_records(recorded: Harness) -> None:
    assets = recorded.path.assets
    values = [value for sent in recorded.producer.on(TOPIC) for _, value in sent.messages]
    for place, value in enumerate([None, b"", b"\xff", values[0][:-9], *values]):
        assets.apply(record(value, place))
    assert sum(profile.messages for profile in assets.history.window().values()) == 5
    assert recorded.counted("unreadable_records_total", topic=TOPIC) == 3


async def test_no_profiles_without_an_interval(harness: Harness) -> None:
    settings = harness.path.settings
    harness.path.assets.settings = settings.replace(assets_interval_seconds=0)
    await harness.submit(message_of(act("view", "i0"), 0))
    await harness.lists(1)
    await harness.path.assets.publish()
    assert harness.producer.on(TOPIC) == []


@pytest.mark.parametrize(("headers", "name"), [
    (None, UNNAMED),
    ([(PRODUCER_HEADER, None)], UNNAMED),
    ([(PRODUCER_HEADER, b"")], UNNAMED),
    ([(PRODUCER_HEADER, b"\n\x00\t")], UNNAMED),
    ([(PRODUCER_HEADER, b"sh\nop")], "shop"),
    ([(PRODUCER_HEADER, b"\xffshop")], "\N{REPLACEMENT CHARACTER}shop"),
    ([("a", b"b"), (PRODUCER_HEADER, "läden".encode())], "läden"),
    ([(PRODUCER_HEADER, b"x" * 10_000)], "x" * MOST_PRODUCER),
])  # fmt: skip
def test_a_producer_is_untrusted_text(headers: Any, name: str) -> None:
    assert producer_of(SimpleNamespace(headers=headers)) == name


def record(value: bytes | None, offset: int) -> Any:
    return SimpleNamespace(topic=TOPIC, partition=0, offset=offset, key=b"k", value=value)
