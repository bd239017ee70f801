"""Errors of the streams, as one tree.

StreamsError
├── InvalidEvent         a message breaks its contract; the text is for its producer
│   └── InvalidLine      the same in a file, with its name and line
├── ConfigurationError   a setting, a file or a combination of them cannot work
├── NothingImported      an import found no usable item or event in its files
├── TopicError           a topic is missing or has a wrong configuration
├── StateError           the state on the disk cannot be used: a full disk, missing rights, another process
│   └── DamagedState     a database is damaged; the worker moves it aside and restores it from its changelog
├── OwnershipLost        a partition has gone to another worker, which does the rest
├── EncryptionError      a stored value is encrypted with a key that is not in the settings
├── ProfileCodecError    a stored profile has no known format
└── CooccurrenceCodecError      the same for the stored co-occurrence of an item
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class StreamsError(Exception):
    """Base class of the errors of the streams."""


class InvalidEvent(StreamsError):  # noqa: N818 - the name is part of the public contract
    """A message breaks its contract.

    `reason` is a stable code for counting (see `REASONS`), and `where` the place in the message: `$.user_id`, `key`, or
    `$` for the whole value. `others` holds the further errors of the same message. The text has the requirement and the
    actual value. It may contain a few characters of the message, so it goes to dead letters and to the sender, never to
    a log.
    """

    REASONS = (
        "empty",  # there is no value
        "not_json",  # the value is not JSON in UTF-8
        "not_msgpack",  # on internal topics: the value is not MessagePack
        "missing_field",  # a required field is not there
        "wrong_type",  # a field holds another JSON type than the contract requires
        "wrong_value",  # the type is right, the format or the choice is not
        "out_of_range",  # a number, a length, a time or a nesting beyond its limits
        "wrong_key",  # the message key is not the id that the topic is keyed by
        "wrong_topic",  # a valid message on a topic of another kind
    )
    WORKER_REASONS = (
        "unencodable",  # the message is valid, but the model fails on the item's text
        "unreadable_profile",  # the message is valid, but its shopper's stored profile is damaged
        "wrong_partition",  # the message is valid, but not in its key's partition, and cannot be forwarded there
    )

    def __init__(self, reason: str, where: str, detail: str, others: Sequence[InvalidEvent] = ()) -> None:
        super().__init__(reason, where, detail)
        self.reason = reason
        self.where = where
        self.detail = detail
        self.others = tuple(others)

    def __str__(self) -> str:
        return "; ".join(f"{each.where}: {each.detail}" for each in (self, *self.others))


class InvalidLine(InvalidEvent):
    """A line of a file breaks the contract of its message. `place` is `FILE:LINE`."""

    def __init__(self, place: str, error: InvalidEvent) -> None:
        super().__init__(error.reason, error.where, error.detail, error.others)
        self.args = (place, error)
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: {super().__str__()}"


class ConfigurationError(StreamsError):
    """A setting, a file or a combination of them that cannot work."""


class NothingImported(StreamsError):  # noqa: N818 - describes the outcome
    """The files of an import contain no usable item, or no usable event."""


class TopicError(StreamsError):
    """A topic is missing or has a wrong configuration."""


class StateError(StreamsError):
    """The state on the disk cannot be read or written. The text has the path, the cause and the remedy."""


class DamagedState(StateError):  # noqa: N818 - the state is damaged, not the program
    """A database is damaged. The worker moves it aside and restores it from its changelog."""


class OwnershipLost(StreamsError):  # noqa: N818 - not a fault of this worker
    """A partition has gone, or may have gone, to another worker, which does the rest. Nothing more is sent for it."""


class EncryptionError(StreamsError):
    """A stored value is encrypted with a key that is not in the settings."""


class ProfileCodecError(StreamsError):
    """Stored profile bytes that no known version reads.

    `reasons` has the reason for each unreadable profile, by its place in the batch.
    """

    def __init__(self, text: str, reasons: Mapping[int, str] | None = None) -> None:
        super().__init__(text)
        self.reasons = reasons or {}


class CooccurrenceCodecError(StreamsError):
    """Stored co-occurrence of an item that no known version reads."""
