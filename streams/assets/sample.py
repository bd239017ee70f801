"""A sample of a producer's messages from files, profiled as the stream is. It reads the files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from inference.types import Item
from streams.assets.expectations import Expectation, Expected
from streams.assets.fields import ITEM
from streams.assets.profile import DELAY, UNKNOWN_ITEM, Observation, Profiles, Stream, StreamProfile
from streams.assets.quality import merged
from streams.assets.reference import LEAST_MESSAGES, StreamReference, expectations_of
from streams.assets.rules import Rules
from streams.contracts.jsonlines import Line, read_items, read_messages
from streams.contracts.messages import Interaction, ItemInteraction
from streams.errors import InvalidLine
from streams.outcomes import OK

AT_ONCE = 16
"""Messages that are profiled together. Of these, a few texts of each field are searched for personal data."""
NOT_OF_A_SAMPLE = frozenset(
    {Expected.REFUSED, Expected.DISORDER, Expected.ROBOTS, Expected.MEANING, Expected.VOLUME, Expected.SILENCE}
)
"""Kinds that a file cannot show: it has no rate, no arrival and no vectors. Each invalid line is reported."""


class InvalidPlace(msgspec.Struct, frozen=True):
    """A line that breaks the contract: FILE:LINE, and the error."""

    place: str
    error: str


@dataclass(slots=True)
class Sample:
    """A sample: the profiles of its messages, their number, and the lines that break the contract."""

    profiles: Profiles = field(default_factory=Profiles)
    messages: int = 0
    invalid: list[InvalidPlace] = field(default_factory=list)


def read_sample(files: Iterable[Path], catalogue: Path | None, producer: str, topics: Mapping[str, str]) -> Sample:
    """Read messages.

    Args:
        files: JSON Lines of interactions and items.
        catalogue: JSON Lines of the known items, None if any item is taken for known.
        producer: name of the producer.
        topics: topic of each type of message.

    Raises:
        ConfigurationError: a file cannot be read.
        InvalidLine: a line of the catalogue is no item.
    """
    sample = Sample()
    known = None if catalogue is None else {line.message.item_id for line in read_items(catalogue)}
    waiting: list[Observation] = []

    def refuse(line: InvalidLine) -> None:
        place, _, error = str(line).partition(": ")
        sample.invalid.append(InvalidPlace(place, error))

    for file in files:
        for line in read_messages(file, refuse):
            waiting.append(_observation(line, known, producer, topics))
            sample.messages += 1
            if len(waiting) == AT_ONCE:
                sample.profiles.add(waiting)
                waiting.clear()
    sample.profiles.add(waiting)
    return sample


def _observation(
    line: Line[Interaction | Item], known: set[str] | None, producer: str, topics: Mapping[str, str]
) -> Observation:
    message, now_ms = line.message, round(time.time() * 1000)
    if isinstance(message, Item):
        return Observation(Stream(topics[ITEM], ITEM, producer), message, len(line.value), 0, now_ms, OK)
    is_unknown = known is not None and isinstance(message, ItemInteraction) and message.item_id not in known
    # The lines of a sample have no time of arrival. Use the time of the action, but none in the future.
    at_ms = min(now_ms, round(message.occurred_at.timestamp() * 1000))
    stream = Stream(topics[message.type], message.type, producer)
    return Observation(stream, message, len(line.value), 0, at_ms, OK, (UNKNOWN_ITEM,) * is_unknown)


def usual_profiles(
    streams: Iterable[Stream], references: Mapping[Stream, StreamReference]
) -> dict[Stream, StreamProfile]:
    """Return what was learned of each stream: of its producer, or of all producers if that one is new.

    Streams of which too little was learned are left out.
    """
    found = {}
    for stream in streams:
        own = [references[stream].profile] if stream in references else []
        if not own or own[0].messages < LEAST_MESSAGES:
            own = [each.profile for known, each in references.items() if known[:2] == stream[:2]]
        usual = merged(own)
        if usual.messages >= LEAST_MESSAGES:
            found[stream] = usual
    return found


def expectations_of_sample(stream: Stream, usual: StreamProfile | None, rules: Rules) -> Sequence[Expectation]:
    """Return what is expected of a sample: the defaults, what was learned, and the rules of a file."""
    return [
        each
        for each in rules.applied(stream, expectations_of(stream, usual))
        if each.kind not in NOT_OF_A_SAMPLE and each.field != DELAY
    ]
