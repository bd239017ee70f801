"""What is expected of a stream, and the words for a departure from it. No I/O."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from streams.assets.profile import Stream


class Expected(StrEnum):
    """Kinds of expectation. The metrics have them as a label."""

    REFUSED = "refused"
    UNKNOWN_ITEMS = "unknown_items"
    CLOCK = "clock"
    DISORDER = "disorder"
    ROBOTS = "robots"
    PERSONAL_DATA = "personal_data"
    COMPLETENESS = "completeness"
    TYPES = "types"
    RANGE = "range"
    VALUES = "values"
    DRIFT = "drift"
    MEANING = "meaning"
    VOLUME = "volume"
    SILENCE = "silence"


class Words(NamedTuple):
    """A kind in words.

    Attributes:
        wrong: what is wrong with a message, after "N% of the messages", or the whole sentence's end.
        shoppers: what it means for shoppers.
        remedy: what to do.
    """

    wrong: str
    shoppers: str
    remedy: str


WORDS: dict[Expected, Words] = {
    Expected.REFUSED: Words(
        "break the contract",
        "refused events get no list, refused items keep their former state",
        "read the errors with `intentstream dead-letters list`, and send them to the producer's owner",
    ),
    Expected.UNKNOWN_ITEMS: Words(
        "name an item that the catalogue lacks",
        "lists do not follow these actions",
        "compare the producer's item ids with those of the catalogue; load missing items",
    ),
    Expected.CLOCK: Words(
        "have a time in the future",
        "the order of a shopper's actions is wrong",
        "check the clock and the time zone of the producer",
    ),
    Expected.DISORDER: Words(
        "are older than the message before",
        "lists may follow an old action instead of the last one",
        "send the events of a shopper in the order of their times",
    ),
    Expected.ROBOTS: Words(
        "are of robots",
        "nothing: robots teach the lists nothing. They cost capacity",
        "block the robots in front of the shop, or leave out monitoring traffic",
    ),
    Expected.PERSONAL_DATA: Words(
        "contain an e-mail or postal address, a phone or a card number",
        "personal data may be stored where nobody expects it",
        "remove the data at the producer, and delete what is stored",
    ),
    Expected.COMPLETENESS: Words(
        "lack the field",
        "lists lose the meaning that the field gives to an action or an item",
        "ask the producer's owner what changed",
    ),
    Expected.TYPES: Words(
        "have a value of another type",
        "features and filters that read the field do not work",
        "ask the producer's owner what changed",
    ),
    Expected.RANGE: Words(
        "have a value outside the usual range",
        "prices and features of lists are wrong",
        "check the unit, for example cents instead of euros",
    ),
    Expected.VALUES: Words(
        "have a value that was not seen before",
        "filters, categories and learned behaviour do not match",
        "check the spelling and the mapping of the values at the producer",
    ),
    Expected.DRIFT: Words(
        "the values are distributed differently",
        "lists follow other signals than those that the ranker learned",
        "find out whether the shop or the producer changed; if the shop did, accept it",
    ),
    Expected.MEANING: Words(
        "the texts have another meaning",
        "searches and items may be matched wrongly",
        "check the language and the encoding of the texts; if the shop changed, accept it",
    ),
    Expected.VOLUME: Words(
        "the number of messages is unusual",
        "lists learn too little, or the same actions twice",
        "check whether the producer lost or repeats messages",
    ),
    Expected.SILENCE: Words(
        "no messages arrive",
        "lists no longer follow these actions",
        "check whether the producer runs and reaches Kafka",
    ),
}


class Expectation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is expected of a field of a stream, or of the stream itself.

    Attributes:
        topic, type, producer: the stream.
        field: the field; empty for the whole message.
        kind: what is expected.
        share: the usual share of wrong messages.
        tolerance: how much more is accepted: of the share, of the population stability index, of the cosine distance;
            for the volume, the factor by which it may be smaller or larger.
        low, high: the range of numbers.
        values: the known values, or the known types.
        edges, shares: upper edges of bins of numbers, or none if `values` are the bins; the usual shares of the bins,
            one more than edges or values.
        sample: shoppers, or messages, from which it was learned; 0 if it is a default or was set.
    """

    topic: str
    type: str
    producer: str
    kind: Expected
    field: str = ""
    share: float = 0.0
    tolerance: float = 0.0
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    sample: float = 0.0

    @property
    def stream(self) -> Stream:
        """The stream."""
        return Stream(self.topic, self.type, self.producer)


class Finding(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A departure from an expectation that lasts.

    Attributes:
        topic, type, producer, field: the place. The producer, and keys of open fields, are untrusted text.
        kind: the kind of expectation.
        observed: the share of wrong messages, the index, the distance, or the number of messages.
        limit: what is accepted at most, in the same unit.
        since_ms: end of the interval in which it was found, in milliseconds since the epoch.
        severity: `high` if shoppers are likely to notice, otherwise `medium`.
        sentence: what is wrong, in words.
        shoppers: what it means for shoppers.
        remedy: what to do.
        examples: some values that were not seen before. They are not logged.
    """

    topic: str
    type: str
    producer: str
    field: str
    kind: Expected
    observed: float
    limit: float
    since_ms: int
    severity: str
    sentence: str
    shoppers: str
    remedy: str
    examples: tuple[str, ...] = ()

    @property
    def stream(self) -> Stream:
        """The stream."""
        return Stream(self.topic, self.type, self.producer)


HIGH = frozenset({Expected.REFUSED, Expected.UNKNOWN_ITEMS, Expected.PERSONAL_DATA, Expected.RANGE, Expected.SILENCE})
"""Kinds whose findings have the severity `high`."""
