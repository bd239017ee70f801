"""Messages of a shop as observations, for the tests of asset profiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from inference.types import Item
from streams.assets.fields import ITEM
from streams.assets.profile import Observation, Profiles, Stream
from streams.contracts.messages import Interaction, Search
from tests.streams.shoppers import NOW_MS

DELAY_MS = 250


def observed(message: Interaction | Item, producer: str = "web", partition: int = 0, **fields: Any) -> Observation:
    """Return a message as it was observed. Kafka took an event DELAY_MS after its action."""
    if isinstance(message, Item):
        stream, at_ms = Stream("items", ITEM, producer), NOW_MS
    else:
        topic = "searches" if isinstance(message, Search) else "clicks"
        stream = Stream(topic, message.type, producer)
        at_ms = round(message.occurred_at.timestamp() * 1000) + DELAY_MS
    given = Observation(stream, message, len(msgspec.json.encode(message)), partition, at_ms, "ok")
    return given._replace(**fields)


def profiles(observations: Sequence[Observation], at_once: int = 100) -> Profiles:
    """Return the profiles of observations that are added in parts."""
    made = Profiles()
    for start in range(0, len(observations), at_once):
        made.add(observations[start : start + at_once])
    return made
