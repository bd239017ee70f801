"""Invalid messages become dead letters, valid ones get lists, and the log has no personal data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from streams.contracts.messages import Interaction, Search
from streams.contracts.serde import encode_json
from tests.integration.catalogue_items import catalogue, random_events
from tests.integration.shop_client import ShopClient
from tests.integration.workers import worker, worker_settings

SECRET = "x-marks-the-spot"
"""A text in all invalid messages that must not be in the log."""
Corruption = Callable[[bytes, bytes], tuple[bytes | None, bytes | None]]


def _without(field: str) -> Corruption:
    return lambda key, value: (key, value.replace(f'"{field}":'.encode(), f'"{SECRET}":'.encode(), 1))


EVENTS: dict[str, tuple[str, Corruption]] = {
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
ITEMS: dict[str, tuple[str, Corruption]] = {
    "bad JSON": ("not_json", lambda key, value: (key, value[:-1] + b", " + SECRET.encode())),
    "no bytes": ("empty", lambda key, value: (key, b"")),
    "no title": ("missing_field", _without("title")),
    "another key": ("wrong_key", lambda key, value: (key + SECRET.encode(), value)),
    "a price below nothing": ("out_of_range", lambda key, value: (key, value.replace(b'"price":', b'"price":-', 1))),
    "a key for a tombstone that is no text": ("wrong_key", lambda key, value: (b"\xff\xfe" + SECRET.encode(), None)),
}


async def test_invalid_messages_become_dead_letters_and_valid_ones_get_lists(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name)
    expected: dict[tuple[str, int, int], tuple[str, bytes | None, bytes | None]] = {}
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:

        async def publish_invalid(topic: str, key: bytes, value: bytes, reason: str, corrupt: Corruption) -> None:
            bad_key, bad_value = corrupt(key, value)
            position = await shop.publish(topic, bad_key, bad_value)
            expected[topic, position.partition, position.offset] = (reason, bad_key, bad_value)

        for item, (reason, corrupt) in zip(catalogue(), ITEMS.values(), strict=False):
            await publish_invalid(settings.topics.items, item.item_id.encode(), encode_json(item), reason, corrupt)
        await shop.publish_items(catalogue())
        await running.wait_for_items(len(catalogue()))

        served: list[Interaction] = []
        for shopper in ("ann", "bob"):
            valid_events = iter(random_events(shopper, 4 * len(EVENTS)))
            for reason, corrupt in EVENTS.values():
                # On both topics, an invalid message after each valid one.
                for event in (next(valid_events), next(valid_events)):
                    await shop.publish_event(event)
                    served.append(event)
                    topic = settings.topics.searches if isinstance(event, Search) else settings.topics.clicks
                    await publish_invalid(
                        topic, event.user_id.encode(), encode_json(next(valid_events)), reason, corrupt
                    )
        right, wrong = settings.topics.searches, next(e for e in served if not isinstance(e, Search))
        await publish_invalid(
            right, wrong.user_id.encode(), encode_json(wrong), "wrong_topic", lambda key, value: (key, value)
        )

        await shop.wait_for_lists(served)
        await shop.wait_for_dead_letters(len(expected))
        assert await running.stop() == 0

    letters = {(letter.topic, letter.partition, letter.offset): letter for letter in shop.dead_letters}
    assert {position: (letter.reason, letter.key, letter.value) for position, letter in letters.items()} == expected
    assert len(shop.dead_letters) == len(expected)
    assert all(letter.where and letter.detail for letter in letters.values())
    assert set(shop.lists) == {event.event_id for event in served}
    assert SECRET not in running.log
    assert "shopper" not in running.log.replace("shoppers", "")
    assert "Traceback" not in running.log


@pytest.mark.kafka
async def test_the_dead_letter_of_a_large_message_has_no_bytes(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name)
    large = msgspec.structs.replace(catalogue()[0], description="x" * 1_000_000)
    event = random_events("ann", 1)[0]
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        positions = [
            await shop.publish(settings.topics.clicks, b"ann", b"x" * 1_000_000),
            # A valid message, but too large with its vector.
            await shop.publish(settings.topics.items, large.item_id.encode(), encode_json(large)),
        ]
        await shop.publish_and_wait(event)
        await shop.wait_for_dead_letters(2)
        assert await running.stop() == 0
    assert {(letter.topic, letter.offset, letter.reason) for letter in shop.dead_letters} == {
        (positions[0].topic, positions[0].offset, "not_json"),
        (positions[1].topic, positions[1].offset, "out_of_range"),
    }
    assert {letter.value for letter in shop.dead_letters} == {None}
