"""Invalid messages between valid ones: each becomes a dead letter, the others are served, the log stays clean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from streams.contracts.messages import Interaction, Search
from streams.contracts.serde import encode_json
from tests.integration.goods import catalogue, stroll
from tests.integration.shop import Shop
from tests.integration.workers import serving, worker

SECRET = "x-marks-the-spot"
"""In every invalid message, so that the log can be searched for what must not be there."""
Spoil = Callable[[bytes, bytes], tuple[bytes | None, bytes | None]]


def _without(field: str) -> Spoil:
    return lambda key, value: (key, value.replace(f'"{field}":'.encode(), f'"{SECRET}":'.encode(), 1))


EVENTS: dict[str, tuple[str, Spoil]] = {
    "bad JSON": ("not_json", lambda key, value: (key, value[:-1] + b", " + SECRET.encode())),
    "binary junk": ("not_json", lambda key, value: (key, bytes(range(256)) + SECRET.encode())),
    "nothing": ("empty", lambda key, value: (key, None)),
    "no bytes": ("empty", lambda key, value: (key, b"")),
    "a list": ("wrong_type", lambda key, value: (key, b'["' + SECRET.encode() + b'"]')),
    "another key": ("wrong_key", lambda key, value: (key + SECRET.encode(), value)),
    "no key": ("wrong_key", lambda key, value: (None, value)),
    "no event id": ("missing_field", _without("event_id")),
    "no time": ("missing_field", _without("occurred_at")),
    "a time that is none": ("wrong_value", lambda key, value: (key, value.replace(b'"20', b'"x-marks-the-spot', 1))),
    "an unknown type": ("wrong_value", lambda key, value: (key, value.replace(b'"type":"', b'"type":"x-marks-', 1))),
    "half a surrogate": (
        "not_json",
        lambda key, value: (key, value.replace(b'"event_id":"', b'"event_id":"\\ud800' + SECRET.encode(), 1)),
    ),
    "nested without end": (
        "out_of_range",
        lambda key, value: (key, value[:-1] + b',"x-marks-the-spot":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    ),
}  # fmt: skip
ITEMS: dict[str, tuple[str, Spoil]] = {
    "bad JSON": ("not_json", lambda key, value: (key, value[:-1] + b", " + SECRET.encode())),
    "no bytes": ("empty", lambda key, value: (key, b"")),
    "no title": ("missing_field", _without("title")),
    "another key": ("wrong_key", lambda key, value: (key + SECRET.encode(), value)),
    "a price below nothing": ("out_of_range", lambda key, value: (key, value.replace(b'"price":', b'"price":-', 1))),
    "a key for a tombstone that is no text": ("wrong_key", lambda key, value: (b"\xff\xfe" + SECRET.encode(), None)),
}


async def test_invalid_messages_become_dead_letters_and_stop_nothing(
    broker: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = serving(broker, request.node.name)
    expected: dict[tuple[str, int, int], tuple[str, bytes | None, bytes | None]] = {}
    async with Shop.opened(settings) as shop, worker(settings, tmp_path) as running:

        async def spoiled(topic: str, key: bytes, value: bytes, reason: str, spoil: Spoil) -> None:
            bad_key, bad_value = spoil(key, value)
            place = await shop.publish(topic, bad_key, bad_value)
            expected[topic, place.partition, place.offset] = (reason, bad_key, bad_value)

        for item, (reason, spoil) in zip(catalogue(), ITEMS.values(), strict=False):
            await spoiled(settings.topics.items, item.item_id.encode(), encode_json(item), reason, spoil)
        await shop.stock(catalogue())
        await running.knows(len(catalogue()))

        served: list[Interaction] = []
        for shopper in ("ann", "bob"):
            good = iter(stroll(shopper, 4 * len(EVENTS)))
            for reason, spoil in EVENTS.values():
                # On both topics, between two events that are served.
                for event in (next(good), next(good)):
                    await shop.happens(event)
                    served.append(event)
                    topic = settings.topics.searches if isinstance(event, Search) else settings.topics.clicks
                    await spoiled(topic, event.user_id.encode(), encode_json(next(good)), reason, spoil)
        right, wrong = settings.topics.searches, next(e for e in served if not isinstance(e, Search))
        await spoiled(right, wrong.user_id.encode(), encode_json(wrong), "wrong_topic", lambda key, value: (key, value))

        await shop.answered(served)
        await shop.refused(len(expected))
        assert await running.stop() == 0

    letters = {(letter.topic, letter.partition, letter.offset): letter for letter in shop.dead_letters}
    assert {place: (letter.reason, letter.key, letter.value) for place, letter in letters.items()} == expected
    assert len(shop.dead_letters) == len(expected)
    assert all(letter.where and letter.detail for letter in letters.values())
    assert set(shop.answers) == {event.event_id for event in served}
    assert SECRET not in running.log
    assert "shopper" not in running.log.replace("shoppers", "")
    assert "Traceback" not in running.log


@pytest.mark.kafka
async def test_what_is_too_large_to_be_repeated_is_refused_without_its_bytes(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = serving(kafka, request.node.name)
    large = msgspec.structs.replace(catalogue()[0], description="x" * 1_000_000)
    event = stroll("ann", 1)[0]
    async with Shop.opened(settings) as shop, worker(settings, tmp_path) as running:
        places = [
            await shop.publish(settings.topics.clicks, b"ann", b"x" * 1_000_000),
            # Valid as it is, but not with its vector beside it.
            await shop.publish(settings.topics.items, large.item_id.encode(), encode_json(large)),
        ]
        await shop.answer(event)
        await shop.refused(2)
        assert await running.stop() == 0
    assert {(letter.topic, letter.offset, letter.reason) for letter in shop.dead_letters} == {
        (places[0].topic, places[0].offset, "not_json"),
        (places[1].topic, places[1].offset, "out_of_range"),
    }
    assert {letter.value for letter in shop.dead_letters} == {None}
