"""Dead letters repeat the refused message, or describe it without its bytes."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, cast

import pytest

from streams.contracts.messages import DeadLetter
from streams.contracts.serde import decode_dead_letter
from streams.errors import InvalidEvent
from streams.kafka.producer import LARGEST_MESSAGE
from streams.metrics import Metrics
from streams.worker.delivery import Delivery
from tests.streams.fakes import FakeProducer, message

REFUSAL = InvalidEvent("not_json", "$", "required JSON")


async def refused(value: bytes | None, *, keeps_payloads: bool) -> tuple[bytes, DeadLetter]:
    """Return the key and the dead letter of a refused message with the key `ann`."""
    producer = FakeProducer(immediate=True)
    delivery = Delivery(cast("Any", producer), Metrics(), "dead-letters", keeps_payloads=keeps_payloads)
    await (await delivery.refuse(message("clicks", b"ann", value, 7), REFUSAL))
    ((key, letter),) = producer.deliveries[0].messages
    return key, decode_dead_letter(letter)


async def test_a_dead_letter_has_the_message_and_its_size_and_hash() -> None:
    key, letter = await refused(b"{secret", keeps_payloads=True)
    assert (key, letter.key, letter.value) == (b"ann", b"ann", b"{secret")
    assert (letter.value_size, letter.value_hash) == (7, blake2b(b"{secret", digest_size=16).hexdigest())


async def test_without_payloads_it_has_the_position_the_reason_size_and_hash_alone() -> None:
    key, letter = await refused(b"{secret", keeps_payloads=False)
    assert (key, letter.key, letter.value) == (b"", None, None)
    assert (letter.topic, letter.partition, letter.offset, letter.reason) == ("clicks", 0, 7, "not_json")
    assert (letter.value_size, letter.value_hash) == (7, blake2b(b"{secret", digest_size=16).hexdigest())


@pytest.mark.parametrize("keeps_payloads", [True, False])
async def test_a_message_without_a_value_has_no_hash(*, keeps_payloads: bool) -> None:
    _, letter = await refused(None, keeps_payloads=keeps_payloads)
    assert (letter.value_size, letter.value_hash) == (None, None)


async def test_a_large_message_is_described(caplog: pytest.LogCaptureFixture) -> None:
    value = b"x" * LARGEST_MESSAGE
    _, letter = await refused(value, keeps_payloads=True)
    assert (letter.value, letter.value_size) == (None, LARGEST_MESSAGE)


def test_letters_of_earlier_releases_are_read() -> None:
    old = (
        b'{"topic":"clicks","partition":0,"offset":1,"reason":"empty","where":"$","detail":"d","key":null,"value":null,'
        b'"failed_at":"2026-01-31T13:02:41Z"}'
    )
    assert decode_dead_letter(old).value_size is None
