"""Messages that a worker processed, as observations for their profiles."""

from __future__ import annotations

from collections.abc import Sequence

from faust.types import Message

from inference.types import Item, Vector
from streams.assets.fields import ITEM, REFUSED
from streams.assets.profile import ROBOT, UNKNOWN_ITEM, Observation, Stream
from streams.batch import Folded
from streams.behaviour.messages import UNLEARNED
from streams.contracts.messages import PRODUCER_HEADER
from streams.errors import InvalidEvent
from streams.outcomes import OK
from streams.profiles.teaching import BY_ROBOT
from streams.worker.delivery import timestamp_ms

UNNAMED = "(unnamed)"
"""Producer of messages without the header."""
MOST_PRODUCER = 64
"""Characters of a producer's name that are kept."""


def producer_of(message: Message) -> str:
    """Return the name that a message's producer gives itself: untrusted text of printable characters."""
    for name, value in message.headers or ():
        if name == PRODUCER_HEADER and value:
            text = value[: 4 * MOST_PRODUCER].decode(errors="replace")
            return "".join(each for each in text if each.isprintable())[:MOST_PRODUCER] or UNNAMED
    return UNNAMED


def refused_messages(refused: Sequence[tuple[Message, InvalidEvent]]) -> list[Observation]:
    """Return messages that break the contract."""
    return [
        Observation(
            stream=Stream(message.topic, REFUSED, producer_of(message)),
            content=None,
            size=len(message.value or b""),
            partition=message.partition,
            at_ms=timestamp_ms(message),
            outcome=refusal.reason,
        )
        for message, refusal in refused
    ]


def accepted_events(messages: Sequence[Message], folded: Folded, space: str) -> list[Observation]:
    """Return a batch of events with their outcomes; vectors of searches are in `space`."""
    marked = zip(messages, folded.events, folded.outcomes, folded.is_unknown, folded.unlearned, strict=True)
    return [
        Observation(
            Stream(message.topic, event.interaction.type, producer_of(message)),
            event.interaction,
            len(message.value),
            message.partition,
            event.source.timestamp_ms,
            outcome,
            _MARKS[unknown, reason == UNLEARNED[BY_ROBOT]],
            event.vector,
            space,
        )
        for message, event, outcome, unknown, reason in marked
    ]


def accepted_items(items: Sequence[tuple[Message, Item, Vector | None]], space: str) -> list[Observation]:
    """Return items with their vectors in `space`."""
    return [
        Observation(
            stream=Stream(message.topic, ITEM, producer_of(message)),
            content=item,
            size=len(message.value),
            partition=message.partition,
            at_ms=timestamp_ms(message),
            outcome=OK,
            vector=vector,
            space=space,
        )
        for message, item, vector in items
    ]


_MARKS = {
    (unknown, robot): (UNKNOWN_ITEM,) * unknown + (ROBOT,) * robot
    for unknown in (False, True)
    for robot in (False, True)
}
